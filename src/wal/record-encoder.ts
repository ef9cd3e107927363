// Encodes records, framed and checksummed, one behind another into one growing buffer that is used again and
// again. The checksum is computed in place after the data is copied, so an entry costs one copy and no object.
// Invariant: `crc` is the rolling checksum after the last record in the buffer.

import { updateCrc32cView } from "../base/crc32c.ts";
import { varintSize, varintSizeBig, writeVarint, writeVarintBig } from "../base/varint.ts";
import {
  frameHeadBytes,
  RecordType,
  type WalHardState,
  type WalMetadata,
  type WalSnapshot,
  writeFrameHead,
} from "./format.ts";

const startBytes = 64 * 1024;
/** A buffer that one huge batch has made larger than this is given back at the next reset. */
const keptBytesMax = 16 * 1024 * 1024;
/** Frame head, type, crc and data length take at most this much. */
const recordOverheadBytes = frameHeadBytes + 2 + 6 + 11 + 8;
/** Tag and five bytes, which all but every sixteenth checksum takes. */
const crcFieldBytes = 6;

export class RecordEncoder {
  #buffer: Buffer;
  #view: DataView;
  #length = 0;
  #crc = 0;
  // The record under way: where its frame, its crc field and its data begin.
  #frameAt = 0;
  #crcAt = 0;
  #dataAt = 0;

  constructor() {
    this.#buffer = Buffer.alloc(startBytes);
    this.#view = viewOf(this.#buffer);
  }

  /** Holds the records in [0, length). Replaced when it grows. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  get length(): number {
    return this.#length;
  }

  get crc(): number {
    return this.#crc;
  }

  /** Forgets the records and goes on from this checksum. */
  reset(crc: number): void {
    this.#length = 0;
    this.#crc = crc;
    if (this.#buffer.length > keptBytesMax) this.#replaceBuffer(startBytes);
  }

  /** An entry whose data is source[start, end). */
  entry(
    term: number,
    index: number,
    type: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    const length = end - start;
    // As etcd 3.7: the type is left out for normal entries, the data when there is none.
    let size = 2 + varintSize(term) + varintSize(index);
    if (type !== 0) size += 1 + varintSize(type);
    if (length > 0) size += 1 + varintSize(length) + length;
    let at = this.#begin(RecordType.entry, size);
    const buffer = this.#buffer;
    if (type !== 0) {
      buffer[at++] = 0x08;
      at = writeVarint(buffer, at, type);
    }
    buffer[at++] = 0x10;
    at = writeVarint(buffer, at, term);
    buffer[at++] = 0x18;
    at = writeVarint(buffer, at, index);
    if (length > 0) {
      buffer[at++] = 0x22;
      at = writeVarint(buffer, at, length);
      at = copyBytes(source, start, end, buffer, at);
    }
    this.#finish(at);
  }

  hardState(state: WalHardState): void {
    const size = 3 + varintSize(state.term) + varintSizeBig(state.vote) + varintSize(state.commit);
    let at = this.#begin(RecordType.hardState, size);
    const buffer = this.#buffer;
    buffer[at++] = 0x08;
    at = writeVarint(buffer, at, state.term);
    buffer[at++] = 0x10;
    at = writeVarintBig(buffer, at, state.vote);
    buffer[at++] = 0x18;
    at = writeVarint(buffer, at, state.commit);
    this.#finish(at);
  }

  metadata(metadata: WalMetadata): void {
    const size = 2 + varintSizeBig(metadata.nodeId) + varintSizeBig(metadata.clusterId);
    let at = this.#begin(RecordType.metadata, size);
    const buffer = this.#buffer;
    buffer[at++] = 0x08;
    at = writeVarintBig(buffer, at, metadata.nodeId);
    buffer[at++] = 0x10;
    at = writeVarintBig(buffer, at, metadata.clusterId);
    this.#finish(at);
  }

  snapshot(snapshot: WalSnapshot): void {
    const confBytes = snapshot.confState.length;
    let size = 2 + varintSize(snapshot.index) + varintSize(snapshot.term);
    // etcd wants a configuration in all but the very first snapshot record, be it empty.
    const hasConf = confBytes > 0 || snapshot.index > 0;
    if (hasConf) size += 1 + varintSize(confBytes) + confBytes;
    let at = this.#begin(RecordType.snapshot, size);
    const buffer = this.#buffer;
    buffer[at++] = 0x08;
    at = writeVarint(buffer, at, snapshot.index);
    buffer[at++] = 0x10;
    at = writeVarint(buffer, at, snapshot.term);
    if (hasConf) {
      buffer[at++] = 0x1a;
      at = writeVarint(buffer, at, confBytes);
      at = copyBytes(snapshot.confState, 0, confBytes, buffer, at);
    }
    this.#finish(at);
  }

  /** The record that opens a segment: the checksum so far, without data. */
  openingCrc(): void {
    this.#reserve(recordOverheadBytes);
    const buffer = this.#buffer;
    const frameAt = this.#length;
    let at = frameAt + frameHeadBytes;
    buffer[at++] = 0x08;
    buffer[at++] = RecordType.crc;
    buffer[at++] = 0x10;
    at = writeVarint(buffer, at, this.#crc);
    this.#length = closeFrame(this.#view, buffer, frameAt, at);
  }

  /** Begins a record whose data will have `dataBytes`, of which there is at least one; returns where the data goes. */
  #begin(type: number, dataBytes: number): number {
    this.#reserve(recordOverheadBytes + dataBytes);
    const buffer = this.#buffer;
    this.#frameAt = this.#length;
    let at = this.#frameAt + frameHeadBytes;
    buffer[at++] = 0x08;
    buffer[at++] = type;
    this.#crcAt = at;
    at += crcFieldBytes;
    buffer[at++] = 0x1a;
    at = writeVarint(buffer, at, dataBytes);
    this.#dataAt = at;
    return at;
  }

  #finish(dataEnd: number): void {
    const buffer = this.#buffer;
    const crc = updateCrc32cView(this.#crc, this.#view, this.#dataAt, dataEnd);
    this.#crc = crc;
    const crcAt = this.#crcAt;
    buffer[crcAt] = 0x10;
    const crcEnd = writeVarint(buffer, crcAt + 1, crc);
    let end = dataEnd;
    const spare = crcAt + crcFieldBytes - crcEnd;
    if (spare > 0) {
      buffer.copyWithin(crcEnd, crcAt + crcFieldBytes, dataEnd);
      end -= spare;
    }
    this.#length = closeFrame(this.#view, buffer, this.#frameAt, end);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    let size = this.#buffer.length;
    while (size < needed) size *= 2;
    const old = this.#buffer;
    this.#replaceBuffer(size);
    old.copy(this.#buffer, 0, 0, this.#length);
  }

  #replaceBuffer(size: number): void {
    this.#buffer = Buffer.allocUnsafeSlow(size);
    this.#view = viewOf(this.#buffer);
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** Writes the head and the zero padding of the record that ends at `recordEnd`; returns where the next frame begins. */
function closeFrame(view: DataView, buffer: Buffer, frameAt: number, recordEnd: number): number {
  const padding = writeFrameHead(view, frameAt, recordEnd - frameAt - frameHeadBytes);
  for (let i = 0; i < padding; i++) buffer[recordEnd + i] = 0;
  return recordEnd + padding;
}

/** Byte by byte while that is cheaper than a call into native code. */
function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Buffer,
  at: number,
): number {
  if (end - start > 48) {
    if (source instanceof Buffer) source.copy(target, at, start, end);
    else
      target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
    return at + end - start;
  }
  for (let i = start; i < end; i++) target[at++] = source[i] as number;
  return at;
}
