// What every output format can print. A printer turns results into bytes and writes nothing itself.

import type { Member, MemberAdded, MemberList } from "../../client/cluster.ts";
import type { LeaseRenewal } from "../../client/lease.ts";
import type { LeaseList, LeaseTimeToLive } from "../../client/leases.ts";
import type { KvHash, MemberStatus } from "../../client/maintenance.ts";
import type { DeleteResult, PutResult, RangeResult, ResponseHeader } from "../../client/results.ts";
import type { WatchBatch } from "../../client/watch-event.ts";
import type { ClusterReport, HealthCheck } from "../cluster-report.ts";
import type { OutputFormat } from "../global-options.ts";

export type Output = string | Uint8Array;

export type TxnStep =
  | { readonly kind: "put"; readonly result: PutResult }
  | { readonly kind: "range"; readonly result: RangeResult }
  | { readonly kind: "delete"; readonly result: DeleteResult };

export interface TxnReport {
  readonly header: ResponseHeader;
  readonly succeeded: boolean;
  readonly steps: readonly TxnStep[];
}

export interface LeaseGranted {
  readonly header: ResponseHeader;
  readonly id: bigint;
  readonly grantedTtlSeconds: number;
}

export interface EndpointHealth {
  readonly endpoint: string;
  readonly healthy: boolean;
  readonly tookMs: number;
  /** Empty when healthy. */
  readonly error: string;
}

export interface EndpointStatus {
  readonly endpoint: string;
  readonly status: MemberStatus;
}

export interface EndpointHash {
  readonly endpoint: string;
  readonly hash: KvHash;
}

export type MemberChange =
  | { readonly kind: "added"; readonly result: MemberAdded; readonly name: string }
  | {
      readonly kind: "removed" | "updated" | "promoted";
      readonly id: bigint;
      readonly result: MemberList;
    };

/** What a snapshot file holds. */
export interface SnapshotStatus {
  /** CRC-32C over all buckets' names, keys and values. */
  readonly hash: number;
  readonly revision: number;
  readonly totalKeys: number;
  readonly totalSizeBytes: number;
  /** Of the storage; empty when it is from an etcd before 3.6. */
  readonly version: string;
}

export interface Printer {
  readonly format: OutputFormat;
  put(result: PutResult): Output;
  range(result: RangeResult, options: RangePrintOptions): Output;
  delete(result: DeleteResult): Output;
  txn(report: TxnReport): Output;
  watch(batch: WatchBatch): Output;
  leaseGranted(lease: LeaseGranted): Output;
  leaseRevoked(id: bigint, header: ResponseHeader): Output;
  leaseRenewed(renewal: LeaseRenewal): Output;
  leaseTimeToLive(result: LeaseTimeToLive, options: { readonly keys: boolean }): Output;
  leaseList(list: LeaseList): Output;
  memberList(list: MemberList): Output;
  memberChanged(change: MemberChange): Output;
  endpointHealth(list: readonly EndpointHealth[]): Output;
  endpointStatus(list: readonly EndpointStatus[]): Output;
  endpointHash(list: readonly EndpointHash[]): Output;
  snapshotStatus(status: SnapshotStatus): Output;
  clusterStatus(report: ClusterReport): Output;
  clusterHealth(checks: readonly HealthCheck[]): Output;
}

export interface RangePrintOptions {
  readonly valueOnly: boolean;
  readonly countOnly: boolean;
}

export const PLAIN_RANGE: RangePrintOptions = { valueOnly: false, countOnly: false };

/** Sixteen digits, as leases are shown and given. */
export function leaseHex(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16).padStart(16, "0");
}

export function memberStatusWord(member: Member): "started" | "unstarted" {
  return member.name === "" ? "unstarted" : "started";
}

/** Bytes as `\x61\x62`. */
export function hexBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += `\\x${byte.toString(16).padStart(2, "0")}`;
  return text;
}
