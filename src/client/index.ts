// What programs import of the client.

export type { Bytes } from "./bytes.ts";
export type { CallOptions, RetryOptions } from "./caller.ts";
export { Client, type ClientOptions, DEFAULT_ENDPOINT } from "./client.ts";
export type { Cluster, Member, MemberAdded, MemberList } from "./cluster.ts";
export { type Comparison, compare, type Relation } from "./compare.ts";
export type { Credentials } from "./credentials.ts";
export {
  ClosedError,
  CompactedError,
  type ErrorReason,
  hasReason,
  isCompacted,
  isDeadlineExceeded,
  isUnavailable,
  LeaseLostError,
  PortalError,
} from "./errors.ts";
export type { TlsOptions } from "./grpc-transport.ts";
export { allKeys, type KeyRange, type KeySelector, prefix, range } from "./key-range.ts";
export type { KeyValue } from "./key-value.ts";
export type { KeyspaceClient } from "./keyspace-client.ts";
export type { DeleteOptions, Kv, ScanOptions } from "./kv.ts";
export type { Lease, LeaseRenewal } from "./lease.ts";
export type { GrantOptions, LeaseList, Leases, LeaseTimeToLive } from "./leases.ts";
export type {
  Alarm,
  AlarmList,
  AlarmName,
  Hash,
  KvHash,
  Maintenance,
  MemberStatus,
} from "./maintenance.ts";
export { type Operation, type OperationResults, op } from "./operation.ts";
export type { PutOptions } from "./put-request.ts";
export type { RangeOptions, ReadOptions, SortOrder, SortTarget } from "./range-request.ts";
export type { DeleteResult, PutResult, RangeResult, ResponseHeader } from "./results.ts";
export type { Txn, TxnResult } from "./txn.ts";
export type { WatchBatch, WatchEvent } from "./watch-event.ts";
export type { Watcher, WatchOptions } from "./watcher.ts";
