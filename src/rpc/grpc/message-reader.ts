// Cuts the DATA chunks of one stream into gRPC messages: flag byte, 32-bit length, payload. A message
// that lies whole in one chunk is handed over in place; any other is assembled in a buffer of its own,
// which grows with what has arrived and never with what was only announced. Everything buffered counts
// against a budget that many streams share.

import { assert } from "../../base/assert.ts";
import { Status, type StatusCode } from "../../base/status.ts";

export const frameHeaderBytes = 5;

/** Bytes that partly received messages may hold together. */
export class ByteBudget {
  readonly limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes all of `bytes` or nothing. */
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    assert(this.#usedBytes >= 0, "byte budget given back more than was taken");
  }
}

export interface ReadFailure {
  readonly code: StatusCode;
  readonly message: string;
}

/** Up to this length the assembly buffer is allocated at once. */
const assemblyBytesAtOnce = 16_384;

/**
 * `push` chunks in; `next` until it is false. When it is true, `message[start, end)` is the payload
 * and `compressed` its flag. When `failure` is set, the stream is beyond repair.
 */
export class MessageReader {
  message: Buffer = emptyBuffer;
  start = 0;
  end = 0;
  compressed = false;
  failure: ReadFailure | undefined;
  /** Bytes that were read from chunks since the last `takeCredit`. */
  #creditBytes = 0;
  readonly #limitBytes: number;
  readonly #budget: ByteBudget;
  /** What has not been read: the current chunk from #offset to #chunkEnd, then the queue behind it. */
  #chunk: Buffer | undefined;
  #offset = 0;
  #chunkEnd = 0;
  readonly #queue: { chunk: Buffer; start: number; end: number }[] = [];
  /** The header of a message, while its bytes come in several chunks. */
  #header: Buffer | undefined;
  #headerBytes = 0;
  #assembly: Buffer | undefined;
  #assembledBytes = 0;
  #assemblyLength = 0;

  constructor(limitBytes: number, budget: ByteBudget) {
    this.#limitBytes = limitBytes;
    this.#budget = budget;
  }

  /** Takes chunk[start, end), which must not change afterwards. */
  push(chunk: Buffer, start: number, end: number): void {
    if (start === end) return;
    if (this.#chunk !== undefined) {
      this.#queue.push({ chunk, start, end });
      return;
    }
    this.#chunk = chunk;
    this.#offset = start;
    this.#chunkEnd = end;
  }

  /** True while a message has begun and is not complete, or unread chunks are left. */
  get isMidMessage(): boolean {
    return this.#headerBytes > 0 || this.#assembly !== undefined || this.#chunk !== undefined;
  }

  /** What has been read since the last call, to be given back to the peer as window. */
  takeCredit(): number {
    const bytes = this.#creditBytes;
    this.#creditBytes = 0;
    return bytes;
  }

  next(): boolean {
    while (this.failure === undefined && this.#chunk !== undefined) {
      if (this.#assembly !== undefined) {
        if (this.#fillAssembly(this.#chunk)) return true;
      } else if (this.#readHeader(this.#chunk)) {
        return true;
      }
    }
    return false;
  }

  /** Drops everything. Call it when the stream ends early. */
  release(): void {
    if (this.#assembly !== undefined) this.#budget.give(this.#assembly.length);
    this.#assembly = undefined;
    this.#chunk = undefined;
    this.#queue.length = 0;
    this.#headerBytes = 0;
    this.message = emptyBuffer;
  }

  /** Reads a header, and the payload too when the chunk holds all of it: then true. */
  #readHeader(chunk: Buffer): boolean {
    let flag: number;
    let length: number;
    if (this.#headerBytes === 0 && this.#chunkEnd - this.#offset >= frameHeaderBytes) {
      flag = chunk[this.#offset] as number;
      length = readLength(chunk, this.#offset + 1);
      this.#advance(frameHeaderBytes);
    } else {
      this.#header ??= Buffer.alloc(frameHeaderBytes);
      const wanted = frameHeaderBytes - this.#headerBytes;
      const taken = Math.min(wanted, this.#chunkEnd - this.#offset);
      chunk.copy(this.#header, this.#headerBytes, this.#offset, this.#offset + taken);
      this.#headerBytes += taken;
      this.#advance(taken);
      if (this.#headerBytes < frameHeaderBytes) return false;
      this.#headerBytes = 0;
      flag = this.#header[0] as number;
      length = readLength(this.#header, 1);
    }
    return this.#begin(flag, length);
  }

  #begin(flag: number, length: number): boolean {
    if (flag > 1) {
      return this.#fail(Status.INTERNAL, `grpc: received unexpected payload format ${flag}`);
    }
    if (length > this.#limitBytes) {
      const text = `grpc: received message larger than max (${length} vs. ${this.#limitBytes})`;
      return this.#fail(Status.RESOURCE_EXHAUSTED, text);
    }
    this.compressed = flag === 1;
    if (length === 0) {
      this.message = emptyBuffer;
      this.start = this.end = 0;
      return true;
    }
    const chunk = this.#chunk;
    if (chunk !== undefined && this.#chunkEnd - this.#offset >= length) {
      this.message = chunk;
      this.start = this.#offset;
      this.end = this.#offset + length;
      this.#advance(length);
      return true;
    }
    this.#assemblyLength = length;
    this.#assembledBytes = 0;
    this.#growAssembly(Math.min(length, assemblyBytesAtOnce));
    return false;
  }

  #fillAssembly(chunk: Buffer): boolean {
    const wanted = this.#assemblyLength - this.#assembledBytes;
    const taken = Math.min(wanted, this.#chunkEnd - this.#offset);
    const needed = this.#assembledBytes + taken;
    let assembly = this.#assembly as Buffer;
    if (needed > assembly.length) {
      const capacity = Math.min(this.#assemblyLength, Math.max(needed, assembly.length * 2));
      if (!this.#growAssembly(capacity)) return false;
      assembly = this.#assembly as Buffer;
    }
    chunk.copy(assembly, this.#assembledBytes, this.#offset, this.#offset + taken);
    this.#assembledBytes = needed;
    this.#advance(taken);
    if (needed < this.#assemblyLength) return false;
    this.message = assembly;
    this.start = 0;
    this.end = needed;
    this.#budget.give(assembly.length);
    this.#assembly = undefined;
    return true;
  }

  #growAssembly(capacity: number): boolean {
    const before = this.#assembly?.length ?? 0;
    if (!this.#budget.take(capacity - before)) {
      return this.#fail(
        Status.RESOURCE_EXHAUSTED,
        `grpc: partly received messages hold more than max (${this.#budget.limitBytes})`,
      );
    }
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.#assembly?.copy(grown, 0, 0, this.#assembledBytes);
    this.#assembly = grown;
    return true;
  }

  #advance(bytes: number): void {
    this.#creditBytes += bytes;
    this.#offset += bytes;
    if (this.#offset < this.#chunkEnd) return;
    const next = this.#queue.shift();
    this.#chunk = next?.chunk;
    this.#offset = next?.start ?? 0;
    this.#chunkEnd = next?.end ?? 0;
  }

  #fail(code: StatusCode, message: string): false {
    this.failure = { code, message };
    return false;
  }
}

const emptyBuffer = Buffer.alloc(0);

/** The 32-bit big-endian length at `offset`. */
export function readLength(source: Uint8Array, offset: number): number {
  return (
    ((source[offset] as number) * 0x1000000 +
      (((source[offset + 1] as number) << 16) |
        ((source[offset + 2] as number) << 8) |
        (source[offset + 3] as number))) >>>
    0
  );
}

/** Writes flag and length at the start of `target`. */
export function writeFrameHeader(target: Uint8Array, compressed: boolean, length: number): void {
  target[0] = compressed ? 1 : 0;
  target[1] = length >>> 24;
  target[2] = length >>> 16;
  target[3] = length >>> 8;
  target[4] = length;
}
