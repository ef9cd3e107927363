// Changes keys together with what hangs them on leases: a put moves the key from its old lease to its
// new one, a delete takes it off. Every change of a key goes through here.

import type { Lessor } from "../lease/lessor.ts";
import { KeyValueView } from "../mvcc/key-value.ts";
import type { WriteTxn } from "../mvcc/write-txn.ts";

const view = new KeyValueView();

/** Puts a key. Returns the encoded KeyValue that it replaced. */
export function putKey(
  txn: WriteTxn,
  lessor: Lessor,
  key: Buffer,
  value: Uint8Array,
  lease: bigint,
): Uint8Array | undefined {
  const previous = txn.put(key, value, lease);
  if (lessor.size === 0) return previous;
  const oldLease = previous ? view.read(previous).lease : 0n;
  if (oldLease === lease) return previous;
  if (oldLease !== 0n) lessor.detach(oldLease, key);
  if (lease !== 0n) lessor.attach(lease, key);
  return previous;
}

/** Deletes a range. Returns the encoded KeyValues that are gone, in key order. */
export function deleteKeys(
  txn: WriteTxn,
  lessor: Lessor,
  key: Buffer,
  rangeEnd: Buffer | undefined,
): readonly Uint8Array[] {
  const { previous } = txn.deleteRange(key, rangeEnd);
  if (lessor.size === 0) return previous;
  for (const kv of previous) {
    const { lease, keyStart, keyEnd } = view.read(kv);
    if (lease !== 0n) lessor.detach(lease, Buffer.from(kv.subarray(keyStart, keyEnd)));
  }
  return previous;
}
