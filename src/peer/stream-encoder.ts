// What goes down a stream, as bytes. "message": an 8-byte big-endian length and a raftpb.Message.
// "msgapp" (version 2): a type byte, then 0: a link heartbeat; 1: entries that follow on the last ones in the
// same term, so that term, index and the two members need not be said; 2: length and a whole message.
// One call makes one buffer: a chunk of HTTP's chunked encoding, ready for the socket. An encoder belongs to one connection: what it leaves out, the other
// end knows from what came before.

import { writeUint64 } from "../base/bytes.ts";
import { type Message, MessageType } from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";
import { entryOverheadBytes, messageSize, writeEntry, writeMessage } from "./message-codec.ts";

export type StreamKind = "message" | "msgapp";

/** "0000abcd\r\n" before and "\r\n" after. */
export const chunkHeadBytes = 10;
export const chunkTailBytes = 2;

export const AppFrame = { heartbeat: 0, entries: 1, message: 2 } as const;

/** A heartbeat from nobody to nobody: says that the connection lives. */
const messageHeartbeat = chunkOf([0, 0, 0, 0, 0, 0, 0, 2, 0x08, MessageType.heartbeat]);
const appHeartbeat = chunkOf([AppFrame.heartbeat]);

export interface StreamEncoder {
  /** messages[from, to) as one chunk; `bound` is the sum of their `frameBound`s. */
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
    const target = Buffer.allocUnsafe(bound + chunkHeadBytes + chunkTailBytes);
    let at = chunkHeadBytes;
    for (let i = from; i < to; i++) at = writeFrame(target, at, messages[i] as Message);
    return closeChunk(target, at);
  }
}

class AppEncoder implements StreamEncoder {
  readonly heartbeat = appHeartbeat;
  #term = 0;
  #index = 0;

  encode(messages: readonly Message[], from: number, to: number, bound: number): Buffer {
    const target = Buffer.allocUnsafe(bound + chunkHeadBytes + chunkTailBytes);
    let at = chunkHeadBytes;
    for (let i = from; i < to; i++) at = this.#write(target, at, messages[i] as Message);
    return closeChunk(target, at);
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

function chunkOf(content: readonly number[]): Buffer {
  const target = Buffer.alloc(chunkHeadBytes + content.length + chunkTailBytes);
  target.set(content, chunkHeadBytes);
  return closeChunk(target, chunkHeadBytes + content.length);
}

/** Writes head and tail around target[chunkHeadBytes, end); returns the whole chunk. */
function closeChunk(target: Buffer, end: number): Buffer {
  let rest = end - chunkHeadBytes;
  for (let at = chunkHeadBytes - 3; at >= 0; at--) {
    const digit = rest & 15;
    target[at] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest >>>= 4;
  }
  target[chunkHeadBytes - 2] = target[end] = 0x0d;
  target[chunkHeadBytes - 1] = target[end + 1] = 0x0a;
  return target.subarray(0, end + chunkTailBytes);
}
