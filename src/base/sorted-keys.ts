// An ordered set of strings for keys that arrive in any order and are read in order now and then. Adding is
// a push; the first ordered read after it places what is new into blocks, so its cost follows the number
// of new keys, never the size of the set. Order is by UTF-16 unit: byte order for latin1 keys.

const blockKeysMax = 256;

export class SortedKeys {
  /** Sorted, none empty; every key of a block is below those of the next. */
  #blocks: string[][] = [];
  #fresh: string[] = [];
  #size = 0;

  /** Keys added and not deleted; a key must be added once only. */
  get size(): number {
    return this.#size;
  }

  /** The caller vouches that `key` is not in the set. */
  add(key: string): void {
    this.#fresh.push(key);
    this.#size++;
  }

  delete(key: string): void {
    this.#place();
    const b = this.#blockOf(key);
    const block = this.#blocks[b];
    if (!block) return;
    const at = lowerBound(block, key);
    if (block[at] !== key) return;
    block.splice(at, 1);
    if (block.length === 0) this.#blocks.splice(b, 1);
    this.#size--;
  }

  clear(): void {
    this.#blocks = [];
    this.#fresh = [];
    this.#size = 0;
  }

  /** Up to `limit` keys from `start` (inclusive) to below `end` (undefined: to the last), ascending. */
  slice(start: string, end: string | undefined, limit: number): string[] {
    this.#place();
    const found: string[] = [];
    let b = this.#blockOf(start);
    let at = b < this.#blocks.length ? lowerBound(this.#blocks[b] as string[], start) : 0;
    for (; b < this.#blocks.length; b++, at = 0) {
      const block = this.#blocks[b] as string[];
      for (; at < block.length; at++) {
        const key = block[at] as string;
        if (found.length >= limit || (end !== undefined && key >= end)) return found;
        found.push(key);
      }
    }
    return found;
  }

  /** Up to `limit` keys below `end` (undefined: from the last) down to `start` (inclusive), descending. */
  sliceDescending(start: string, end: string | undefined, limit: number): string[] {
    this.#place();
    const found: string[] = [];
    let b = end === undefined ? this.#blocks.length - 1 : this.#blockOf(end);
    if (b >= this.#blocks.length) b = this.#blocks.length - 1;
    for (; b >= 0; b--) {
      const block = this.#blocks[b] as string[];
      let at = (end === undefined ? block.length : lowerBound(block, end)) - 1;
      for (; at >= 0; at--) {
        const key = block[at] as string;
        if (found.length >= limit || key < start) return found;
        found.push(key);
      }
    }
    return found;
  }

  /** The first block whose last key is at or above `key`. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const block = this.#blocks[middle] as string[];
      if ((block[block.length - 1] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #place(): void {
    const fresh = this.#fresh;
    if (fresh.length === 0) return;
    this.#fresh = [];
    // Many at once are cheaper to merge as a whole than to insert one by one.
    if (fresh.length > 64 && fresh.length * 4 > this.#size) this.#rebuild(fresh);
    else for (const key of fresh) this.#insert(key);
  }

  #rebuild(fresh: string[]): void {
    const all = this.#blocks.flat();
    for (const key of fresh) all.push(key);
    all.sort(ascending);
    const blocks: string[][] = [];
    for (let i = 0; i < all.length; i += blockKeysMax / 2) {
      blocks.push(all.slice(i, i + blockKeysMax / 2));
    }
    this.#blocks = blocks;
  }

  #insert(key: string): void {
    const blocks = this.#blocks;
    if (blocks.length === 0) {
      blocks.push([key]);
      return;
    }
    const b = Math.min(this.#blockOf(key), blocks.length - 1);
    const block = blocks[b] as string[];
    const at = lowerBound(block, key);
    if (at === block.length) block.push(key);
    else block.splice(at, 0, key);
    if (block.length > blockKeysMax) blocks.splice(b + 1, 0, block.splice(blockKeysMax / 2));
  }
}

/** The first position whose key is at or above `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Order of latin1 keys for Array.sort: byte order. */
export function ascending(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
