// That each page of a file is used once, by a tree, by the list of free pages, or is free. What nothing leads to is
// free when the file keeps no list.

import { assert } from "../../base/assert.ts";
import { damaged, firstDataPage, PageKind, pageHeaderBytes, readUint64Le } from "./format.ts";
import type { PageSource } from "./page-source.ts";

const idBytes = 8;
/** A count that does not fit the header is the first id of the list. */
const countInList = 0xffff;
const readBytesMax = 1024 * 1024;

/** The pages that are accounted for. */
export class PageSet {
  readonly #bits: Uint8Array;
  readonly #end: number;

  constructor(end: number) {
    this.#bits = new Uint8Array(Math.ceil(end / 8));
    this.#end = end;
    this.add(0, firstDataPage);
  }

  /** Throws when one of the pages is there already. The caller has checked that they exist. */
  add(pageId: number, count: number): void {
    assert(pageId + count <= this.#end, "a page outside the file");
    for (let id = pageId; id < pageId + count; id++) {
      const bit = 1 << (id & 7);
      const bits = this.#bits[id >>> 3] as number;
      if ((bits & bit) !== 0) throw damaged(id, "it is used twice");
      this.#bits[id >>> 3] = bits | bit;
    }
  }

  /** The pages that are not there; `first` is the lowest. */
  missing(): { readonly count: number; readonly first: number } {
    let count = 0;
    let first = this.#end;
    for (let id = 0; id < this.#end; id++) {
      if (((this.#bits[id >>> 3] as number) & (1 << (id & 7))) !== 0) continue;
      if (count === 0) first = id;
      count++;
    }
    return { count, first };
  }
}

/** Adds the list's pages and the free ones to `used`, and resolves to how many are free. */
export async function checkFreePages(
  source: PageSource,
  freelistPage: number | undefined,
  used: PageSet,
): Promise<number> {
  if (freelistPage === undefined) return used.missing().count;
  const freePages = await readFreelist(source, freelistPage, used);
  const missing = used.missing();
  if (missing.count > 0) throw damaged(missing.first, "nothing leads to it and it is not free");
  return freePages;
}

async function readFreelist(source: PageSource, pageId: number, used: PageSet): Promise<number> {
  source.checkId(pageId, 0);
  const head = await source.readBytes(pageId, pageHeaderBytes + idBytes);
  const isList = readUint64Le(head, 0) === pageId && head.readUInt16LE(8) === PageKind.freelist;
  if (!isList) throw damaged(pageId, "it is not the list of free pages");
  const overflow = head.readUInt32LE(12);
  const roomBytes = source.checkOverflow({ pageId, isLeaf: false, count: 0, overflow });
  used.add(pageId, overflow + 1);
  const shortCount = head.readUInt16LE(10);
  const isLong = shortCount === countInList;
  const count = isLong ? readUint64Le(head, pageHeaderBytes) : shortCount;
  const start = pageHeaderBytes + (isLong ? idBytes : 0);
  if (start + count * idBytes > roomBytes) throw damaged(pageId, `it has no room for ${count} ids`);
  const end = start + count * idBytes;
  for (let at = 0; at < end; at += readBytesMax) {
    const firstPage = pageId + at / source.pageSizeBytes;
    const bytes = await source.readBytes(firstPage, Math.min(readBytesMax, end - at));
    for (let slot = at === 0 ? start : 0; slot < bytes.length; slot += idBytes) {
      const free = readUint64Le(bytes, slot);
      source.checkId(free, pageId);
      used.add(free, 1);
    }
  }
  return count;
}
