// The file that is appended to. Records are only ever written where durable zeros stand already, so a write
// changes no file size and no block list: the disk sync has nothing else to make durable, and a torn write leaves
// sectors of zeros, never a short file. Zeros are laid ahead in the background.
// Invariant: the file is at least `zeroedTo` long, durably; from the end of the log to `zeroedTo` it is zero.

import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../io/disk.ts";

const chunkBytes = 1024 * 1024;
const pageBytes = 4096;
const zeros = Buffer.alloc(chunkBytes);

export class SegmentFile {
  path: string;
  readonly #file: DiskFile;
  #zeroedTo: number;
  #target: number;
  /** The fill under way, which never rejects, and its current chunk. */
  #fill: Promise<void> | undefined;
  #step: Promise<void> | undefined;
  #fillError: unknown;
  #closed = false;

  private constructor(path: string, file: DiskFile, zeroedTo: number) {
    this.path = path;
    this.#file = file;
    this.#zeroedTo = zeroedTo;
    this.#target = zeroedTo;
  }

  /** A new file of zeros. */
  static async create(disk: Disk, path: string, sizeBytes: number): Promise<SegmentFile> {
    const segment = new SegmentFile(path, await disk.open(path, "create-exclusive-durable"), 0);
    try {
      await segment.ensure(sizeBytes);
    } catch (error) {
      await segment.close();
      await disk.remove(path);
      throw error;
    }
    return segment;
  }

  /** A file whose bytes behind its last record, up to its end, the caller knows to be zero. */
  static async open(disk: Disk, path: string): Promise<SegmentFile> {
    const file = await disk.open(path, "read-write-durable");
    return new SegmentFile(path, file, await file.size());
  }

  get zeroedTo(): number {
    return this.#zeroedTo;
  }

  /** Starts laying zeros up to `sizeBytes` in the background. A failure shows when `ensure` needs them. */
  fillTo(sizeBytes: number): void {
    if (sizeBytes <= this.#target || this.#closed) return;
    this.#target = sizeBytes;
    this.#fill ??= this.#runFill();
  }

  /** Resolves when there are zeros up to `end`; rejects with the disk's error when they can not be laid. */
  async ensure(end: number): Promise<void> {
    while (this.#zeroedTo < end && this.#fill !== undefined) await this.#step;
    if (this.#zeroedTo >= end) return;
    assert(!this.#closed, "a closed segment takes no records");
    // Ask for no more than is needed: it may be the last space there is.
    this.#fillError = undefined;
    this.fillTo(Math.ceil(end / pageBytes) * pageBytes);
    await this.#fill;
    if (this.#zeroedTo < end) throw this.#fillError;
  }

  /** Writes source[0, length) at `position` and makes it durable. `ensure(position + length)` came before. */
  write(source: Uint8Array, length: number, position: number): Promise<void> {
    assert(position + length <= this.#zeroedTo, "records go where zeros stand");
    return this.#file.write(source, 0, length, position);
  }

  /** Puts zeros back where a write failed. */
  async erase(from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += chunkBytes) {
      await this.#file.write(zeros, 0, Math.min(chunkBytes, to - at), at);
    }
  }

  /** Cuts the zeros off a segment that is complete, then closes it. */
  async finish(sizeBytes: number): Promise<void> {
    this.#closed = true;
    await this.#fill;
    try {
      await this.#file.truncate(sizeBytes);
      await this.#file.datasync();
    } finally {
      await this.#file.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#fill;
    await this.#file.close();
  }

  async #runFill(): Promise<void> {
    while (this.#zeroedTo < this.#target && !this.#closed) {
      this.#step = this.#fillChunk(Math.min(this.#target, this.#zeroedTo + chunkBytes));
      await this.#step;
    }
    this.#fill = undefined;
  }

  async #fillChunk(end: number): Promise<void> {
    try {
      await this.#file.write(zeros, 0, end - this.#zeroedTo, this.#zeroedTo);
      this.#zeroedTo = end;
    } catch (error) {
      this.#fillError = error;
      this.#target = this.#zeroedTo;
    }
  }
}
