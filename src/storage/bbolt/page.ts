// A leaf or branch page as it lies in a buffer. Every count, offset and size is checked against the bytes that are
// there, and keys must ascend: what does not fit is refused as damage. What `parsePage` lets through is safe to use.

import { compareRanges } from "../../base/bytes.ts";
import {
  bucketFlag,
  damaged,
  elementBytes,
  PageKind,
  pageHeaderBytes,
  readUint64Le,
} from "./format.ts";

export interface PageHeader {
  readonly pageId: number;
  readonly isLeaf: boolean;
  readonly count: number;
  /** Pages that follow and belong to it. */
  readonly overflow: number;
}

/** The header at `at`; refuses pages that hold no entries, and one that was written for another place. */
export function parseHeader(bytes: Buffer, at: number, pageId: number): PageHeader {
  const written = readUint64Le(bytes, at);
  if (written !== pageId) throw damaged(pageId, `it says that it is page ${written}`);
  const kind = bytes.readUInt16LE(at + 8);
  if (kind !== PageKind.leaf && kind !== PageKind.branch) {
    throw damaged(pageId, `kind 0x${kind.toString(16)} where a leaf or branch should be`);
  }
  const isLeaf = kind === PageKind.leaf;
  const count = bytes.readUInt16LE(at + 10);
  return { pageId, isLeaf, count, overflow: bytes.readUInt32LE(at + 12) };
}

/** Length of the header and the table of entries. */
export function tableBytes(header: PageHeader): number {
  return pageHeaderBytes + header.count * elementBytes;
}

/** What the entries say they take, from the page's start at `start`; the whole table must be there. */
export function claimedBytes(bytes: Buffer, start: number, header: PageHeader): number {
  const view = viewOf(bytes);
  const length = tableBytes(header);
  let claimed = length;
  for (let offset = pageHeaderBytes; offset < length; offset += elementBytes) {
    const at = start + offset + (header.isLeaf ? 4 : 0);
    let end = offset + view.getUint32(at, true) + view.getUint32(at + 4, true);
    if (header.isLeaf) end += view.getUint32(at + 8, true);
    if (end > claimed) claimed = end;
  }
  return claimed;
}

/**
 * The entries of one page or of several, as offsets into `bytes`: of entry i, `bounds` holds from 3i on the start of
 * its key, the key's end, and its end. A leaf's value begins at its key's end; of a branch's entry, the page id is
 * in `children`.
 */
export class Entries {
  readonly bytes: Buffer;
  count = 0;
  bounds = new Uint32Array(3 * 64);
  readonly children: number[] = [];
  /** Entries that are buckets. */
  bucketCount = 0;
  readonly #view: DataView;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** Appends the page at [start, end) of `bytes`. Throws when anything in it does not fit. */
  append(start: number, end: number, header: PageHeader): void {
    const { pageId, isLeaf, count } = header;
    const tableEnd = start + tableBytes(header);
    if (tableEnd > end) throw damaged(pageId, `it has no room for ${count} entries`);
    this.#reserve(count);
    for (let at = start + pageHeaderBytes; at < tableEnd; at += elementBytes) {
      if (isLeaf) this.#appendRecord(at, tableEnd, end, pageId);
      else this.#appendChild(at, tableEnd, end, pageId);
    }
    this.#checkOrder(this.count - count, pageId);
  }

  /** A view, valid as long as `bytes`. */
  key(index: number): Buffer {
    return this.bytes.subarray(this.#bound(3 * index), this.#bound(3 * index + 1));
  }

  /** A view, valid as long as `bytes`. */
  value(index: number): Buffer {
    return this.bytes.subarray(this.#bound(3 * index + 1), this.#bound(3 * index + 2));
  }

  /** Entry's key against `key`: negative, 0 or positive. */
  compareKey(index: number, key: Uint8Array): number {
    const { bytes } = this;
    const start = this.#bound(3 * index);
    return compareRanges(bytes, start, this.#bound(3 * index + 1), key, 0, key.length);
  }

  /** The first entry whose key is not below `key`; `count` when there is none. */
  lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compareKey(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Leaves out the first `count` entries. */
  dropFirst(count: number): void {
    this.bounds.copyWithin(0, 3 * count, 3 * this.count);
    this.count -= count;
  }

  #appendRecord(at: number, tableEnd: number, end: number, pageId: number): void {
    const view = this.#view;
    const flags = view.getUint32(at, true);
    const keyStart = at + view.getUint32(at + 4, true);
    const keyEnd = keyStart + view.getUint32(at + 8, true);
    const valueEnd = keyEnd + view.getUint32(at + 12, true);
    if (keyStart < tableEnd || valueEnd > end) throw damaged(pageId, "an entry leaves the page");
    if (keyEnd === keyStart) throw damaged(pageId, "an entry has no key");
    if (flags === bucketFlag) this.bucketCount++;
    else if (flags !== 0) throw damaged(pageId, `an entry has the flags 0x${flags.toString(16)}`);
    this.#push(keyStart, keyEnd, valueEnd);
  }

  #appendChild(at: number, tableEnd: number, end: number, pageId: number): void {
    const view = this.#view;
    const keyStart = at + view.getUint32(at, true);
    const keyEnd = keyStart + view.getUint32(at + 4, true);
    if (keyStart < tableEnd || keyEnd > end) throw damaged(pageId, "an entry leaves the page");
    if (keyEnd === keyStart) throw damaged(pageId, "an entry has no key");
    this.children.push(readUint64Le(this.bytes, at + 8));
    this.#push(keyStart, keyEnd, keyEnd);
  }

  #push(keyStart: number, keyEnd: number, end: number): void {
    const { bounds, count } = this;
    bounds[3 * count] = keyStart;
    bounds[3 * count + 1] = keyEnd;
    bounds[3 * count + 2] = end;
    this.count = count + 1;
  }

  /** That the keys from entry `first` on ascend; those before belong to another page. */
  #checkOrder(first: number, pageId: number): void {
    const { bytes, bounds } = this;
    for (let slot = 3 * (first + 1); slot < 3 * this.count; slot += 3) {
      const beforeStart = bounds[slot - 3] as number;
      const beforeEnd = bounds[slot - 2] as number;
      const start = bounds[slot] as number;
      const end = bounds[slot + 1] as number;
      if (compareRanges(bytes, beforeStart, beforeEnd, bytes, start, end) >= 0) {
        throw damaged(pageId, "its keys do not ascend");
      }
    }
  }

  #reserve(count: number): void {
    const needed = 3 * (this.count + count);
    if (needed <= this.bounds.length) return;
    const larger = new Uint32Array(Math.max(needed, 2 * this.bounds.length));
    larger.set(this.bounds);
    this.bounds = larger;
  }

  #bound(slot: number): number {
    return this.bounds[slot] as number;
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
