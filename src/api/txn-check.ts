// What a transaction must satisfy before it is proposed: a bounded number of operations, keys given,
// and no key that is put twice or put and deleted. The rules, their order and their errors are etcd's.

import { asBuffer, latin1Key } from "../base/bytes.ts";
import { type EtcdError, EtcdErrors } from "../wire/errors.ts";
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../wire/generated/rpc.ts";
import { IntervalSet } from "./interval-set.ts";

/** The first rule that `request` breaks, or undefined. */
export function checkTxn(request: TxnRequest, operationsMax: number): EtcdError | undefined {
  return (
    checkOperations(request, operationsMax) ??
    collectWrites(request.success).error ??
    collectWrites(request.failure).error
  );
}

/** True when no branch changes anything; such a transaction is served as a read. */
export function isReadOnlyTxn(request: TxnRequest): boolean {
  return everyOperation(request, (op) => op.request?.$case === "requestRange");
}

/** True when every operation is a serializable range. */
export function isSerializableTxn(request: TxnRequest): boolean {
  return everyOperation(
    request,
    (op) => op.request?.$case === "requestRange" && op.request.value.serializable,
  );
}

export function checkPut(
  keyLength: number,
  valueLength: number,
  lease: bigint,
  ignoreValue: boolean,
  ignoreLease: boolean,
): EtcdError | undefined {
  if (keyLength === 0) return EtcdErrors.emptyKey;
  if (ignoreValue && valueLength !== 0) return EtcdErrors.valueProvided;
  if (ignoreLease && lease !== 0n) return EtcdErrors.leaseProvided;
  return undefined;
}

export function checkRange(
  keyLength: number,
  sortOrder: number,
  sortTarget: number,
): EtcdError | undefined {
  if (keyLength === 0) return EtcdErrors.emptyKey;
  if (sortOrder < 0 || sortOrder > 2) return EtcdErrors.invalidSortOption;
  if (sortTarget < 0 || sortTarget > 4) return EtcdErrors.invalidSortOption;
  return undefined;
}

function everyOperation(request: TxnRequest, holds: (op: RequestOp) => boolean): boolean {
  return request.success.every(holds) && request.failure.every(holds);
}

function checkOperations(request: TxnRequest, operationsMax: number): EtcdError | undefined {
  const operations = Math.max(
    request.compare.length,
    request.success.length,
    request.failure.length,
  );
  if (operations > operationsMax) return EtcdErrors.tooManyOperations;
  for (const compare of request.compare) {
    if (compare.key.length === 0) return EtcdErrors.emptyKey;
  }
  for (const op of request.success) {
    const error = checkOperation(op, operationsMax - operations);
    if (error) return error;
  }
  for (const op of request.failure) {
    const error = checkOperation(op, operationsMax - operations);
    if (error) return error;
  }
  return undefined;
}

function checkOperation(op: RequestOp, operationsMax: number): EtcdError | undefined {
  const request = op.request;
  switch (request?.$case) {
    case "requestRange":
      return checkRangeRequest(request.value);
    case "requestPut":
      return checkPutRequest(request.value);
    case "requestDeleteRange":
      return request.value.key.length === 0 ? EtcdErrors.emptyKey : undefined;
    case "requestTxn":
      return checkOperations(request.value, operationsMax);
    case undefined:
      return EtcdErrors.keyNotFound;
  }
}

function checkRangeRequest(request: RangeRequest): EtcdError | undefined {
  return checkRange(request.key.length, request.sortOrder, request.sortTarget);
}

function checkPutRequest(request: PutRequest): EtcdError | undefined {
  return checkPut(
    request.key.length,
    request.value.length,
    request.lease,
    request.ignoreValue,
    request.ignoreLease,
  );
}

interface Writes {
  readonly puts: Set<string>;
  readonly deletes: IntervalSet;
  readonly error: EtcdError | undefined;
}

/** What one branch puts and deletes, nested transactions included; `error` when a key is written twice. */
function collectWrites(operations: readonly RequestOp[]): Writes {
  const deletes = new IntervalSet();
  const puts = new Set<string>();
  const duplicate = { puts, deletes, error: EtcdErrors.duplicateKey };
  for (const { request } of operations) {
    if (request?.$case === "requestDeleteRange") addDelete(deletes, request.value);
  }
  for (const { request } of operations) {
    if (request?.$case !== "requestTxn") continue;
    const onSuccess = collectWrites(request.value.success);
    if (onSuccess.error) return onSuccess;
    const onFailure = collectWrites(request.value.failure);
    if (onFailure.error) return onFailure;
    for (const key of onSuccess.puts) {
      if (puts.has(key) || deletes.has(key)) return duplicate;
      puts.add(key);
    }
    for (const key of onFailure.puts) {
      // The same key may be put in both branches: only one of them runs.
      if (puts.has(key) && !onSuccess.puts.has(key)) return duplicate;
      if (deletes.has(key)) return duplicate;
      puts.add(key);
    }
    deletes.addAll(onSuccess.deletes);
    deletes.addAll(onFailure.deletes);
  }
  for (const { request } of operations) {
    if (request?.$case !== "requestPut") continue;
    const key = keyOf(request.value.key);
    if (puts.has(key) || deletes.has(key)) return duplicate;
    puts.add(key);
  }
  return { puts, deletes, error: undefined };
}

/**
 * A range end of one zero byte means "to the last key" when it is applied, but etcd compares it here as
 * the bytes it is, so such a delete covers nothing and never counts as a duplicate.
 */
function addDelete(deletes: IntervalSet, request: DeleteRangeRequest): void {
  const begin = keyOf(request.key);
  const end = request.rangeEnd.length === 0 ? `${begin}\0` : keyOf(request.rangeEnd);
  deletes.add(begin, end);
}

function keyOf(bytes: Uint8Array): string {
  return latin1Key(asBuffer(bytes), 0, bytes.length);
}
