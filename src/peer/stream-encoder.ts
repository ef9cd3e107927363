// What goes down a stream, as bytes. "message": an 8-byte big-endian length and a raftpb.Message.
// "msgapp" (version 2): a type byte, then 0: a link heartbeat; 1: entries that follow on the last ones in the
// same term, so that term, index and the two members need not be said; 2: length and a whole message.
// One call makes one buffer. An encoder belongs to one connection: what it leaves out, the other
// end knows from what came before.

import { writeUint64 } from "../base/bytes.ts";
import { type Message, MessageType } from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";
import { entryOverheadBytes, messageSize, writeEntry, writeMessage } from "./message-codec.ts";

export type StreamKind = "message" | "msgapp";

export const AppFrame = { heartbeat: 0, entries: 1, message: 2 } as const;

/** A heartbeat from nobody to nobody: says that the connection lives. */
const messageHeartbeat = Buffer.from([0, 0, 0, 0, 0, 0, 0, 2, 0x08, MessageType.heartbeat]);
const appHeartbeat = Buffer.from([AppFrame.heartbeat]);

export interface StreamEncoder {
  /** messages[from, to) in one new buffer; `bound` is the sum of their `frameBound`s. */
  encode(messages: readonly Message[], from: number, to: number, bound: number): Buffer;
  readonly heartbeat: Buffer;
}

export function createStreamEncoder(kind: StreamKind): StreamEncoder {
  return kind === "message" ? new MessageEncoder() : new AppEncoder();
}

/** No fewer bytes than the message takes in either kind of stream. Cheaper than the exact size. */
export function frameBound(message: Message): number {
  // At most 12 numbers of up to 11 bytes, the frame's own head, the context.
  let bound = 160 + message.context.length;
  if (message.snapshot !== undefined || message.responses.length > 0) bound += messageSize(message);
  const { entries } = message;
  for (let i = 0; i < entries.length; i++) {
    bound += (entries[i] as Entry).data.length + entryOverheadBytes + 8;
  }
  return bound;
}

class MessageEncoder implements StreamEncoder {
  readonly heartbeat = messageHeartbeat;

  encode(messages: readonly Message[], from: number, to: number, bound: number): Buffer {
    const target = Buffer.allocUnsafe(bound);
    let at = 0;
    for (let i = from; i < to; i++) at = writeFrame(target, at, messages[i] as Message);
    return target.subarray(0, at);
  }
}

class AppEncoder implements StreamEncoder {
  readonly heartbeat = appHeartbeat;
  #term = 0;
  #index = 0;

  encode(messages: readonly Message[], from: number, to: number, bound: number): Buffer {
    const target = Buffer.allocUnsafe(bound);
    let at = 0;
    for (let i = from; i < to; i++) at = this.#write(target, at, messages[i] as Message);
    return target.subarray(0, at);
  }

  #write(target: Buffer, at: number, message: Message): number {
    const { term, logTerm, index, entries } = message;
    const follows = index === this.#index && logTerm === this.#term && logTerm === term;
    this.#index = entries.at(-1)?.index ?? index;
    if (!follows) {
      this.#term = term;
      target[at] = AppFrame.message;
      return writeFrame(target, at + 1, message);
    }
    target[at] = AppFrame.entries;
    let next = writeUint64(target, at + 1, entries.length);
    for (const entry of entries) {
      const start = next + 8;
      const end = writeEntry(target, start, entry);
      writeUint64(target, next, end - start);
      next = end;
    }
    return writeUint64(target, next, message.commit);
  }
}

/** The length and the message. */
function writeFrame(target: Buffer, at: number, message: Message): number {
  const end = writeMessage(target, at + 8, message);
  writeUint64(target, at, end - at - 8);
  return end;
}
