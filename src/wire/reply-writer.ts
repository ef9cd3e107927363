// Writes encoded replies one after another into large shared buffers, so that a batch of replies costs
// one allocation. Replies are never overwritten: a full buffer is left to whoever still sends from it
// and a new one is begun. Sizes are known before writing, so nothing is moved afterwards.

import { varintSize, varintSizeBig, writeVarint, writeVarintBig } from "../base/varint.ts";

const chunkBytes = 64 * 1024;

/** One encoded message: source[start, end). Valid for as long as it is referenced. */
export class ReplyWriter {
  buffer: Buffer = Buffer.allocUnsafeSlow(chunkBytes);
  /** Where the message that is being written begins, and where it ends so far. */
  start = 0;
  end = 0;

  /** Begins a message that takes at most `sizeBytes`. */
  begin(sizeBytes: number): void {
    if (sizeBytes > this.buffer.length - this.end) {
      this.buffer = Buffer.allocUnsafeSlow(Math.max(chunkBytes, sizeBytes));
      this.end = 0;
    }
    this.start = this.end;
  }

  /** Leaves the message that is being written to a writer of its own; this one goes on in a new buffer. */
  split(): ReplyWriter {
    const other = new ReplyWriter();
    const fresh = other.buffer;
    other.buffer = this.buffer;
    other.start = this.start;
    other.end = this.end;
    this.buffer = fresh;
    this.start = this.end = 0;
    return other;
  }

  /** Goes on in a new buffer with room for `sizeBytes`; returns what was written of the message so far. */
  continueInNewBuffer(sizeBytes: number): Uint8Array {
    const part = this.buffer.subarray(this.start, this.end);
    this.buffer = Buffer.allocUnsafeSlow(Math.max(chunkBytes, sizeBytes));
    this.start = this.end = 0;
    return part;
  }

  byte(value: number): void {
    this.buffer[this.end++] = value;
  }

  varint(value: number): void {
    this.end = writeVarint(this.buffer, this.end, value);
  }

  varintBig(value: bigint): void {
    this.end = writeVarintBig(this.buffer, this.end, value);
  }

  raw(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.end);
    this.end += bytes.length;
  }

  /** A field whose tag is one byte: tag, length, bytes. */
  bytesField(tag: number, bytes: Uint8Array): void {
    this.byte(tag);
    this.varint(bytes.length);
    this.raw(bytes);
  }
}

export function bytesFieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** A number field with a one-byte tag, left out when 0. */
export function numberFieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/** The ResponseHeader of one member: its ids are encoded once, revision and term follow per reply. */
export class HeaderEncoder {
  readonly #ids: Buffer;

  constructor(clusterId: bigint, memberId: bigint) {
    const size = 2 + varintSizeBig(clusterId) + varintSizeBig(memberId);
    const ids = Buffer.alloc(size);
    ids[0] = 0x08;
    const at = writeVarintBig(ids, 1, clusterId);
    ids[at] = 0x10;
    writeVarintBig(ids, at + 1, memberId);
    this.#ids = ids;
  }

  /** Bytes of the whole field 1 (tag, length, header). */
  size(revision: number, term: number): number {
    const body = this.#ids.length + numberFieldSize(revision) + numberFieldSize(term);
    return bytesFieldSize(body);
  }

  /** Writes field 1 of a response. */
  write(writer: ReplyWriter, revision: number, term: number): void {
    writer.byte(0x0a);
    writer.varint(this.#ids.length + numberFieldSize(revision) + numberFieldSize(term));
    writer.raw(this.#ids);
    writeRevision(writer, revision);
    if (term !== 0) {
      writer.byte(0x20);
      writer.varint(term);
    }
  }
}

/** Field 1 of a response inside a transaction: a header that holds the revision alone. */
export function innerHeaderSize(revision: number): number {
  return bytesFieldSize(numberFieldSize(revision));
}

export function writeInnerHeader(writer: ReplyWriter, revision: number): void {
  writer.byte(0x0a);
  writer.varint(numberFieldSize(revision));
  writeRevision(writer, revision);
}

function writeRevision(writer: ReplyWriter, revision: number): void {
  if (revision === 0) return;
  writer.byte(0x18);
  writer.varint(revision);
}

/** What the body of a RangeResponse holds. `kvs` are encoded KeyValues. */
export interface RangeBody {
  readonly kvs: readonly Uint8Array[];
  readonly more: boolean;
  readonly count: number;
}

export function rangeBodySize(body: RangeBody): number {
  let size = (body.more ? 2 : 0) + numberFieldSize(body.count);
  for (const kv of body.kvs) size += bytesFieldSize(kv.length);
  return size;
}

export function writeRangeBody(writer: ReplyWriter, body: RangeBody): void {
  for (const kv of body.kvs) writer.bytesField(0x12, kv);
  if (body.more) {
    writer.byte(0x18);
    writer.byte(1);
  }
  if (body.count !== 0) {
    writer.byte(0x20);
    writer.varint(body.count);
  }
}
