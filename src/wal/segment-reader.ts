// Reads the records of one segment in order through a sliding window, and checks each against the rolling
// checksum. It decides nothing about damage: it stops at the first thing that is not a sound record and says
// what it found there.

import { updateCrc32c } from "../base/crc32c.ts";
import { StatusError } from "../base/status.ts";
import { FieldReader, WireType } from "../base/varint.ts";
import type { DiskFile } from "../io/disk.ts";
import { frameHeadBytes, RecordType } from "./format.ts";

const windowBytes = 1024 * 1024;

/** Why reading stopped at `offset`. */
export type SegmentStop =
  /** The file ends exactly behind a record. */
  | { readonly kind: "end" }
  /** A frame head of zero: the rest should be zeros. */
  | { readonly kind: "zero" }
  /** A record reaches past the end of the file. */
  | { readonly kind: "short"; readonly text: string }
  /** The record's bytes are not what was written. `end` is where its frame says it ends. */
  | { readonly kind: "broken"; readonly text: string; readonly end: number };

export class SegmentReader {
  /** Where the current record's frame begins; after `next` is false, where reading stopped. */
  offset = 0;
  /** Rolling checksum up to and including the current record. */
  crc: number;
  type = 0;
  /** The current record's data is source[dataStart, dataEnd), valid until the next call. */
  source: Buffer = Buffer.alloc(0);
  dataStart = 0;
  dataEnd = 0;
  stop: SegmentStop = { kind: "end" };
  readonly sizeBytes: number;
  readonly #file: DiskFile;
  readonly #fields = new FieldReader(Buffer.alloc(0));
  #frameEnd = 0;
  #windowStart = 0;
  /** False until the first crc record: a reader that starts in the middle of a log takes its word. */
  #crcKnown: boolean;

  constructor(file: DiskFile, sizeBytes: number, crc: number | undefined) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.crc = crc ?? 0;
    this.#crcKnown = crc !== undefined;
  }

  /** Where the frame behind the current record begins. */
  get end(): number {
    return this.#frameEnd;
  }

  /** Goes to the next record; false when there is none or it is not sound: see `stop`. */
  async next(): Promise<boolean> {
    const at = this.#frameEnd;
    this.offset = at;
    if (at === this.sizeBytes) return this.#stopAt({ kind: "end" });
    if (!this.#has(at, frameHeadBytes) && !(await this.#load(at, frameHeadBytes))) {
      return this.#stopAt({ kind: "short", text: `a frame head is cut off at ${this.sizeBytes}` });
    }
    let local = at - this.#windowStart;
    const low = this.source.readUInt32LE(local);
    const high = this.source.readUInt32LE(local + 4);
    if (low === 0 && high === 0) return this.#stopAt({ kind: "zero" });
    const recordBytes = (high & 0xff_ffff) * 0x1_0000_0000 + low;
    const paddingBytes = high >= 0x8000_0000 ? (high >>> 24) & 7 : 0;
    const frameBytes = frameHeadBytes + recordBytes + paddingBytes;
    if (at + frameBytes > this.sizeBytes) {
      const text = `expected a record of ${recordBytes} bytes, found the file to end at ${this.sizeBytes}`;
      return this.#stopAt({ kind: "short", text });
    }
    if (!this.#has(at, frameBytes) && !(await this.#load(at, frameBytes))) {
      return this.#stopAt({ kind: "short", text: "the file became shorter while it was read" });
    }
    local = at - this.#windowStart + frameHeadBytes;
    const top = high >>> 24;
    const problem =
      (recordBytes + paddingBytes) % 8 !== 0 || top !== (paddingBytes && 0x80 | paddingBytes)
        ? `expected a record padded to 8 bytes, found frame head ${hex(high)}${hex(low)}`
        : this.#check(local, local + recordBytes, paddingBytes);
    if (problem !== undefined) {
      return this.#stopAt({ kind: "broken", text: problem, end: at + frameBytes });
    }
    this.#frameEnd = at + frameBytes;
    return true;
  }

  /** Parses and verifies the record at source[start, end); undefined when it is sound. */
  #check(start: number, end: number, paddingBytes: number): string | undefined {
    const fields = this.#fields.reset(this.source, start, end);
    let type = 0;
    let crc = 0;
    let dataStart = start;
    let dataEnd = start;
    try {
      while (fields.next()) {
        if (fields.field === 1 && fields.wireType === WireType.varint) type = fields.int64();
        else if (fields.field === 2 && fields.wireType === WireType.varint) crc = fields.uint64();
        else if (fields.field === 3 && fields.wireType === WireType.bytes) {
          dataStart = fields.valueStart;
          dataEnd = fields.valueEnd;
        } else return `expected a record, found field ${fields.field}`;
      }
    } catch (error) {
      if (error instanceof StatusError) return `expected a record, found ${error.message}`;
      throw error;
    }
    if (type < RecordType.metadata || type > RecordType.snapshot) {
      return `expected a record of type 1 to 5, found type ${type}`;
    }
    for (let i = 0; i < paddingBytes; i++) {
      if (this.source[end + i] !== 0) return "expected zeros as padding, found other bytes";
    }
    const computed = this.#roll(type, crc, dataStart, dataEnd);
    if (computed !== crc) {
      return `expected checksum ${hex(computed)}, found ${hex(crc)} in the record`;
    }
    this.crc = crc;
    this.type = type;
    this.dataStart = dataStart;
    this.dataEnd = dataEnd;
    return undefined;
  }

  #roll(type: number, found: number, dataStart: number, dataEnd: number): number {
    if (type !== RecordType.crc) return updateCrc32c(this.crc, this.source, dataStart, dataEnd);
    if (this.#crcKnown) return this.crc;
    this.#crcKnown = true;
    return found;
  }

  #has(offset: number, bytes: number): boolean {
    return offset >= this.#windowStart && offset + bytes <= this.#windowStart + this.source.length;
  }

  /** Moves the window to `offset`; false when the file has fewer bytes. */
  async #load(offset: number, bytes: number): Promise<boolean> {
    const wanted = Math.min(Math.max(bytes, windowBytes), this.sizeBytes - offset);
    const window = Buffer.allocUnsafeSlow(Math.max(0, wanted));
    const count = await this.#file.read(window, offset);
    this.source = window.subarray(0, count);
    this.#windowStart = offset;
    return count >= bytes;
  }

  #stopAt(stop: SegmentStop): false {
    this.stop = stop;
    return false;
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
