// A set of half-open intervals of keys (latin1 strings), kept merged and sorted, so that asking for a
// key is a binary search however many intervals were added.

export class IntervalSet {
  readonly #begins: string[] = [];
  readonly #ends: string[] = [];

  /** Adds [begin, end). An empty or inverted interval adds nothing. */
  add(begin: string, end: string): void {
    if (begin >= end) return;
    // All intervals from `first` up to `last` (exclusive) touch the new one and are merged into it.
    let first = this.#countUntil(begin);
    if (first > 0 && (this.#ends[first - 1] as string) >= begin) first -= 1;
    let last = first;
    let mergedBegin = begin;
    let mergedEnd = end;
    while (last < this.#begins.length && (this.#begins[last] as string) <= end) {
      const otherBegin = this.#begins[last] as string;
      const otherEnd = this.#ends[last] as string;
      if (otherBegin < mergedBegin) mergedBegin = otherBegin;
      if (otherEnd > mergedEnd) mergedEnd = otherEnd;
      last += 1;
    }
    this.#begins.splice(first, last - first, mergedBegin);
    this.#ends.splice(first, last - first, mergedEnd);
  }

  addAll(other: IntervalSet): void {
    for (let i = 0; i < other.#begins.length; i++) {
      this.add(other.#begins[i] as string, other.#ends[i] as string);
    }
  }

  has(key: string): boolean {
    const at = this.#countUntil(key) - 1;
    return at >= 0 && key < (this.#ends[at] as string);
  }

  /** How many intervals begin at or before `key`. */
  #countUntil(key: string): number {
    let low = 0;
    let high = this.#begins.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#begins[middle] as string) <= key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
