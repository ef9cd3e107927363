// What comes up a stream, from bytes to messages. Chunks may be cut anywhere. Nothing is allocated for
// a length that was only announced: bytes are kept as they come, and a length beyond the bound ends the
// stream. What is read are views of the chunks; only what straddles two chunks is copied.

import { readUint32 } from "../base/bytes.ts";
import { Status, StatusError } from "../base/status.ts";
import { type Message, MessageType } from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";
import { MessageReader } from "./message-codec.ts";
import { AppFrame, type StreamKind } from "./stream-encoder.ts";

const two32 = 0x1_0000_0000;

/** Gathers a given number of bytes from chunks that end anywhere. */
class ByteGatherer {
  /** Where the bytes that `take` found are. */
  source: Buffer = Buffer.alloc(0);
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** What earlier chunks left over, all of it needed for the next take. */
  #kept: Buffer[] = [];
  #keptBytes = 0;

  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The offset in `source` of the next `count` bytes; -1 when they have not all come: then what there is has
   * been put aside, and the next take, after a push, asks for the same count.
   */
  take(count: number): number {
    const chunk = this.#chunk;
    const at = this.#at;
    const missing = count - this.#keptBytes;
    if (chunk.length - at < missing) {
      if (at < chunk.length) {
        this.#kept.push(at === 0 ? chunk : chunk.subarray(at));
        this.#keptBytes += chunk.length - at;
      }
      this.#at = chunk.length;
      return -1;
    }
    this.#at = at + missing;
    if (this.#keptBytes === 0) {
      this.source = chunk;
      return at;
    }
    this.#kept.push(chunk.subarray(at, at + missing));
    this.source = Buffer.concat(this.#kept, count);
    this.#kept = [];
    this.#keptBytes = 0;
    return 0;
  }
}

type Awaited =
  | "frame type"
  | "entry count"
  | "entry length"
  | "entry"
  | "commit"
  | "message length"
  | "message";

export interface StreamDecoderOptions {
  readonly kind: StreamKind;
  /** Who reads, and who sends: msgapp does not repeat it. */
  readonly localId: bigint;
  readonly peerId: bigint;
  /** The largest message that is accepted. */
  readonly messageBytesMax: number;
}

/** Decodes one connection. After it threw, the connection is of no use. */
export class StreamDecoder {
  readonly #options: StreamDecoderOptions;
  readonly #reader = new MessageReader();
  readonly #bytes = new ByteGatherer();
  readonly #start: Awaited;
  #awaited: Awaited;
  #awaitedBytes: number;
  #term = 0;
  #index = 0;
  #entries: Entry[] = [];
  #entriesLeft = 0;
  #frameBytes = 0;

  constructor(options: StreamDecoderOptions) {
    this.#options = options;
    this.#start = options.kind === "message" ? "message length" : "frame type";
    this.#awaited = this.#start;
    this.#awaitedBytes = options.kind === "message" ? 8 : 1;
  }

  /** Appends the messages that are complete with this chunk to `into`. Link heartbeats are swallowed. Throws StatusError. */
  push(chunk: Buffer, into: Message[]): void {
    this.#bytes.push(chunk);
    for (;;) {
      const at = this.#bytes.take(this.#awaitedBytes);
      if (at < 0) return;
      this.#step(this.#bytes.source, at, into);
    }
  }

  #step(source: Buffer, at: number, into: Message[]): void {
    switch (this.#awaited) {
      case "frame type":
        return this.#onFrameType(source[at] as number);
      case "entry count":
        return this.#onEntryCount(readLength(source, at));
      case "entry length":
        return this.#onEntryLength(readLength(source, at));
      case "entry":
        this.#entries.push(this.#reader.entry(source, at, at + this.#awaitedBytes));
        return this.#nextEntry();
      case "commit":
        into.push(this.#appended(readLength(source, at)));
        return this.#restart();
      case "message length":
        this.#bound(readLength(source, at));
        return this.#await("message", this.#frameBytes);
      case "message":
        this.#onMessage(source, at, into);
        return this.#restart();
    }
  }

  #onFrameType(type: number): void {
    if (type === AppFrame.heartbeat) return;
    if (type === AppFrame.entries) return this.#await("entry count", 8);
    if (type === AppFrame.message) return this.#await("message length", 8);
    throw malformed(`frame type ${type}`);
  }

  #onEntryCount(count: number): void {
    // Each entry has a length of 8 bytes at least.
    if (count > this.#options.messageBytesMax / 8) throw malformed(`${count} entries at once`);
    this.#entriesLeft = count;
    this.#entries = [];
    this.#nextEntry();
  }

  #nextEntry(): void {
    if (this.#entriesLeft === 0) return this.#await("commit", 8);
    this.#entriesLeft--;
    this.#await("entry length", 8);
  }

  #onEntryLength(length: number): void {
    this.#bound(length + 8);
    this.#await("entry", length);
  }

  /** Adds to the frame under way, within the bound. */
  #bound(more: number): void {
    this.#frameBytes += more;
    if (this.#frameBytes <= this.#options.messageBytesMax) return;
    throw malformed(`a message of ${this.#frameBytes} bytes exceeds the limit`);
  }

  #appended(commit: number): Message {
    const entries = this.#entries;
    this.#entries = [];
    const index = this.#index;
    this.#index += entries.length;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      if (entry.index === index + 1 + i) continue;
      throw malformed(`entry ${entry.index} where ${index + 1 + i} follows`);
    }
    const { localId, peerId } = this.#options;
    return appMessage(peerId, localId, this.#term, index, entries, commit);
  }

  #onMessage(source: Buffer, at: number, into: Message[]): void {
    const message = this.#reader.message(source, at, at + this.#awaitedBytes);
    if (this.#options.kind === "msgapp") {
      this.#term = message.term;
      this.#index = message.entries.at(-1)?.index ?? message.index;
    }
    const isLinkHeartbeat =
      message.type === MessageType.heartbeat && message.from === 0n && message.to === 0n;
    if (!isLinkHeartbeat) into.push(message);
  }

  #restart(): void {
    this.#frameBytes = 0;
    this.#await(this.#start, this.#start === "frame type" ? 1 : 8);
  }

  #await(what: Awaited, bytes: number): void {
    this.#awaited = what;
    this.#awaitedBytes = bytes;
  }
}

const noContext = Buffer.alloc(0);

function appMessage(
  from: bigint,
  to: bigint,
  term: number,
  index: number,
  entries: readonly Entry[],
  commit: number,
): Message {
  return {
    type: MessageType.app,
    to,
    from,
    term,
    logTerm: term,
    index,
    entries,
    commit,
    vote: 0n,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: noContext,
    responses: [],
  };
}

/** A 64-bit number; beyond 2^53 nothing sensible was sent. */
function readLength(source: Buffer, at: number): number {
  const value = readUint32(source, at) * two32 + readUint32(source, at + 4);
  if (!Number.isSafeInteger(value)) throw malformed("a number exceeds 2^53");
  return value;
}

function malformed(what: string): StatusError {
  return new StatusError(Status.INVALID_ARGUMENT, `malformed stream: ${what}`);
}
