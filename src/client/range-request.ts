// The options of a read, and the RangeRequest they make.

import type { DeepPartial, RangeRequest } from "../wire/generated/rpc.ts";
import type { CallOptions } from "./caller.ts";
import type { WireRange } from "./key-range.ts";

export interface ReadOptions extends CallOptions {
  /** Read as of this revision instead of now. */
  readonly revision?: number;
  /** Accept what the answering member has, which may be behind, instead of asking the leader. */
  readonly serializable?: boolean;
}

export type SortTarget = "key" | "version" | "createRevision" | "modRevision" | "value";
export type SortOrder = "ascending" | "descending";

export interface RangeOptions extends ReadOptions {
  /** At most this many pairs; `count` still counts all. 0 or absent for no limit. */
  readonly limit?: number;
  readonly sortBy?: SortTarget;
  /** Default ascending when `sortBy` is given. */
  readonly order?: SortOrder;
  /** Leave the values out. */
  readonly keysOnly?: boolean;
  readonly minModRevision?: number;
  readonly maxModRevision?: number;
  readonly minCreateRevision?: number;
  readonly maxCreateRevision?: number;
}

const SORT_TARGETS = { key: 0, version: 1, createRevision: 2, modRevision: 3, value: 4 } as const;
const SORT_ORDERS = { ascending: 1, descending: 2 } as const;

export function rangeRequest(
  range: WireRange,
  options: RangeOptions & { readonly countOnly?: boolean },
): DeepPartial<RangeRequest> {
  const isSorted = options.sortBy !== undefined || options.order !== undefined;
  return {
    key: range.key,
    rangeEnd: range.rangeEnd,
    limit: options.limit ?? 0,
    revision: options.revision ?? 0,
    sortTarget: SORT_TARGETS[options.sortBy ?? "key"],
    sortOrder: isSorted ? SORT_ORDERS[options.order ?? "ascending"] : 0,
    serializable: options.serializable ?? false,
    keysOnly: options.keysOnly ?? false,
    countOnly: options.countOnly ?? false,
    minModRevision: options.minModRevision ?? 0,
    maxModRevision: options.maxModRevision ?? 0,
    minCreateRevision: options.minCreateRevision ?? 0,
    maxCreateRevision: options.maxCreateRevision ?? 0,
  };
}
