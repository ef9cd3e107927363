// Walks one bucket's tree in key order, reading runs of neighbouring leaves at once. A walk of a damaged file ends:
// every leaf must have keys above those of the leaf before, and no tree is deeper than `depthMax`.

import { damaged } from "./format.ts";
import { Entries, parseHeader } from "./page.ts";
import type { LoadedPage, PageListener, PageSource } from "./page-source.ts";

/** With two children to a branch already enough for any file. */
export const depthMax = 48;
/** Read at once. */
const runBytesMax = 1024 * 1024;
/** Between two leaves of a run; reading over it costs less than another read. */
const runGapBytes = 128 * 1024;

interface Step {
  readonly page: LoadedPage;
  /** The next child. */
  index: number;
  /** All keys below are smaller; undefined: no limit. */
  readonly limit: Buffer | undefined;
}

export class TreeScan {
  readonly #source: PageSource;
  readonly #onPage: PageListener | undefined;
  /** The branches from the root down to where the walk is. */
  readonly #stack: Step[] = [];
  #start: Uint8Array | undefined;
  #lastKey: Buffer | undefined;
  #buffer: Buffer | undefined;

  constructor(source: PageSource, start: Uint8Array | undefined, onPage?: PageListener) {
    this.#source = source;
    this.#start = start;
    this.#onPage = onPage;
  }

  /** The tree's entries from `start` on. A batch is valid until the next one is asked for. */
  async *batches(rootPage: number): AsyncGenerator<Entries, void> {
    const root = await this.#read(rootPage);
    if (root.header.isLeaf) {
      if (root.entries.count > 0) this.#acceptLeaf(root.entries, 0, rootPage, undefined, undefined);
      this.#skipBelowStart(root.entries);
      if (root.entries.count > 0) yield root.entries;
      return;
    }
    this.#push(root, undefined, undefined);
    for (let top = this.#stack.at(-1); top !== undefined; top = this.#stack.at(-1)) {
      if (top.index >= top.page.entries.count) {
        this.#stack.pop();
        continue;
      }
      const batch = await this.#nextRun(top);
      if (batch === undefined) continue;
      this.#skipBelowStart(batch);
      if (batch.count > 0) yield batch;
    }
  }

  /** The entries of the next leaves below `step`; undefined when it is a branch that comes next. */
  async #nextRun(step: Step): Promise<Entries | undefined> {
    const first = step.index;
    const last = this.#runEnd(step);
    const pages = step.page.entries.children;
    const firstPage = pages[first] as number;
    const pageSize = this.#source.pageSizeBytes;
    const bytes = await this.#readRun(firstPage, pages[last] as number);
    const entries = new Entries(bytes);
    for (let index = first; index <= last; index++) {
      const pageId = pages[index] as number;
      const at = (pageId - firstPage) * pageSize;
      const header = parseHeader(bytes, at, pageId);
      const end = at + this.#source.checkOverflow(header);
      if (!header.isLeaf || end > bytes.length) {
        // On its own: a branch, or a leaf that goes on beyond what was read.
        return entries.count > 0 ? entries : this.#single(step);
      }
      this.#onPage?.(pageId, header.overflow + 1);
      const before = entries.count;
      entries.append(at, end, header);
      this.#acceptLeaf(entries, before, pageId, step, limitOf(step, index));
      step.index = index + 1;
    }
    return entries;
  }

  async #single(step: Step): Promise<Entries | undefined> {
    const { index } = step;
    const pageId = step.page.entries.children[index] as number;
    const page = await this.#read(pageId);
    const limit = limitOf(step, index);
    if (!page.header.isLeaf) {
      this.#push(page, step, limit);
      step.index = index + 1;
      return undefined;
    }
    this.#acceptLeaf(page.entries, 0, pageId, step, limit);
    step.index = index + 1;
    return page.entries;
  }

  /** The last child that one read takes along with the next one. */
  #runEnd(step: Step): number {
    const pages = step.page.entries.children;
    const pageSize = this.#source.pageSizeBytes;
    const parent = step.page.header.pageId;
    const firstPage = pages[step.index] as number;
    this.#source.checkId(firstPage, parent);
    let last = step.index;
    for (let index = last + 1; index < pages.length; index++) {
      const pageId = pages[index] as number;
      const before = pages[index - 1] as number;
      const isNear = pageId > before && (pageId - before) * pageSize <= runGapBytes;
      if (!isNear || (pageId + 1 - firstPage) * pageSize > runBytesMax) break;
      this.#source.checkId(pageId, parent);
      last = index;
    }
    return last;
  }

  async #readRun(firstPage: number, lastPage: number): Promise<Buffer> {
    const count = (lastPage + 1 - firstPage) * this.#source.pageSizeBytes;
    if (this.#buffer === undefined || this.#buffer.length < count) {
      this.#buffer = Buffer.allocUnsafeSlow(Math.min(2 * count, runBytesMax));
    }
    const bytes = this.#buffer.length === count ? this.#buffer : this.#buffer.subarray(0, count);
    await this.#source.readInto(bytes, firstPage);
    return bytes;
  }

  async #read(pageId: number): Promise<LoadedPage> {
    const page = await this.#source.read(pageId);
    this.#onPage?.(pageId, page.header.overflow + 1);
    return page;
  }

  /** Goes down into a branch, to the child where the keys from `start` on begin. */
  #push(page: LoadedPage, parent: Step | undefined, limit: Buffer | undefined): void {
    const { header, entries } = page;
    if (entries.count === 0) throw damaged(header.pageId, "a branch without children");
    if (this.#stack.length >= depthMax) throw damaged(header.pageId, "the tree is too deep");
    checkBounds(entries, 0, header.pageId, parent, limit);
    let index = 0;
    if (this.#start !== undefined) index = childFor(entries, this.#start);
    this.#stack.push({ page, index, limit });
  }

  /** Checks the entries of one leaf, from `first` on, against the tree and what came before. */
  #acceptLeaf(
    entries: Entries,
    first: number,
    pageId: number,
    parent: Step | undefined,
    limit: Buffer | undefined,
  ): void {
    if (entries.count === first) throw damaged(pageId, "a leaf without entries");
    if (entries.bucketCount > 0)
      throw damaged(pageId, "a bucket inside a bucket, which etcd has not");
    checkBounds(entries, first, pageId, parent, limit);
    if (this.#lastKey !== undefined && entries.compareKey(first, this.#lastKey) <= 0) {
      throw damaged(pageId, "its keys are not above those before");
    }
    this.#lastKey = Buffer.from(entries.key(entries.count - 1));
  }

  /** Only the first batch can have keys below the start. */
  #skipBelowStart(entries: Entries): void {
    if (this.#start === undefined) return;
    const skipped = entries.lowerBound(this.#start);
    if (skipped < entries.count) this.#start = undefined;
    entries.dropFirst(skipped);
  }
}

/** The child under which `key` is, if anywhere. */
export function childFor(entries: Entries, key: Uint8Array): number {
  const index = entries.lowerBound(key);
  if (index < entries.count && entries.compareKey(index, key) === 0) return index;
  return Math.max(index - 1, 0);
}

function limitOf(step: Step, index: number): Buffer | undefined {
  const { entries } = step.page;
  return index + 1 < entries.count ? entries.key(index + 1) : step.limit;
}

/** That the page's keys are those for which its parent leads to it. */
function checkBounds(
  entries: Entries,
  first: number,
  pageId: number,
  parent: Step | undefined,
  limit: Buffer | undefined,
): void {
  if (parent !== undefined) {
    const lower = parent.page.entries.key(parent.index);
    if (entries.compareKey(first, lower) < 0) {
      throw damaged(pageId, "its keys are below what its parent says");
    }
  }
  if (limit !== undefined && entries.compareKey(entries.count - 1, limit) >= 0) {
    throw damaged(pageId, "its keys are above what its parent says");
  }
}
