// The keys that an import has met since it last wrote their rows: what each of them is now, and which of its
// versions became earlier ones. Taken out in key order, so that the database writes each of its pages once.

import type { KeyMeta } from "./row-codec.ts";
import type { Version } from "./versions-table.ts";

/** A key's newest change, and what came before it since the last write. */
export class ImportedKey implements KeyMeta, Version {
  readonly text: string;
  /** What the database holds of the key as live. */
  readonly flushed: KeyMeta | undefined;
  main = 0;
  sub = 0;
  chunkMain = 0;
  chunkSub = 0;
  create = 0;
  version = 0;
  lease = 0n;
  isTombstone = false;
  /** Versions that were replaced or deleted, oldest first. Most keys have none, so most have no list. */
  #earlier: Version[] | undefined;

  constructor(text: string, flushed: KeyMeta | undefined) {
    this.text = text;
    this.flushed = flushed;
    if (flushed) this.#earlier = [locationOf(flushed, false)];
  }

  /** Notes that the newest change is about to be followed by another. */
  replace(): void {
    this.#earlier ??= [];
    this.#earlier.push(locationOf(this, this.isTombstone));
  }

  /** What is an earlier version once this key is written: also its tombstone, for that is never a live one. */
  takeEarlier(): readonly Version[] {
    if (this.isTombstone) this.replace();
    return this.#earlier ?? none;
  }
}

const none: readonly Version[] = [];

function locationOf({ main, sub, chunkMain, chunkSub }: KeyMeta, isTombstone: boolean): Version {
  return { main, sub, chunkMain, chunkSub, isTombstone };
}

/** As many keys as are sorted in one go: a millisecond or two. */
const runKeys = 2048;

export class ImportedKeys {
  readonly #byText = new Map<string, ImportedKey>();
  /** Each sorted, but for the last. */
  #runs: ImportedKey[][] = [[]];

  get size(): number {
    return this.#byText.size;
  }

  get(text: string): ImportedKey | undefined {
    return this.#byText.get(text);
  }

  add(key: ImportedKey): void {
    this.#byText.set(key.text, key);
    const run = this.#runs[this.#runs.length - 1] as ImportedKey[];
    run.push(key);
    if (run.length < runKeys) return;
    run.sort(byText);
    this.#runs.push([]);
  }

  /** Lists all keys in order; nothing may be added meanwhile. */
  *sorted(): Generator<ImportedKey> {
    (this.#runs[this.#runs.length - 1] as ImportedKey[]).sort(byText);
    const heap = new RunHeap(this.#runs);
    for (let key = heap.take(); key; key = heap.take()) yield key;
  }

  clear(): void {
    this.#byText.clear();
    this.#runs = [[]];
  }
}

function byText(a: ImportedKey, b: ImportedKey): number {
  return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
}

interface Run {
  readonly keys: readonly ImportedKey[];
  at: number;
  head: ImportedKey;
}

/** Merges sorted runs: a binary heap of what each has next. */
class RunHeap {
  readonly #runs: Run[] = [];

  constructor(runs: readonly (readonly ImportedKey[])[]) {
    for (const keys of runs) {
      const head = keys[0];
      if (head) this.#runs.push({ keys, at: 0, head });
    }
    for (let i = this.#runs.length >> 1; i >= 0; i--) this.#sink(i);
  }

  take(): ImportedKey | undefined {
    const first = this.#runs[0];
    if (!first) return undefined;
    const { head } = first;
    const next = first.keys[++first.at];
    if (next) {
      first.head = next;
    } else {
      const last = this.#runs.pop() as Run;
      if (last !== first) this.#runs[0] = last;
    }
    this.#sink(0);
    return head;
  }

  #sink(from: number): void {
    const runs = this.#runs;
    const run = runs[from];
    if (!run) return;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= runs.length) break;
      const right = runs[child + 1];
      if (right && right.head.text < (runs[child] as Run).head.text) child++;
      if ((runs[child] as Run).head.text >= run.head.text) break;
      runs[at] = runs[child] as Run;
      at = child;
    }
    runs[at] = run;
  }
}
