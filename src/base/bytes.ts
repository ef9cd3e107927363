// Bytes as values: order, equality, joining, the latin1 strings that key Maps, and big-endian numbers.
// Nothing here keeps a reference to its input except where it says so.

import { assert } from "./assert.ts";

declare global {
  // Node has these on every Buffer (they are what toString("latin1") and write end in); its types lack them.
  interface Buffer {
    latin1Slice(start: number, end: number): string;
    utf8Slice(start: number, end: number): string;
    latin1Write(text: string, offset: number, length: number): number;
  }
}

const two32 = 0x1_0000_0000;

export const emptyBytes: Buffer = Buffer.alloc(0);

/** Byte order, shorter first when one is a prefix of the other: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** `compareBytes` of a[aStart, aEnd) and b[bStart, bEnd), without making views. */
export function compareRanges(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = (a[aStart + i] as number) - (b[bStart + i] as number);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** One new buffer that holds all parts. */
export function concatBytes(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts);
}

/** A Buffer over the same memory (no copy), for its methods. */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (bytes instanceof Buffer) return bytes;
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

/** source[start, end) as a string with one char per byte, 0 to 255: the form in which keys key Maps. */
export function latin1Key(source: Buffer, start: number, end: number): string {
  return source.latin1Slice(start, end);
}

/** The bytes of a string made by `latin1Key`. */
export function latin1Bytes(key: string): Buffer {
  return Buffer.from(key, "latin1");
}

/** Writes a uint64, big-endian, at `at`; returns the offset after it. `value` is a safe integer from 0. */
export function writeUint64(target: Uint8Array, at: number, value: number): number {
  assert(value >= 0 && Number.isSafeInteger(value), "uint64 out of the safe range");
  const high = Math.floor(value / two32);
  const low = value >>> 0;
  writeUint32(target, at, high);
  return writeUint32(target, at + 4, low);
}

/** Reads a uint64, big-endian. The caller vouches that it is at most 2^53 - 1; asserted. */
export function readUint64(source: Uint8Array, at: number): number {
  const value = readUint32(source, at) * two32 + readUint32(source, at + 4);
  assert(Number.isSafeInteger(value), "uint64 out of the safe range");
  return value;
}

/** As `writeUint64` for all 64 bits; negative values are written as two's complement. */
export function writeUint64Big(target: Uint8Array, at: number, value: bigint): number {
  const bits = BigInt.asUintN(64, value);
  writeUint32(target, at, Number(bits >> 32n));
  return writeUint32(target, at + 4, Number(bits & 0xffff_ffffn));
}

export function readUint64Big(source: Uint8Array, at: number): bigint {
  return (BigInt(readUint32(source, at)) << 32n) | BigInt(readUint32(source, at + 4));
}

/** Writes the low 32 bits of `value`, big-endian; returns the offset after them. */
export function writeUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

export function readUint32(source: Uint8Array, at: number): number {
  return (
    (((source[at] as number) << 24) |
      ((source[at + 1] as number) << 16) |
      ((source[at + 2] as number) << 8) |
      (source[at + 3] as number)) >>>
    0
  );
}

/**
 * The smallest key after all keys that start with `prefix`; undefined when there is none (all 0xff or empty):
 * the range is then open.
 */
export function prefixEnd(prefix: Uint8Array): Buffer | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = Buffer.from(prefix.subarray(0, length));
  end[length - 1] = (end[length - 1] as number) + 1;
  return end;
}
