import fc from "fast-check";
import { expect, test } from "vitest";
import { type Message, MessageType } from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";
import * as generated from "../wire/generated/raft.ts";
import {
  entrySize,
  MessageReader,
  messageSize,
  writeEntry,
  writeMessage,
} from "./message-codec.ts";
import { anyEntry, anyMessage, plain } from "./testing/any-message.ts";

const reader = new MessageReader();

function encode(message: Message): Buffer {
  const target = Buffer.alloc(messageSize(message) + 2, 0xee);
  const end = writeMessage(target, 1, message);
  expect(end).toBe(target.length - 1);
  expect([target[0], target[end]]).toEqual([0xee, 0xee]);
  return target.subarray(1, end);
}

test("messages come back as they were", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const bytes = encode(message);
      expect(plain(reader.message(bytes, 0, bytes.length))).toBe(plain(message));
    }),
    { numRuns: 300, seed: 1 },
  );
});

test("the generated code reads what is written", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const other = generated.Message.decode(encode(message));
      expect(other.type ?? 0).toBe(message.type);
      expect(other.to ?? 0n).toBe(message.to);
      expect(other.from ?? 0n).toBe(message.from);
      expect(other.vote ?? 0n).toBe(message.vote);
      expect(other.rejectHint ?? 0).toBe(message.rejectHint);
      expect(other.reject ?? false).toBe(message.reject);
      expect(other.entries.length).toBe(message.entries.length);
      expect(other.snapshot?.metadata?.index).toBe(message.snapshot?.metadata.index || undefined);
      expect(other.responses.length).toBe(message.responses.length);
    }),
    { numRuns: 200, seed: 2 },
  );
});

test("what the generated code writes, zeros and all, is read", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const bytes = Buffer.from(generated.Message.encode(asGenerated(message)).finish());
      expect(plain(reader.message(bytes, 0, bytes.length))).toBe(plain(message));
    }),
    { numRuns: 200, seed: 3 },
  );
});

test("entries come back as they were, also from the generated code", () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      const target = Buffer.alloc(entrySize(entry));
      expect(writeEntry(target, 0, entry)).toBe(target.length);
      expect(plain(reader.entry(target, 0, target.length))).toBe(plain(entry));
      const other = generated.Entry.decode(target);
      expect([other.Type ?? 0, other.Term ?? 0, other.Index ?? 0]).toEqual([
        entry.type,
        entry.term,
        entry.index,
      ]);
      expect(Buffer.compare(other.Data ?? Buffer.alloc(0), entry.data)).toBe(0);
    }),
    { numRuns: 300, seed: 4 },
  );
});

test("garbage is refused with a status, never anything else", () => {
  fc.assert(
    fc.property(anyMessage, fc.uint8Array({ maxLength: 6 }), fc.nat(), (message, noise, where) => {
      const bytes = encode(message);
      for (let i = 0; i < noise.length && bytes.length > 0; i++) {
        bytes[(where + i * 7) % bytes.length] = noise[i] as number;
      }
      try {
        reader.message(bytes, 0, Math.max(0, bytes.length - (where % 3)));
      } catch (error) {
        expect((error as Error).name).toBe("StatusError");
      }
    }),
    { numRuns: 1000, seed: 5 },
  );
});

test("bytes are views, and never reach outside the message", () => {
  const entry: Entry = { term: 1, index: 2, type: 0, data: Buffer.from("data") };
  const bytes = Buffer.alloc(entrySize(entry));
  writeEntry(bytes, 0, entry);
  const read = reader.entry(bytes, 0, bytes.length);
  expect(read.data.buffer).toBe(bytes.buffer);
  bytes[bytes.length - 5] = 200;
  expect(() => reader.entry(bytes, 0, bytes.length)).toThrow("malformed");
});

test("an empty snapshot is none; packed lists and unknown fields are read", () => {
  const empty = Buffer.from([0x08, MessageType.app, 0x4a, 4, 0x12, 2, 0x0a, 0, 0xfa, 0x07, 1, 9]);
  const message = reader.message(empty, 0, empty.length);
  expect(message.type).toBe(MessageType.app);
  expect(message.snapshot).toBeUndefined();
  const state = [0x0a, 4, 3, 2, 0xac, 0x02];
  const metadata = [0x0a, state.length, ...state, 0x10, 7];
  const packed = Buffer.from([0x4a, metadata.length + 2, 0x12, metadata.length, ...metadata]);
  const read = reader.message(packed, 0, packed.length).snapshot;
  expect(read?.metadata.confState.voters).toEqual([2n, 3n, 300n]);
  expect(read?.metadata.index).toBe(7);
});

function asGenerated(message: Message): generated.Message {
  return {
    ...message,
    entries: message.entries.map((entry) => ({
      Type: entry.type,
      Term: entry.term,
      Index: entry.index,
      Data: entry.data,
    })),
    snapshot: message.snapshot && {
      data: message.snapshot.data,
      metadata: {
        index: message.snapshot.metadata.index,
        term: message.snapshot.metadata.term,
        confState: message.snapshot.metadata.confState,
      },
    },
    responses: message.responses.map(asGenerated),
  } as unknown as generated.Message;
}
