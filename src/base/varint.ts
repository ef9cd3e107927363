// Protobuf's wire format on bytes and offsets: varints, and a reader that walks the fields of one message
// without allocating. Malformed input (truncated, overlong, bad tag) throws a StatusError with
// INVALID_ARGUMENT; reads never leave [start, end).

import { Status, StatusError } from "./status.ts";

const two32 = 0x1_0000_0000;
const groupDepthMax = 32;

export const WireType = {
  varint: 0,
  fixed64: 1,
  bytes: 2,
  startGroup: 3,
  endGroup: 4,
  fixed32: 5,
} as const;

/** Bytes that `value`, a safe integer, takes as a varint; a negative one takes 10 (as int64 and int32 do). */
export function varintSize(value: number): number {
  if (value < 0) return 10;
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  if (value < 0x8_0000_0000) return 5;
  if (value < 0x400_0000_0000) return 6;
  if (value < 0x2_0000_0000_0000) return 7;
  return 8;
}

/** Bytes that the low 64 bits of `value` take as a varint. */
export function varintSizeBig(value: bigint): number {
  const bits = BigInt.asUintN(64, value);
  if (bits <= 0x1f_ffff_ffff_ffffn) return varintSize(Number(bits));
  let size = 8;
  for (let rest = bits >> 56n; rest > 0n; rest >>= 7n) size++;
  return size;
}

/** Writes a safe integer at `at`; negative ones as 10 bytes of two's complement. Returns the offset after it. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  if (value < 0) return writeVarintBig(target, at, BigInt(value));
  let rest = value;
  while (rest >= 0x8000_0000) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

/** Writes the low 64 bits of `value` (uint64, or int64 as two's complement). Returns the offset after it. */
export function writeVarintBig(target: Uint8Array, at: number, value: bigint): number {
  const bits = BigInt.asUintN(64, value);
  let low = Number(bits & 0xffff_ffffn);
  let high = Number(bits >> 32n);
  while (high !== 0) {
    target[at++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  while (low >= 0x80) {
    target[at++] = (low & 0x7f) | 0x80;
    low >>>= 7;
  }
  target[at++] = low;
  return at;
}

/**
 * Walks the fields of one message, forward only. After `next()` is true: `field` and `wireType` say what stands
 * there; for varints and fixed numbers the value is read by one of the accessors; for bytes it is
 * source[valueStart, valueEnd). Groups are skipped. One reader may be reset and used again for ever.
 */
export class FieldReader {
  source: Uint8Array;
  field = 0;
  wireType = 0;
  valueStart = 0;
  valueEnd = 0;
  /** The number just read, as two unsigned halves. */
  low = 0;
  high = 0;
  #at: number;
  #end: number;

  constructor(source: Uint8Array, start = 0, end = source.length) {
    this.source = source;
    this.#at = start;
    this.#end = end;
  }

  reset(source: Uint8Array, start: number, end: number): this {
    this.source = source;
    this.#at = start;
    this.#end = end;
    return this;
  }

  /** Goes to the next field; false at the end of the message. */
  next(): boolean {
    while (this.#at < this.#end) {
      this.#readTag();
      switch (this.wireType) {
        case WireType.varint:
          this.#readVarint();
          return true;
        case WireType.bytes:
          this.#readLength();
          return true;
        case WireType.fixed64:
          this.#readFixed(8);
          return true;
        case WireType.fixed32:
          this.#readFixed(4);
          return true;
        case WireType.startGroup:
          this.#skipGroup(1);
          break;
        default:
          throw malformed(`wire type ${this.wireType} of field ${this.field}`);
      }
    }
    return false;
  }

  /** uint64, int64 or bool as a number, signed. Beyond 2^53 it is rounded (order is kept, it never wraps). */
  int64(): number {
    if (this.high < 0x8000_0000) return this.high * two32 + this.low;
    return (this.high - two32) * two32 + this.low;
  }

  /** uint64 as a number; beyond 2^53 it is rounded. */
  uint64(): number {
    return this.high * two32 + this.low;
  }

  /** int32 and enums: the low 32 bits, signed. */
  int32(): number {
    return this.low | 0;
  }

  bool(): boolean {
    return this.low !== 0 || this.high !== 0;
  }

  uint64Big(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  int64Big(): bigint {
    return BigInt.asIntN(64, this.uint64Big());
  }

  /** A copy of the current bytes field. */
  copyBytes(): Buffer {
    return Buffer.from(this.source.subarray(this.valueStart, this.valueEnd));
  }

  /** The current bytes field without a copy. */
  viewBytes(): Uint8Array {
    return this.source.subarray(this.valueStart, this.valueEnd);
  }

  #readTag(): void {
    const first = this.source[this.#at] as number;
    if (first < 0x80) {
      this.#at++;
      this.field = first >>> 3;
      this.wireType = first & 7;
    } else {
      this.#readVarint();
      if (this.high !== 0) throw malformed("a tag is too large");
      this.field = this.low >>> 3;
      this.wireType = this.low & 7;
    }
    if (this.field === 0) throw malformed("field number 0");
  }

  #readLength(): void {
    this.#readVarint();
    if (this.high !== 0 || this.low > this.#end - this.#at) {
      throw malformed(`field ${this.field} is longer than its message`);
    }
    this.valueStart = this.#at;
    this.#at += this.low;
    this.valueEnd = this.#at;
  }

  #readVarint(): void {
    const source = this.source;
    const end = this.#end;
    let at = this.#at;
    let low = 0;
    let high = 0;
    let shift = 0;
    for (;;) {
      if (at >= end) throw malformed("a number is cut off");
      const byte = source[at++] as number;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x7f) << 28;
        high = (byte & 0x7f) >>> 4;
      } else {
        if (shift === 63 && byte > 1) throw malformed("a number is longer than 64 bits");
        high |= (byte & 0x7f) << (shift - 32);
      }
      if (byte < 0x80) break;
      shift += 7;
    }
    this.#at = at;
    this.low = low >>> 0;
    this.high = high >>> 0;
  }

  #readFixed(size: 4 | 8): void {
    if (this.#end - this.#at < size) throw malformed("a fixed number is cut off");
    this.low = readUint32Little(this.source, this.#at);
    this.high = size === 8 ? readUint32Little(this.source, this.#at + 4) : 0;
    this.#at += size;
  }

  #skipGroup(depth: number): void {
    if (depth > groupDepthMax) throw malformed("groups are nested too deeply");
    const opened = this.field;
    while (this.#at < this.#end) {
      this.#readTag();
      if (this.wireType === WireType.endGroup) {
        if (this.field !== opened) throw malformed("a group ends with another field number");
        return;
      }
      if (this.wireType === WireType.varint) this.#readVarint();
      else if (this.wireType === WireType.bytes) this.#readLength();
      else if (this.wireType === WireType.fixed64) this.#readFixed(8);
      else if (this.wireType === WireType.fixed32) this.#readFixed(4);
      else if (this.wireType === WireType.startGroup) this.#skipGroup(depth + 1);
      else throw malformed(`wire type ${this.wireType}`);
    }
    throw malformed("a group is cut off");
  }
}

function readUint32Little(source: Uint8Array, at: number): number {
  return (
    ((source[at] as number) |
      ((source[at + 1] as number) << 8) |
      ((source[at + 2] as number) << 16) |
      ((source[at + 3] as number) << 24)) >>>
    0
  );
}

function malformed(what: string): StatusError {
  return new StatusError(Status.INVALID_ARGUMENT, `malformed protobuf: ${what}`);
}
