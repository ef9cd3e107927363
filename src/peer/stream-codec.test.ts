import fc from "fast-check";
import { expect, test } from "vitest";
import { writeUint64 } from "../base/bytes.ts";
import { Random } from "../base/random.ts";
import { type Message, MessageType } from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";
import { entrySize } from "./message-codec.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { createStreamEncoder, frameBound, type StreamKind } from "./stream-encoder.ts";
import { aMessage, anyMessage, plain } from "./testing/any-message.ts";
import { capturedAppStream, capturedMessageStream } from "./testing/captured-streams.ts";

const messageBytesMax = 1 << 20;

function decoder(kind: StreamKind): StreamDecoder {
  return new StreamDecoder({ kind, localId: 2n, peerId: 1n, messageBytesMax });
}

/** Decodes in chunks of these sizes, over and over. */
function decode(kind: StreamKind, bytes: Buffer, sizes: readonly number[]): Message[] {
  const messages: Message[] = [];
  const reader = decoder(kind);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    reader.push(bytes.subarray(at, at + size), messages);
    at += size;
  }
  return messages;
}

function encode(kind: StreamKind, messages: readonly Message[], perCall = 3): Buffer {
  const encoder = createStreamEncoder(kind);
  const parts: Buffer[] = [];
  for (let from = 0; from < messages.length; from += perCall) {
    const to = Math.min(from + perCall, messages.length);
    const bound = messages.slice(from, to).reduce((sum, one) => sum + frameBound(one), 0);
    parts.push(contentOf(encoder.encode(messages, from, to, bound)));
    if (from % 2 === 0) parts.push(contentOf(encoder.heartbeat));
  }
  return Buffer.concat(parts);
}

/** What is in one chunk of HTTP's chunked encoding. */
function contentOf(chunk: Buffer): Buffer {
  const content = chunk.subarray(10, -2);
  expect(chunk.toString("latin1", 0, 10)).toBe(
    `${content.length.toString(16).padStart(8, "0")}\r\n`,
  );
  expect(chunk.toString("latin1", chunk.length - 2)).toBe("\r\n");
  return content;
}

function entriesFrom(index: number, count: number, term: number): Entry[] {
  return Array.from({ length: count }, (_, i) => {
    return { term, index: index + 1 + i, type: 0, data: Buffer.alloc((i * 37) % 300, i) };
  });
}

/** What a leader sends: appends that follow on each other, now and then a probe or a step back. */
function appends(seed: number, count: number): Message[] {
  const random = new Random(seed);
  const messages: Message[] = [];
  let index = 0;
  let term = 1;
  let logTerm = 0;
  for (let i = 0; i < count; i++) {
    if (random.chance(0.05)) term++;
    if (random.chance(0.1)) index = random.below(index + 1);
    const entries = entriesFrom(index, random.below(4), term);
    const fields = { from: 1n, to: 2n, term, logTerm, index, entries, commit: random.below(500) };
    messages.push(aMessage({ type: MessageType.app, ...fields }));
    index += entries.length;
    logTerm = entries.length > 0 || random.chance(0.5) ? term : logTerm;
  }
  return messages;
}

test("what etcd wrote is understood, wherever it is cut, and written again the same", () => {
  const messages = decode("message", capturedMessageStream, [capturedMessageStream.length]);
  expect(messages.map(({ type }) => type)).toEqual([
    ...[MessageType.preVote, MessageType.vote],
    ...Array(9).fill(MessageType.heartbeat),
  ]);
  expect(encode("message", messages, 20).subarray(0, -10)).toEqual(capturedMessageStream);
  for (const sizes of [[1], [2, 5, 9], [100]]) {
    expect(decode("message", capturedMessageStream, sizes).map(plain)).toEqual(messages.map(plain));
  }
});

test("the appends that etcd wrote are understood, and written again with the same meaning", () => {
  const messages = decode("msgapp", capturedAppStream, [capturedAppStream.length]);
  const entries = messages.flatMap((message) => message.entries);
  const last = Math.max(...entries.map(({ index }) => index));
  expect(new Set(entries.map(({ index }) => index)).size).toBe(last);
  expect(entries.some(({ data }) => Buffer.from(data).includes("value-39"))).toBe(true);
  for (const sizes of [[1], [3, 50, 700], [1000]]) {
    expect(decode("msgapp", capturedAppStream, sizes).map(plain)).toEqual(messages.map(plain));
  }
  // etcd says the zeros of its first append, we do not; all else is the same byte for byte.
  const again = encode("msgapp", messages, 1000).subarray(0, -1);
  expect(again.length).toBe(capturedAppStream.length - 4);
  expect(again.subarray(-3400)).toEqual(capturedAppStream.subarray(-3400));
  expect(decode("msgapp", again, [99]).map(plain)).toEqual(messages.map(plain));
});

test("messages pass a stream as they were, cut anywhere", () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }),
      (some, sizes) => {
        // From nobody, a heartbeat would be one of the link, which is not handed on.
        const messages = some.map((one) => ({ ...one, from: one.from || 1n }));
        const bytes = encode("message", messages);
        expect(decode("message", bytes, sizes).map(plain)).toEqual(messages.map(plain));
      },
    ),
    { numRuns: 100, seed: 1 },
  );
});

test("appends pass a stream as they were, mostly without saying what follows", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const messages = appends(seed, 60);
    const bytes = encode("msgapp", messages, 1 + (seed % 7));
    const sizes = [1 + ((seed * 7919) % 4000), 1 + ((seed * 31) % 50)];
    expect(decode("msgapp", bytes, sizes).map(plain)).toEqual(messages.map(plain));
  }
  const steady = Array.from({ length: 20 }, (_, i) =>
    aMessage({
      ...{ type: MessageType.app, from: 1n, to: 2n, term: 5, logTerm: 5, index: 100 + i },
      ...{ entries: entriesFrom(100 + i, 1, 5), commit: 100 },
    }),
  );
  const [first, ...rest] = steady.map(
    (_, i) => encode("msgapp", steady.slice(0, i + 1), 100).length,
  );
  const entryBytes = (i: number): number => entrySize(steady[i]?.entries[0] as Entry);
  // A type, a count, a length, a commit index.
  rest.forEach((size, i) => {
    expect(size - (rest[i - 1] ?? first ?? 0)).toBe(25 + entryBytes(i + 1));
  });
});

test("a length is refused before anything is kept for it", () => {
  const length = Buffer.alloc(9);
  writeUint64(length, 1, messageBytesMax + 1);
  for (const [kind, head] of [
    ["message", length.subarray(1)],
    ["msgapp", Buffer.from([2, ...length.subarray(1)])],
    ["msgapp", Buffer.from([1, ...length.subarray(1)])],
    ["msgapp", Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 1, ...length.subarray(1)])],
    ["msgapp", Buffer.from([3])],
    ["message", Buffer.alloc(8, 0xff)],
  ] as const) {
    expect(() => decode(kind, head, [head.length])).toThrow("malformed stream");
  }
});

test("entries that do not follow are refused", () => {
  const messages = appends(3, 1);
  const wrong = aMessage({ ...messages[0], type: MessageType.app, term: 1, logTerm: 1, index: 7 });
  const skipped = { ...wrong, entries: entriesFrom(8, 1, 1) };
  const bytes = encode("msgapp", [{ ...wrong, entries: [] }, skipped], 10);
  expect(() => decode("msgapp", bytes, [100])).toThrow("entry 9 where 8 follows");
});

test("noise ends in messages or in a status, never in anything else", () => {
  fc.assert(
    fc.property(fc.nat(), fc.uint8Array({ maxLength: 12 }), fc.boolean(), (seed, noise, isApp) => {
      const kind = isApp ? "msgapp" : "message";
      const bytes = encode(kind, appends(seed % 50, 12));
      noise.forEach((byte, i) => {
        bytes[(seed + i * 613) % bytes.length] = byte;
      });
      try {
        decode(kind, bytes, [1 + (seed % 977)]);
      } catch (error) {
        expect((error as Error).name).toBe("StatusError");
      }
    }),
    { numRuns: 600, seed: 2 },
  );
});
