// The store as one would explain it: a list of changes, read from the start for every question. Slow and
// obviously right; what the real store and a real etcd are compared with. It shares no code with either.

/** One put (with numbers) or delete (without) of a key. */
interface ModelChange {
  readonly key: string;
  readonly main: number;
  readonly sub: number;
  /** undefined: a delete. */
  readonly kv: ModelKeyValue | undefined;
}

/** Keys and values have one char per byte. */
export interface ModelKeyValue {
  readonly key: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly value: string;
  readonly lease: bigint;
}

export interface ModelRange {
  readonly key: string;
  /** Absent: one key; "\0": all keys from `key` on. */
  readonly rangeEnd?: string;
  readonly revision?: number;
  readonly limit?: number;
  readonly countOnly?: boolean;
  readonly keysOnly?: boolean;
  readonly sortOrder?: number;
  readonly sortTarget?: number;
  readonly minModRevision?: number;
  readonly maxModRevision?: number;
  readonly minCreateRevision?: number;
  readonly maxCreateRevision?: number;
}

export type ModelRangeResult =
  | { kvs: ModelKeyValue[]; count: number; more: boolean; revision: number }
  | { error: "compacted" | "future" };

/** One operation of a command; a command's operations share a revision. */
export type ModelOperation =
  | { readonly kind: "put"; readonly key: string; readonly value: string; readonly lease: bigint }
  | { readonly kind: "delete"; readonly key: string; readonly rangeEnd?: string };

export type ModelOutcome = { deleted: number; previous: ModelKeyValue[] };

export interface ModelEvent {
  readonly type: 0 | 1;
  readonly key: string;
  readonly main: number;
  readonly kv: ModelKeyValue | undefined;
  readonly prevKv: ModelKeyValue | undefined;
}

export class StoreModel {
  readonly #changes: ModelChange[] = [];
  currentRevision = 1;
  compactRevision = -1;

  /** Executes the operations of one command in order; `revision` is that of its reply. */
  execute(operations: readonly ModelOperation[]): { revision: number; outcomes: ModelOutcome[] } {
    const main = this.currentRevision + 1;
    const first = this.#changes.length;
    const outcomes = operations.map((operation) => {
      const { key } = operation;
      const rangeEnd = operation.kind === "delete" ? operation.rangeEnd : undefined;
      const previous = this.#live(main).filter((kv) => isWithin(kv.key, key, rangeEnd));
      const sub = this.#changes.length - first;
      if (operation.kind === "put") {
        const old = previous[0];
        const kv = {
          key,
          createRevision: old?.createRevision ?? main,
          modRevision: main,
          version: (old?.version ?? 0) + 1,
          value: operation.value,
          lease: operation.lease,
        };
        this.#changes.push({ key, main, sub, kv });
      } else {
        for (const [i, old] of previous.entries()) {
          this.#changes.push({ key: old.key, main, sub: sub + i, kv: undefined });
        }
      }
      return { deleted: operation.kind === "delete" ? previous.length : 0, previous };
    });
    if (this.#changes.length > first) this.currentRevision = main;
    return { revision: this.currentRevision, outcomes };
  }

  range(range: ModelRange): ModelRangeResult {
    const asked = range.revision ?? 0;
    if (asked > this.currentRevision) return { error: "future" };
    const at = asked <= 0 ? this.currentRevision : asked;
    if (at < this.compactRevision) return { error: "compacted" };
    const inRange = this.#live(at).filter((kv) => isWithin(kv.key, range.key, range.rangeEnd));
    const count = inRange.length;
    const revision = this.currentRevision;
    if (range.countOnly) return { kvs: [], count, more: false, revision };
    const { limit = 0, sortOrder = 0, sortTarget = 0 } = range;
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = range;
    const hasFilters = minModRevision || maxModRevision || minCreateRevision || maxCreateRevision;
    // A limit cuts the reading short unless all keys have to be looked at.
    const inOrder = sortOrder === 0 || (sortTarget === 0 && sortOrder === 1);
    let kvs = limit > 0 && inOrder && !hasFilters ? inRange.slice(0, limit + 1) : inRange;
    kvs = kvs.filter(
      (kv) =>
        (!maxModRevision || kv.modRevision <= maxModRevision) &&
        (!minModRevision || kv.modRevision >= minModRevision) &&
        (!maxCreateRevision || kv.createRevision <= maxCreateRevision) &&
        (!minCreateRevision || kv.createRevision >= minCreateRevision),
    );
    const fields = ["key", "version", "createRevision", "modRevision", "value"] as const;
    const field = fields[sortTarget] as (typeof fields)[number];
    const direction = sortOrder === 2 ? -1 : 1;
    if (sortTarget !== 0 || sortOrder === 2) {
      kvs = kvs.toSorted((a, b) =>
        a[field] < b[field] ? -direction : a[field] > b[field] ? direction : 0,
      );
    }
    const more = limit > 0 && kvs.length > limit;
    if (more) kvs = kvs.slice(0, limit);
    if (range.keysOnly) {
      kvs = kvs.map((kv) => ({ ...kv, value: "", lease: sortTarget === 4 ? kv.lease : 0n }));
    }
    return { kvs, count, more, revision };
  }

  compact(revision: number): { error?: "compacted" | "future" } {
    if (revision <= this.compactRevision) return { error: "compacted" };
    if (revision > this.currentRevision) return { error: "future" };
    this.compactRevision = revision;
    return {};
  }

  /** All events from `revision` on that compaction left: of older changes those that still matter. */
  eventsSince(revision: number): ModelEvent[] | { error: "compacted" } {
    if (revision < this.compactRevision) return { error: "compacted" };
    return this.#changes
      .filter((change) => change.main >= revision && this.#isKept(change, this.compactRevision))
      .map(({ key, main, sub, kv }) => {
        const before = this.#changes.filter(
          (c) => c.key === key && (c.main < main || (c.main === main && c.sub < sub)),
        );
        const previous = before[before.length - 1];
        const isReadable = previous && this.#isKept(previous, this.compactRevision);
        return { type: kv ? 0 : 1, key, main, kv, prevKv: isReadable ? previous.kv : undefined };
      });
  }

  /** The changes that HashKV covers, in order. */
  hashed(
    revision: number,
  ): { main: number; sub: number; key: string; kv: ModelKeyValue | undefined }[] {
    const kept = this.#changes.filter((c) => c.kv && this.#isLatest(c, revision));
    return this.#changes.filter((change) => {
      if (change.main > revision) return false;
      if (change.main > this.compactRevision) return true;
      if (!change.kv) return false;
      return kept.length > 0 ? kept.includes(change) : this.#isLatest(change, this.compactRevision);
    });
  }

  /** Live keys at a revision, ascending. */
  #live(main: number): ModelKeyValue[] {
    const latest = new Map<string, ModelKeyValue | undefined>();
    for (const change of this.#changes) if (change.main <= main) latest.set(change.key, change.kv);
    return [...latest.values()]
      .filter((kv) => kv !== undefined)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Whether no later change of the key is at or before `main`, and this one is. */
  #isLatest(change: ModelChange, main: number): boolean {
    if (change.main > main) return false;
    const ofKey = this.#changes.filter((c) => c.key === change.key && c.main <= main);
    return ofKey[ofKey.length - 1] === change;
  }

  /** Whether a compaction at `main` keeps a change: what is newer, what is live then, a delete made just then. */
  #isKept(change: ModelChange, main: number): boolean {
    if (change.main > main) return true;
    return this.#isLatest(change, main) && (change.kv !== undefined || change.main === main);
  }
}

function isWithin(key: string, start: string, end: string | undefined): boolean {
  if (end === undefined || end === "") return key === start;
  return key >= start && (end === "\0" || key < end);
}
