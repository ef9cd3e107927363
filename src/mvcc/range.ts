// Answers ranges with etcd's rules: what is counted, in what order, what a limit cuts off. Filters and sorting look
// at every key of the range, as there; the plain ascending order reads no further than the limit.

import { encodeKeyValueHead, KeyValueView } from "../wire/key-value.ts";
import type { KeyCounts } from "./key-counts.ts";
import type { BytesVisitor, Found, Reader } from "./reader.ts";
import type { KeyMeta } from "./row-codec.ts";

/** The numbers of RangeRequest's enums. */
export const SortOrder = { none: 0, ascend: 1, descend: 2 } as const;
export const SortTarget = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;

export interface RangeOptions {
  readonly key: Buffer;
  /** Exclusive. Absent: the one key; one zero byte: all keys from `key` on. */
  readonly rangeEnd?: Buffer;
  /** 0 or absent: the current revision. */
  readonly revision?: number;
  /** 0 or absent: no limit. */
  readonly limit?: number;
  readonly countOnly?: boolean;
  readonly keysOnly?: boolean;
  readonly sortOrder?: number;
  readonly sortTarget?: number;
  /** Bounds, both inclusive; 0 or absent: none. They filter what is returned, not what is counted. */
  readonly minModRevision?: number;
  readonly maxModRevision?: number;
  readonly minCreateRevision?: number;
  readonly maxCreateRevision?: number;
  /** Leaves the count at the number of keys returned: a chunk of a longer walk has no use for more. */
  readonly withoutCount?: boolean;
}

export interface RangeSummary {
  /** Keys in the range, before filters and limit. */
  readonly count: number;
  /** Whether the limit cut something off. */
  readonly more: boolean;
  /** The current revision, whatever revision was read. */
  readonly revision: number;
}

export type RangeFailure = { readonly error: "compacted" | "future" };

export type RangeResult = (RangeSummary & { readonly kvs: Uint8Array[] }) | RangeFailure;

/** The state a range is asked of. */
export interface RangeView {
  readonly reader: Reader;
  readonly counts: KeyCounts;
  readonly currentRevision: number;
  readonly compactRevision: number;
  /** The keys changed after a revision; undefined when that is too many to look at. */
  changedSince?(revision: number): ReadonlySet<string> | undefined;
}

interface Row {
  readonly key: string;
  readonly found: Found;
}

/** Executes a range and hands over its KeyValues one by one; they are valid only during the call. */
export function visitRange(
  view: RangeView,
  options: RangeOptions,
  visit: BytesVisitor,
): RangeSummary | RangeFailure {
  const current = view.currentRevision;
  const asked = options.revision ?? 0;
  if (asked > current) return { error: "future" };
  const revision = asked <= 0 ? current : asked;
  if (revision < view.compactRevision) return { error: "compacted" };
  return new RangeRun(view, options, revision).run(visit);
}

class RangeRun {
  readonly #view: RangeView;
  readonly #options: RangeOptions;
  readonly #revision: number;
  readonly #start: string;
  /** undefined: to the last key. */
  readonly #end: string | undefined;

  constructor(view: RangeView, options: RangeOptions, revision: number) {
    this.#view = view;
    this.#options = options;
    this.#revision = revision;
    const { key, rangeEnd } = options;
    this.#start = key.latin1Slice(0, key.length);
    const isOpen = rangeEnd?.length === 1 && rangeEnd[0] === 0;
    this.#end = rangeEnd && !isOpen ? rangeEnd.latin1Slice(0, rangeEnd.length) : undefined;
  }

  run(visit: BytesVisitor): RangeSummary {
    const { limit = 0, rangeEnd } = this.#options;
    const revision = this.#view.currentRevision;
    if (!rangeEnd || rangeEnd.length === 0) return this.#runOne(visit);
    if (this.#options.countOnly) return { count: this.#count(), more: false, revision };
    const takesAll = !this.#isInKeyOrder() || this.#hasFilters();
    const limitRead = takesAll || limit === 0 ? Number.POSITIVE_INFINITY : limit + 1;
    const rows: Row[] = [];
    this.#walk(limitRead, (key, found) => {
      rows.push({ key, found });
      return rows.length < limitRead;
    });
    const isWhole = rows.length < limitRead;
    const count = isWhole || this.#options.withoutCount ? rows.length : this.#count();
    const chosen = this.#sorted(this.#filtered(rows));
    const more = limit > 0 && chosen.length > limit;
    if (more) chosen.length = limit;
    for (const row of chosen) this.#emit(row, visit);
    return { count, more, revision };
  }

  #runOne(visit: BytesVisitor): RangeSummary {
    const { reader, currentRevision } = this.#view;
    const found =
      this.#revision === currentRevision
        ? reader.meta(this.#start)
        : reader.metaAt(this.#start, this.#revision);
    const summary = { count: found ? 1 : 0, more: false, revision: currentRevision };
    if (!found || this.#options.countOnly) return summary;
    for (const row of this.#filtered([{ key: this.#start, found }])) this.#emit(row, visit);
    return summary;
  }

  #walk(hint: number, visit: (key: string, found: Found) => boolean): void {
    const { reader, currentRevision } = this.#view;
    if (this.#end !== undefined && this.#end <= this.#start) return;
    if (this.#revision === currentRevision) reader.walk(this.#start, this.#end, visit, hint);
    else reader.walkAt(this.#revision, this.#start, this.#end, visit, hint);
  }

  #count(): number {
    if (this.#revision === this.#view.currentRevision) return this.#countNow();
    // Pages of a listing at a fixed revision ask again and again: the count now, less what changed since, will do.
    const changed = this.#view.changedSince?.(this.#revision);
    if (changed) return this.#countNow() + this.#difference(changed);
    let count = 0;
    this.#walk(Number.POSITIVE_INFINITY, () => {
      count++;
      return true;
    });
    return count;
  }

  #countNow(): number {
    const { reader, counts } = this.#view;
    return counts.count(this.#start, this.#end, (start, end, visit) =>
      reader.walk(start, end, visit),
    );
  }

  /** How many more of these keys were live in the range at the revision asked for than are now. */
  #difference(changed: ReadonlySet<string>): number {
    const { reader } = this.#view;
    let difference = 0;
    for (const key of changed) {
      if (key < this.#start || (this.#end !== undefined && key >= this.#end)) continue;
      if (reader.meta(key)) difference--;
      if (reader.metaAt(key, this.#revision)) difference++;
    }
    return difference;
  }

  #isInKeyOrder(): boolean {
    const { sortOrder = 0, sortTarget = 0 } = this.#options;
    return (
      sortOrder === SortOrder.none ||
      (sortTarget === SortTarget.key && sortOrder === SortOrder.ascend)
    );
  }

  #hasFilters(): boolean {
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = this.#options;
    return Boolean(minModRevision || maxModRevision || minCreateRevision || maxCreateRevision);
  }

  #filtered(rows: Row[]): Row[] {
    if (!this.#hasFilters()) return rows;
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = this.#options;
    return rows.filter(({ found }) => {
      if (maxModRevision && found.main > maxModRevision) return false;
      if (minModRevision && found.main < minModRevision) return false;
      if (!maxCreateRevision && !minCreateRevision) return true;
      const { create } = this.#numbers(found);
      if (maxCreateRevision && create > maxCreateRevision) return false;
      return !(minCreateRevision && create < minCreateRevision);
    });
  }

  /** With a target but no order etcd sorts ascending, after the limit was applied to the reading. */
  #sorted(rows: Row[]): Row[] {
    const { sortOrder = 0, sortTarget = 0 } = this.#options;
    if (sortTarget === SortTarget.key && sortOrder !== SortOrder.descend) return rows;
    const direction = sortOrder === SortOrder.descend ? -1 : 1;
    switch (sortTarget) {
      case SortTarget.key:
        return rows.reverse();
      case SortTarget.version:
        return sortBy(rows, ({ found }) => this.#numbers(found).version, direction);
      case SortTarget.create:
        return sortBy(rows, ({ found }) => this.#numbers(found).create, direction);
      case SortTarget.mod:
        return sortBy(rows, ({ found }) => found.main, direction);
      default:
        return sortByText(rows, ({ found }) => this.#value(found), direction);
    }
  }

  #emit({ key, found }: Row, visit: BytesVisitor): void {
    const { keysOnly, sortTarget = 0 } = this.#options;
    if (!keysOnly) {
      this.#view.reader.loadInto(found, visit);
      return;
    }
    const { create, version, lease } = this.#numbers(found);
    const numbers = {
      createRevision: create,
      modRevision: found.main,
      version,
      // etcd answers keys_only from its index, which knows no leases, unless it sorted by value.
      lease: sortTarget === SortTarget.value ? lease : 0n,
    };
    const head = encodeKeyValueHead(key, numbers);
    visit(head, 0, head.length);
  }

  #numbers(found: Found): Pick<KeyMeta, "create" | "version" | "lease"> {
    if ("create" in found) return found;
    let numbers = { create: 0, version: 0, lease: 0n };
    this.#view.reader.loadInto(found, (source, start, end) => {
      const kv = new KeyValueView().read(source, start, end);
      numbers = { create: kv.createRevision, version: kv.version, lease: kv.lease };
    });
    return numbers;
  }

  #value(found: Found): string {
    let value = "";
    this.#view.reader.loadInto(found, (source, start, end) => {
      const kv = new KeyValueView().read(source, start, end);
      value = source.latin1Slice(kv.valueStart, kv.valueEnd);
    });
    return value;
  }
}

/** Equal rows keep the order of their keys. */
function sortBy(rows: Row[], of: (row: Row) => number, direction: number): Row[] {
  return rows
    .map((row) => ({ row, by: of(row) }))
    .sort((a, b) => (a.by - b.by) * direction)
    .map(({ row }) => row);
}

function sortByText(rows: Row[], of: (row: Row) => string, direction: number): Row[] {
  return rows
    .map((row) => ({ row, by: of(row) }))
    .sort((a, b) => (a.by < b.by ? -direction : a.by > b.by ? direction : 0))
    .map(({ row }) => row);
}
