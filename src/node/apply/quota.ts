// The space quota: which commands still fit into the database. What costs nothing (deletes,
// compaction, reads) always fits, so that space can be won back.

import type { Store } from "../../mvcc/store.ts";
import { decodeRequest } from "../../wire/decode-request.ts";
import { TxnRequest } from "../../wire/generated/rpc.ts";
import { CommandField } from "../replica-types.ts";

const quotaDefaultBytes = 2 * 1024 * 1024 * 1024;
/** etcd's estimates of what a key and a lease take beside their own bytes. */
const keyOverheadBytes = 256;
const leaseOverheadBytes = 64;

export class Quota {
  /** Infinity when there is none. */
  readonly bytesMax: number;
  readonly #store: Store;

  /** `configuredBytes`: 0 for the default of 2 GiB, negative for no quota. */
  constructor(configuredBytes: number, store: Store) {
    this.#store = store;
    if (configuredBytes < 0) this.bytesMax = Number.POSITIVE_INFINITY;
    else this.bytesMax = configuredBytes === 0 ? quotaDefaultBytes : configuredBytes;
  }

  fits(field: CommandField, message: Uint8Array, start: number, end: number): boolean {
    // Not the file, which never shrinks: its free pages are used again before it grows.
    const used = this.#store.size().inUseBytes + this.#store.overlayBytes;
    // Far from the limit, nothing has to be worked out.
    if (used + 2 * (end - start) + 128 * keyOverheadBytes < this.bytesMax) return true;
    const cost = costOf(field, message, start, end);
    return cost === 0 || used + cost < this.bytesMax;
  }
}

/** What a command may add to the database, as etcd reckons it; 0 when it only reads or frees. */
function costOf(field: CommandField, message: Uint8Array, start: number, end: number): number {
  switch (field) {
    case CommandField.put:
      return keyOverheadBytes + (end - start);
    case CommandField.txn:
      return costOfTxn(decodeRequest(TxnRequest, message, start, end));
    case CommandField.leaseGrant:
      return leaseOverheadBytes;
    default:
      return 0;
  }
}

export function costOfTxn(request: TxnRequest): number {
  const costs = [request.success, request.failure].map((operations) =>
    operations.reduce((sum, operation) => {
      if (operation.request?.$case === "requestPut") {
        const { key, value } = operation.request.value;
        return sum + keyOverheadBytes + key.length + value.length;
      }
      return operation.request?.$case === "requestTxn"
        ? sum + costOfTxn(operation.request.value)
        : sum;
    }, 0),
  );
  return Math.max(...costs);
}
