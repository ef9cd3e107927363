// The format of one chunk of history: consecutive changes, each with its revision, where the version it
// replaced lies, and its encoded KeyValue. A chunk is named by the revision of its first change and keeps that name
// when compaction takes changes out of it, so that a Location stays valid as long as its change exists.
//
// A change: length of the KeyValue x 4 + tombstone x 2 + replaces, main - chunk's main, sub; when it replaces a version:
// main - its main, its sub, its main - its chunk's main, its chunk's sub; all varints; then the KeyValue.

import { writeVarint } from "../base/varint.ts";
import { type Location, RowReader } from "./row-codec.ts";

/** A chunk that fits one 4 KiB overflow page of LMDB with its header: one page read per value read. */
export const chunkBytesMax = 4080;
/** More than any change's head takes. */
export const changeHeadBytesMax = 64;

const tombstoneFlag = 2;
const replacesFlag = 1;

export function writeChangeHead(
  target: Uint8Array,
  at: number,
  chunkMain: number,
  main: number,
  sub: number,
  isTombstone: boolean,
  replaced: Location | undefined,
  keyValueBytes: number,
): number {
  const flags = (isTombstone ? tombstoneFlag : 0) + (replaced ? replacesFlag : 0);
  at = writeVarint(target, at, keyValueBytes * 4 + flags);
  at = writeVarint(target, at, main - chunkMain);
  at = writeVarint(target, at, sub);
  if (!replaced) return at;
  at = writeVarint(target, at, main - replaced.main);
  at = writeVarint(target, at, replaced.sub);
  at = writeVarint(target, at, replaced.main - replaced.chunkMain);
  return writeVarint(target, at, replaced.chunkSub);
}

/** Walks the changes of one chunk, forward. May be used again and again. */
export class ChunkReader {
  readonly #reader = new RowReader(Buffer.alloc(0));
  chunkMain = 0;
  chunkSub = 0;
  main = 0;
  sub = 0;
  isTombstone = false;
  /** Whether the change replaced or deleted a version; then the replaced... fields say where that lies. */
  replaces = false;
  replacedMain = 0;
  replacedSub = 0;
  replacedChunkMain = 0;
  replacedChunkSub = 0;
  entryStart = 0;
  keyValueStart = 0;
  keyValueEnd = 0;

  reset(source: Uint8Array, start: number, end: number, chunkMain: number, chunkSub: number): this {
    const reader = this.#reader;
    reader.source = source;
    reader.at = start;
    reader.end = end;
    this.chunkMain = chunkMain;
    this.chunkSub = chunkSub;
    return this;
  }

  get source(): Uint8Array {
    return this.#reader.source;
  }

  next(): boolean {
    const reader = this.#reader;
    if (reader.at >= reader.end) return false;
    this.entryStart = reader.at;
    const head = reader.number();
    const flags = head % 4;
    this.isTombstone = (flags & tombstoneFlag) !== 0;
    this.replaces = (flags & replacesFlag) !== 0;
    this.main = this.chunkMain + reader.number();
    this.sub = reader.number();
    if (this.replaces) {
      this.replacedMain = this.main - reader.number();
      this.replacedSub = reader.number();
      this.replacedChunkMain = this.replacedMain - reader.number();
      this.replacedChunkSub = reader.number();
    }
    this.keyValueStart = reader.at;
    this.keyValueEnd = reader.at + (head - flags) / 4;
    reader.at = this.keyValueEnd;
    return true;
  }

  /** Goes forward to the change of this revision. False, at the end, when it is not there. */
  find(main: number, sub: number): boolean {
    while (this.next()) if (this.main === main && this.sub === sub) return true;
    return false;
  }

  /** Where the version lies that the change at hand replaced. */
  replaced(): Location | undefined {
    if (!this.replaces) return undefined;
    return {
      main: this.replacedMain,
      sub: this.replacedSub,
      chunkMain: this.replacedChunkMain,
      chunkSub: this.replacedChunkSub,
    };
  }

  copyKeyValue(): Buffer {
    const copy = Buffer.allocUnsafe(this.keyValueEnd - this.keyValueStart);
    (this.source as Buffer).copy(copy, 0, this.keyValueStart, this.keyValueEnd);
    return copy;
  }
}
