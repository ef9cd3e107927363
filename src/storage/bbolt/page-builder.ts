// One leaf or branch page while it grows: the table of entries and their bytes apart, put together when the page
// is written. The entries' bytes may exceed a page: then the page takes the ones that follow it as well.

import { assert } from "../../base/assert.ts";
import type { ChunkOutput } from "./chunk-output.ts";
import {
  elementBytes,
  PageKind,
  pageHeaderBytes,
  pageSizeBytes,
  writePageHeader,
  writeUint64Le,
} from "./format.ts";

const countMax = 0xfffe;

export class PageBuilder {
  readonly #isLeaf: boolean;
  /** Header and entries. Until the page is written an entry's offset counts from the start of the bytes. */
  #table = Buffer.alloc(pageHeaderBytes + 256 * elementBytes);
  #view = viewOf(this.#table);
  #bytes = Buffer.allocUnsafe(pageSizeBytes);
  #filled = 0;
  #count = 0;

  constructor(isLeaf: boolean) {
    this.#isLeaf = isLeaf;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return pageHeaderBytes + this.#count * elementBytes + this.#filled;
  }

  /** Pages that it takes. */
  get pageCount(): number {
    return Math.ceil(this.sizeBytes / pageSizeBytes);
  }

  /** The bytes of all entries; the first entry's key is at [0, firstKeyEnd). Valid until the next change. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get firstKeyEnd(): number {
    assert(this.#count > 0, "a page without entries has no first key");
    const sizeAt = pageHeaderBytes + (this.#isLeaf ? 8 : 4);
    return this.#view.getUint32(sizeAt, true);
  }

  /** Whether the key comes after all that are there. */
  isAscending(key: Buffer, start: number, end: number): boolean {
    if (this.#count === 0) return true;
    const { keyStart, keyEnd } = this.#last();
    const shared = Math.min(keyEnd - keyStart, end - start);
    for (let i = 0; i < shared; i++) {
      const difference = (key[start + i] as number) - (this.#bytes[keyStart + i] as number);
      if (difference !== 0) return difference > 0;
    }
    return end - start > keyEnd - keyStart;
  }

  /** A leaf's entry. */
  addRecord(
    flags: number,
    key: Buffer,
    keyStart: number,
    keyEnd: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
  ): void {
    const keySize = keyEnd - keyStart;
    const valueSize = valueEnd - valueStart;
    const at = this.#nextEntry();
    this.#view.setUint32(at, flags, true);
    this.#view.setUint32(at + 4, this.#filled, true);
    this.#view.setUint32(at + 8, keySize, true);
    this.#view.setUint32(at + 12, valueSize, true);
    this.#reserve(keySize + valueSize);
    this.#appendKey(key, keyStart, keyEnd);
    value.copy(this.#bytes, this.#filled, valueStart, valueEnd);
    this.#filled += valueSize;
  }

  /** A branch's entry: the page that holds what begins with the key. */
  addChild(key: Buffer, keyStart: number, keyEnd: number, pageId: number): void {
    const at = this.#nextEntry();
    this.#view.setUint32(at, this.#filled, true);
    this.#view.setUint32(at + 4, keyEnd - keyStart, true);
    writeUint64Le(this.#table, at + 8, pageId);
    this.#reserve(keyEnd - keyStart);
    this.#appendKey(key, keyStart, keyEnd);
  }

  /** Writes the page, and begins anew; with `keepsLast` all entries but the last, which the next page begins with. */
  write(output: ChunkOutput, pageId: number, keepsLast = false): void {
    const kept = keepsLast ? this.#takeLast() : undefined;
    const { sizeBytes, pageCount } = this;
    const tableEnd = this.#finishTable(pageId, pageCount - 1);
    output.append(this.#table, 0, tableEnd);
    output.append(this.#bytes, 0, this.#filled);
    output.appendZeros(pageCount * pageSizeBytes - sizeBytes);
    this.#clear();
    if (kept !== undefined) this.addChild(kept.key, 0, kept.key.length, kept.pageId);
  }

  /** The page as one buffer without padding, to lie inside a bucket's entry; begins anew. */
  takeInline(): Buffer {
    const tableEnd = this.#finishTable(0, 0);
    const image = Buffer.concat([
      this.#table.subarray(0, tableEnd),
      this.#bytes.subarray(0, this.#filled),
    ]);
    this.#clear();
    return image;
  }

  #nextEntry(): number {
    assert(this.#count < countMax, "too many entries for one page");
    const at = pageHeaderBytes + this.#count * elementBytes;
    if (at + elementBytes > this.#table.length) {
      const larger = Buffer.alloc(this.#table.length * 2);
      this.#table.copy(larger);
      this.#table = larger;
      this.#view = viewOf(larger);
    }
    this.#count++;
    return at;
  }

  #reserve(count: number): void {
    const needed = this.#filled + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.ceil(needed / pageSizeBytes) * pageSizeBytes);
    this.#bytes.copy(larger, 0, 0, this.#filled);
    this.#bytes = larger;
  }

  /** Keys are short: a loop is faster than a copy. */
  #appendKey(key: Buffer, start: number, end: number): void {
    let at = this.#filled;
    if (end - start > 64) at += key.copy(this.#bytes, at, start, end);
    else for (let i = start; i < end; i++) this.#bytes[at++] = key[i] as number;
    this.#filled = at;
  }

  #last(): { keyStart: number; keyEnd: number; at: number } {
    const at = pageHeaderBytes + (this.#count - 1) * elementBytes;
    const offsetAt = this.#isLeaf ? at + 4 : at;
    const keyStart = this.#view.getUint32(offsetAt, true);
    return { keyStart, keyEnd: keyStart + this.#view.getUint32(offsetAt + 4, true), at };
  }

  #takeLast(): { key: Buffer; pageId: number } {
    assert(!this.#isLeaf && this.#count > 1, "nothing to keep back");
    const { keyStart, keyEnd, at } = this.#last();
    const key = Buffer.from(this.#bytes.subarray(keyStart, keyEnd));
    const pageId =
      this.#view.getUint32(at + 8, true) + this.#view.getUint32(at + 12, true) * 2 ** 32;
    this.#count--;
    this.#filled = keyStart;
    return { key, pageId };
  }

  /** Header, and offsets that count from each entry itself, as the format has them. Returns the table's end. */
  #finishTable(pageId: number, overflow: number): number {
    const kind = this.#isLeaf ? PageKind.leaf : PageKind.branch;
    writePageHeader(this.#table, 0, pageId, kind, this.#count, overflow);
    const tableEnd = pageHeaderBytes + this.#count * elementBytes;
    const offsetIn = this.#isLeaf ? 4 : 0;
    for (let at = pageHeaderBytes; at < tableEnd; at += elementBytes) {
      const offset = this.#view.getUint32(at + offsetIn, true);
      this.#view.setUint32(at + offsetIn, offset + tableEnd - at, true);
    }
    return tableEnd;
  }

  #clear(): void {
    this.#count = 0;
    this.#filled = 0;
    // One huge record must not keep its memory for the rest of the file.
    if (this.#bytes.length > 1024 * 1024) this.#bytes = Buffer.allocUnsafe(pageSizeBytes);
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
