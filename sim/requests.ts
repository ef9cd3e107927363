// Calls of clients, between the plain words of histories and the bytes that a member takes and gives.

import { asBuffer } from "../src/base/bytes.ts";
import type { MemberReplica } from "../src/node/replica.ts";
import { CommandField } from "../src/node/replica-types.ts";
import { EtcdErrors } from "../src/wire/errors.ts";
import { Event, KeyValue } from "../src/wire/generated/kv.ts";
import {
  CompactionRequest,
  CompactionResponse,
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseRevokeRequest,
  LeaseRevokeResponse,
  TxnRequest,
  TxnResponse,
  type Compare as WireCompare,
} from "../src/wire/generated/rpc.ts";
import type {
  Action,
  Compare,
  EventSeen,
  KeyValueSeen,
  Outcome,
  Step,
  StepResult,
} from "./checkers/history.ts";

export type Proposed = Exclude<Action, { kind: "read" | "keepAlive" }>;

/** The command that a member is given. Every write goes as a transaction. */
export function encodeCommand(action: Proposed): [CommandField, Uint8Array] {
  switch (action.kind) {
    case "write": {
      const request = TxnRequest.fromPartial({
        compare: action.compares.map(toCompare),
        success: action.success.map(toRequest),
        failure: action.failure.map(toRequest),
      });
      return [CommandField.txn, TxnRequest.encode(request).finish()];
    }
    case "compact": {
      const request = { revision: action.revision, physical: false };
      return [CommandField.compaction, CompactionRequest.encode(request).finish()];
    }
    case "grant": {
      const request = LeaseGrantRequest.fromPartial({ ID: action.lease, TTL: action.ttlSeconds });
      return [CommandField.leaseGrant, LeaseGrantRequest.encode(request).finish()];
    }
    case "revoke": {
      const request = LeaseRevokeRequest.fromPartial({ ID: action.lease });
      return [CommandField.leaseRevoke, LeaseRevokeRequest.encode(request).finish()];
    }
  }
}

export function decodeReply(action: Proposed, reply: Uint8Array): Outcome {
  switch (action.kind) {
    case "write": {
      const response = TxnResponse.decode(reply);
      const results = response.responses.map(toResult);
      const revision = response.header?.revision ?? 0;
      return { kind: "ok", revision, succeeded: response.succeeded, results };
    }
    case "compact":
      return done(CompactionResponse.decode(reply).header?.revision);
    case "grant": {
      const { header, TTL } = LeaseGrantResponse.decode(reply);
      return { ...done(header?.revision), ttlSeconds: TTL };
    }
    case "revoke":
      return done(LeaseRevokeResponse.decode(reply).header?.revision);
  }
}

/** Reads the store as it is now. */
export function readNow(
  { store }: MemberReplica,
  action: Extract<Action, { kind: "read" }>,
): Outcome {
  const result = store.range({
    key: bytes(action.key),
    ...(action.rangeEnd === undefined ? {} : { rangeEnd: bytes(action.rangeEnd) }),
    revision: action.revision,
  });
  if ("error" in result) return { kind: "refused", reason: result.error };
  const kvs = result.kvs.map((kv) => toKeyValue(KeyValue.decode(kv)));
  const results = [{ kind: "get", kvs } as const];
  return { kind: "ok", revision: store.currentRevision, succeeded: true, results };
}

/** Errors that say for certain that nothing has happened, nor will. */
const certain = new Set(
  [
    EtcdErrors.noSpace,
    EtcdErrors.tooManyRequests,
    EtcdErrors.requestTooLarge,
    EtcdErrors.leaseNotFound,
    EtcdErrors.leaseExists,
    EtcdErrors.compacted,
    EtcdErrors.futureRevision,
  ].map(({ message }) => message),
);

export function outcomeOfError(message: string): Outcome {
  return certain.has(message)
    ? { kind: "refused", reason: message }
    : { kind: "unknown", reason: message };
}

function done(revision = 0): Extract<Outcome, { kind: "ok" }> {
  return { kind: "ok", revision, succeeded: true, results: [] };
}

function toCompare(compare: Compare): WireCompare {
  const key = bytes(compare.key);
  if (compare.target === "modRevision") {
    const targetUnion = { $case: "modRevision" as const, value: compare.equals };
    return { result: 0, target: 2, key, targetUnion, rangeEnd: nothing } as unknown as WireCompare;
  }
  const targetUnion = { $case: "value" as const, value: bytes(compare.equals) };
  return { result: 0, target: 3, key, targetUnion, rangeEnd: nothing } as unknown as WireCompare;
}

const nothing = new Uint8Array(0);

function toRequest(step: Step) {
  const key = bytes(step.key);
  if (step.kind === "put") {
    const value = { key, value: bytes(step.value), lease: step.lease };
    return { request: { $case: "requestPut" as const, value } };
  }
  const value = { key, ...(step.rangeEnd === undefined ? {} : { rangeEnd: bytes(step.rangeEnd) }) };
  return step.kind === "delete"
    ? { request: { $case: "requestDeleteRange" as const, value } }
    : { request: { $case: "requestRange" as const, value } };
}

function toResult({ response }: TxnResponse["responses"][number]): StepResult {
  switch (response?.$case) {
    case "responseDeleteRange":
      return { kind: "delete", deleted: response.value.deleted };
    case "responseRange":
      return { kind: "get", kvs: response.value.kvs.map(toKeyValue) };
    default:
      return { kind: "put" };
  }
}

function toKeyValue(kv: KeyValue): KeyValueSeen {
  const { createRevision, modRevision, version, lease } = kv;
  return {
    key: text(kv.key),
    value: text(kv.value),
    createRevision,
    modRevision,
    version,
    lease,
  };
}

/** An event as the store's history has it: the encoded KeyValue. */
export function toEvent(type: 0 | 1, encoded: Uint8Array, revision: number): EventSeen {
  const kv = toKeyValue(KeyValue.decode(encoded));
  if (type === 0) return { type: "put", key: kv.key, revision, kv };
  return { type: "delete", key: kv.key, revision, kv: undefined };
}

/** An event as a watch delivers it: a field of WatchResponse, with its tag and length. */
export function decodeWatchEvent(field: Uint8Array): EventSeen {
  let at = 1;
  while ((field[at] as number) >= 0x80) at++;
  const event = Event.decode(field.subarray(at + 1));
  const kv = toKeyValue(event.kv as KeyValue);
  const revision = kv.modRevision;
  if (event.type === 0) return { type: "put", key: kv.key, revision, kv };
  return { type: "delete", key: kv.key, revision, kv: undefined };
}

export function bytes(value: string): Buffer {
  return Buffer.from(value, "latin1");
}

function text(value: Uint8Array): string {
  return asBuffer(value).toString("latin1");
}
