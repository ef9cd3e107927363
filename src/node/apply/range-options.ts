// The wire's form of a range in the store's words.

import { asBuffer } from "../../base/bytes.ts";
import type { RangeOptions } from "../../mvcc/range.ts";
import type { RangeRequest } from "../../wire/generated/rpc.ts";

/** A decoded RangeRequest in the store's form. */
export function rangeOptionsOf(request: RangeRequest): RangeOptions {
  const rangeEnd = rangeEndOf(request.rangeEnd);
  return {
    key: asBuffer(request.key),
    ...(rangeEnd && { rangeEnd }),
    limit: Math.max(0, request.limit),
    revision: request.revision,
    sortOrder: request.sortOrder,
    sortTarget: request.sortTarget,
    keysOnly: request.keysOnly,
    countOnly: request.countOnly,
    minModRevision: request.minModRevision,
    maxModRevision: request.maxModRevision,
    minCreateRevision: request.minCreateRevision,
    maxCreateRevision: request.maxCreateRevision,
  };
}

/** The wire's range end in the store's form: absent for one key, one zero byte for "to the last key". */
export function rangeEndOf(bytes: Uint8Array): Buffer | undefined {
  return bytes.length === 0 ? undefined : asBuffer(bytes);
}
