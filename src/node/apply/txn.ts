// Runs one transaction: evaluates the compares of every level against the state before the whole
// transaction, checks the operations of the branches that will run, then runs them. What is refused is
// refused before anything changed.

import { asBuffer, compareBytes } from "../../base/bytes.ts";
import type { Lessor } from "../../lease/lessor.ts";
import type { RangeOptions, RangeResult } from "../../mvcc/range.ts";
import type { Store } from "../../mvcc/store.ts";
import type { WriteTxn } from "../../mvcc/write-txn.ts";
import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import type {
  Compare,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../wire/generated/rpc.ts";
import { KeyValueView } from "../../wire/key-value.ts";
import { rangeEndOf, rangeOptionsOf } from "./range-options.ts";
import type { OperationResult, TxnResult } from "./txn-result.ts";

export type TxnOutcome =
  | { readonly revision: number; readonly result: TxnResult }
  | { readonly error: EtcdError };

/** Runs a transaction that may write. */
export function runTxn(store: Store, lessor: Lessor, request: TxnRequest): TxnOutcome {
  const plan = planOf(store, request);
  const error = checkPlan(store, lessor, plan);
  if (error) return { error };
  const txn = store.begin();
  const result = runWrites(txn, plan);
  return { revision: txn.end(), result };
}

/** Runs a transaction that only reads; the same plan and checks, no write transaction. */
export function runReadOnlyTxn(store: Store, lessor: Lessor, request: TxnRequest): TxnOutcome {
  const plan = planOf(store, request);
  const error = checkPlan(store, lessor, plan);
  if (error) return { error };
  return { revision: store.currentRevision, result: runReads(store, plan) };
}

/** The branch that a transaction takes, and those of the transactions nested in it. */
interface Plan {
  readonly succeeded: boolean;
  readonly operations: readonly RequestOp[];
  /** By position in `operations`. */
  readonly nested: readonly (Plan | undefined)[];
}

interface Readable {
  range(options: RangeOptions): RangeResult;
}

function planOf(store: Store, request: TxnRequest): Plan {
  const succeeded = request.compare.every((compare) => holds(store, compare));
  const operations = succeeded ? request.success : request.failure;
  const nested = operations.map(({ request: operation }) =>
    operation?.$case === "requestTxn" ? planOf(store, operation.value) : undefined,
  );
  return { succeeded, operations, nested };
}

function checkPlan(store: Store, lessor: Lessor, plan: Plan): EtcdError | undefined {
  for (const [i, { request }] of plan.operations.entries()) {
    const nested = plan.nested[i];
    let error: EtcdError | undefined;
    if (nested) error = checkPlan(store, lessor, nested);
    else if (request?.$case === "requestRange")
      error = checkRevision(store, request.value.revision);
    else if (request?.$case === "requestPut") error = checkPut(store, lessor, request.value);
    if (error) return error;
  }
  return undefined;
}

function checkRevision(store: Store, revision: number): EtcdError | undefined {
  if (revision === 0) return undefined;
  if (revision > store.currentRevision) return EtcdErrors.futureRevision;
  return revision < store.compactRevision ? EtcdErrors.compacted : undefined;
}

function checkPut(store: Store, lessor: Lessor, request: PutRequest): EtcdError | undefined {
  if (request.lease !== 0n && !lessor.has(request.lease)) return EtcdErrors.leaseNotFound;
  if (!request.ignoreValue && !request.ignoreLease) return undefined;
  return store.getCurrent(asBuffer(request.key)) ? undefined : EtcdErrors.keyNotFound;
}

function runWrites(txn: WriteTxn, plan: Plan): TxnResult {
  const responses = plan.operations.map(({ request }, i): OperationResult => {
    switch (request?.$case) {
      case "requestPut":
        return runPut(txn, request.value);
      case "requestDeleteRange": {
        const { key, rangeEnd, prevKv } = request.value;
        const result = txn.deleteRange(asBuffer(key), rangeEndOf(rangeEnd), prevKv);
        return { kind: "delete", revision: txn.revision, ...result };
      }
      case "requestRange":
        return runRange(txn, request.value);
      default:
        return runWrites(txn, plan.nested[i] as Plan);
    }
  });
  return { kind: "txn", succeeded: plan.succeeded, responses };
}

function runReads(store: Store, plan: Plan): TxnResult {
  const responses = plan.operations.map(
    ({ request }, i): OperationResult =>
      request?.$case === "requestRange"
        ? runRange(store, request.value)
        : runReads(store, plan.nested[i] as Plan),
  );
  return { kind: "txn", succeeded: plan.succeeded, responses };
}

function runPut(txn: WriteTxn, request: PutRequest): OperationResult {
  const key = asBuffer(request.key);
  let { value, lease } = request;
  if (request.ignoreValue || request.ignoreLease) {
    // Checked before: the key exists, or an earlier operation of this transaction deleted it.
    const current = txn.get(key);
    if (current) {
      const old = new KeyValueView().read(current);
      if (request.ignoreValue) value = current.subarray(old.valueStart, old.valueEnd);
      if (request.ignoreLease) lease = old.lease;
    }
  }
  const previous = txn.put(key, value, lease, request.prevKv);
  return { kind: "put", revision: txn.revision, previous };
}

function runRange(view: Readable, request: RangeRequest): OperationResult {
  const result = view.range(rangeOptionsOf(request));
  if ("error" in result) throw new Error(`a checked range failed: ${result.error}`);
  return { kind: "range", revision: result.revision, body: result };
}

/** A compare holds when it holds for every key of its range; a missing key counts as one with zeros. */
function holds(store: Store, compare: Compare): boolean {
  const key = asBuffer(compare.key);
  const rangeEnd = rangeEndOf(compare.rangeEnd);
  const view = new KeyValueView();
  if (!rangeEnd) {
    const current = store.getCurrent(key);
    return current ? holdsFor(compare, view.read(current), current) : holdsForMissing(compare);
  }
  const result = store.range({ key, rangeEnd });
  if ("error" in result) return false;
  if (result.kvs.length === 0) return holdsForMissing(compare);
  return result.kvs.every((kv) => holdsFor(compare, view.read(kv), kv));
}

function holdsForMissing(compare: Compare): boolean {
  // A missing key has no value to compare with, not even an empty one.
  if (compare.target === 3) return false;
  return compareNumbers(compare, 0n);
}

function holdsFor(compare: Compare, kv: KeyValueView, bytes: Uint8Array): boolean {
  switch (compare.target) {
    case 0:
      return compareNumbers(compare, BigInt(kv.version));
    case 1:
      return compareNumbers(compare, BigInt(kv.createRevision));
    case 2:
      return compareNumbers(compare, BigInt(kv.modRevision));
    case 3: {
      const union = compare.targetUnion;
      const wanted = union?.$case === "value" ? union.value : new Uint8Array(0);
      const actual = bytes.subarray(kv.valueStart, kv.valueEnd);
      return outcomeHolds(compare.result, compareBytes(actual, wanted));
    }
    case 4:
      return compareNumbers(compare, kv.lease);
    default:
      // An unknown target compares nothing with nothing, as in etcd.
      return outcomeHolds(compare.result, 0);
  }
}

const numberCases = ["version", "createRevision", "modRevision", "value", "lease"] as const;

function compareNumbers(compare: Compare, actual: bigint): boolean {
  const union = compare.targetUnion;
  // The number counts only when it was given for the target that is compared; otherwise it is 0.
  const given = union && union.$case === numberCases[compare.target as number];
  const wanted = given && typeof union.value === "bigint" ? union.value : 0n;
  return outcomeHolds(compare.result, actual < wanted ? -1 : actual > wanted ? 1 : 0);
}

function outcomeHolds(wanted: number, order: number): boolean {
  switch (wanted) {
    case 0:
      return order === 0;
    case 1:
      return order > 0;
    case 2:
      return order < 0;
    case 3:
      return order !== 0;
    default:
      return true;
  }
}
