// A binary heap of leases by time. Entries are never moved when a lease is renewed: whoever takes one out
// compares it with the lease and puts it back when it came too early. So renewing costs nothing here.

import type { Lease } from "./lease.ts";

interface Entry {
  readonly timeMs: number;
  readonly lease: Lease;
}

export class LeaseHeap {
  readonly #entries: Entry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** The time of the first entry; Infinity when empty. */
  get firstTimeMs(): number {
    return this.#entries[0]?.timeMs ?? Number.POSITIVE_INFINITY;
  }

  clear(): void {
    this.#entries.length = 0;
  }

  push(lease: Lease, timeMs: number): void {
    const entries = this.#entries;
    const entry = { timeMs, lease };
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = entries[parent] as Entry;
      if (above.timeMs <= timeMs) break;
      entries[at] = above;
      at = parent;
    }
    entries[at] = entry;
  }

  /** Removes and returns the lease with the earliest time; undefined when empty. */
  pop(): Lease | undefined {
    const entries = this.#entries;
    const first = entries[0];
    const last = entries.pop();
    if (first === undefined || last === undefined) return undefined;
    if (entries.length > 0) this.#sink(last);
    return first.lease;
  }

  /** Puts `entry` at the top and lets it sink to its place. */
  #sink(entry: Entry): void {
    const entries = this.#entries;
    const count = entries.length;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= count) break;
      const right = child + 1;
      if (right < count && (entries[right] as Entry).timeMs < (entries[child] as Entry).timeMs) {
        child = right;
      }
      const below = entries[child] as Entry;
      if (below.timeMs >= entry.timeMs) break;
      entries[at] = below;
      at = child;
    }
    entries[at] = entry;
  }
}
