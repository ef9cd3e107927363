// Small codecs that the tables' rows share: a forward reader of varints, revision keys, and blocks of memory for
// rows that wait to be written.

import { readUint32, readUint64, writeUint32, writeUint64 } from "../base/bytes.ts";

/** Where a change's KeyValue lies: its revision and the key of the chunk of history that holds it. */
export interface Location {
  readonly main: number;
  readonly sub: number;
  readonly chunkMain: number;
  readonly chunkSub: number;
}

/** What the store knows of a live key without reading its value. */
export interface KeyMeta extends Location {
  /** Main revision at which the key was created last. */
  readonly create: number;
  readonly version: number;
  readonly lease: bigint;
}

/** Bytes of a chunk's key: main revision and sub-revision, big-endian. */
export const revisionKeyBytes = 12;

export function writeRevisionKey(
  target: Uint8Array,
  at: number,
  main: number,
  sub: number,
): number {
  return writeUint32(target, writeUint64(target, at, main), sub);
}

export function revisionKey(main: number, sub: number): Buffer {
  const key = Buffer.allocUnsafe(revisionKeyBytes);
  writeRevisionKey(key, 0, main, sub);
  return key;
}

export function mainOfKey(key: Uint8Array, at = 0): number {
  return readUint64(key, at);
}

export function subOfKey(key: Uint8Array, at = 0): number {
  return readUint32(key, at + 8);
}

/** Negative, 0 or positive as revision a lies before, at or after b. */
export function compareRevisions(aMain: number, aSub: number, bMain: number, bSub: number): number {
  return aMain === bMain ? aSub - bSub : aMain - bMain;
}

/** Reads varints one after another out of our own rows; trusts them. */
export class RowReader {
  source: Uint8Array;
  at: number;
  end: number;

  constructor(source: Uint8Array, at = 0, end = source.length) {
    this.source = source;
    this.at = at;
    this.end = end;
  }

  number(): number {
    const source = this.source;
    let byte = source[this.at++] as number;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    byte = source[this.at++] as number;
    value |= (byte & 0x7f) << 7;
    if (byte < 0x80) return value;
    byte = source[this.at++] as number;
    value |= (byte & 0x7f) << 14;
    if (byte < 0x80) return value;
    let scale = 0x20_0000;
    do {
      byte = source[this.at++] as number;
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    return value;
  }

  big(): bigint {
    let value = 0n;
    let shift = 0n;
    let byte: number;
    do {
      byte = this.source[this.at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    } while (byte >= 0x80);
    return BigInt.asIntN(64, value);
  }

  text(bytes: number): string {
    const text = asNodeBuffer(this.source).latin1Slice(this.at, this.at + bytes);
    this.at += bytes;
    return text;
  }
}

function asNodeBuffer(source: Uint8Array): Buffer {
  if (source instanceof Buffer) return source;
  return Buffer.from(source.buffer as ArrayBuffer, source.byteOffset, source.length);
}

const blockBytes = 64 * 1024;

/** Memory for many small rows: a few large blocks instead of a buffer each. */
export class RowArena {
  #block: Buffer = Buffer.alloc(0);
  #used = 0;

  /** The block in which `bytes` bytes may be written from `offset` on. */
  reserve(bytes: number): Buffer {
    if (this.#block.length - this.#used < bytes) {
      this.#block = Buffer.allocUnsafeSlow(Math.max(blockBytes, bytes));
      this.#used = 0;
    }
    return this.#block;
  }

  get offset(): number {
    return this.#used;
  }

  /** Ends what was written up to `end` and returns it. */
  take(end: number): Buffer {
    const row = this.#block.subarray(this.#used, end);
    this.#used = end;
    return row;
  }

  text(latin1: string): Buffer {
    const block = this.reserve(latin1.length);
    block.latin1Write(latin1, this.#used, latin1.length);
    return this.take(this.#used + latin1.length);
  }
}
