// A B+tree written bottom up: records come in key order, pages go out as they fill, and what is kept is one
// unfinished page for each level. Every branch gets at least two children: bbolt counts on it when it deletes.

import { assert } from "../../base/assert.ts";
import type { ChunkOutput } from "./chunk-output.ts";
import { elementBytes, inlineBytesMax, pageSizeBytes } from "./format.ts";
import { PageBuilder } from "./page-builder.ts";

export class TreeBuilder {
  readonly #output: ChunkOutput;
  /** The leaf first, the root's level last. Levels above the used ones are empty. */
  readonly #levels: PageBuilder[] = [new PageBuilder(true)];
  readonly #leaf = this.#levels[0] as PageBuilder;

  constructor(output: ChunkOutput) {
    this.#output = output;
  }

  /** Adds key[keyStart, keyEnd) → value[valueStart, valueEnd), after all others. Copies both. */
  add(
    flags: number,
    key: Buffer,
    keyStart: number,
    keyEnd: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
  ): void {
    const leaf = this.#leaf;
    assert(leaf.isAscending(key, keyStart, keyEnd), "keys must ascend");
    const size = elementBytes + keyEnd - keyStart + valueEnd - valueStart;
    if (leaf.count > 0 && leaf.sizeBytes + size > pageSizeBytes) this.#emit(0, false);
    leaf.addRecord(flags, key, keyStart, keyEnd, value, valueStart, valueEnd);
  }

  /** Ends a tree that may lie inside its bucket's entry: its root page, or the whole of it. Begins anew. */
  finish(): number | Buffer {
    const isSingle = this.#isTop(0);
    if (isSingle && this.#leaf.sizeBytes <= inlineBytesMax) return this.#leaf.takeInline();
    return this.finishOnPages();
  }

  /** Ends the tree and returns its root page. Begins anew. */
  finishOnPages(): number {
    let level = 0;
    for (; !this.#isTop(level); level++) this.#emit(level, false);
    return this.#writePage(level, false);
  }

  #isTop(level: number): boolean {
    const above = this.#levels[level + 1];
    return above === undefined || above.count === 0;
  }

  #emit(level: number, keepsLast: boolean): void {
    const page = this.#levels[level] as PageBuilder;
    const { bytes, firstKeyEnd } = page;
    const key = Buffer.from(bytes.subarray(0, firstKeyEnd));
    this.#addChild(level + 1, key, this.#writePage(level, keepsLast));
  }

  #writePage(level: number, keepsLast: boolean): number {
    const pageId = this.#output.position / pageSizeBytes;
    (this.#levels[level] as PageBuilder).write(this.#output, pageId, keepsLast);
    return pageId;
  }

  #addChild(level: number, key: Buffer, pageId: number): void {
    let branch = this.#levels[level];
    if (branch === undefined) {
      branch = new PageBuilder(false);
      this.#levels.push(branch);
    }
    // The last child stays for the next branch, so that none is left with a single one.
    const isFull = branch.sizeBytes + elementBytes + key.length > pageSizeBytes;
    if (branch.count >= 3 && isFull) this.#emit(level, true);
    branch.addChild(key, 0, key.length, pageId);
  }
}
