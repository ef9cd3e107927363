// What the services in api/ may ask of the member they run in. Requests go in as bytes with a ticket,
// replies come back as bytes with that ticket: no closures and no shared objects, so that either side
// may move to another thread.

import type { StatusCode } from "../base/status.ts";
import type { LeaseTimes, Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import type { PeerHealth } from "../peer/types.ts";
import type { RaftStatus } from "../raft/ready.ts";
import type { Member, ResponseHeader } from "../wire/generated/rpc.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { DowngradeInfo } from "./members/membership.ts";
import type { SnapshotReader } from "./snapshot/snapshot-reader.ts";

/** Field numbers of InternalRaftRequest: which command a proposal carries. */
export const CommandField = {
  put: 4,
  deleteRange: 5,
  txn: 6,
  compaction: 7,
  leaseGrant: 8,
  leaseRevoke: 9,
  alarm: 10,
  leaseCheckpoint: 11,
  clusterVersionSet: 1300,
  clusterMemberAttrSet: 1301,
  downgradeInfoSet: 1302,
} as const;

export type CommandField = (typeof CommandField)[keyof typeof CommandField];

/** Receives the outcomes of what was proposed or asked with a ticket; each ticket ends exactly once. */
export interface TicketReceiver {
  /** The command is durable and applied; source[start, end) is the encoded response message. */
  onApplied(ticket: number, source: Uint8Array, start: number, end: number): void;
  /** A linearizable read may now be served from the store. */
  onReadable(ticket: number): void;
  onFailed(ticket: number, code: StatusCode, message: string): void;
}

/** Facts of one member at one moment. Sizes in bytes. */
export interface ReplicaStatus {
  readonly version: string;
  readonly storageVersion: string;
  readonly dbSizeBytes: number;
  readonly dbSizeInUseBytes: number;
  readonly quotaBytes: number;
  readonly leader: bigint;
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly appliedIndex: number;
  readonly isLearner: boolean;
  readonly errors: readonly string[];
}

export interface Alarm {
  readonly memberId: bigint;
  /** 1 NOSPACE, 2 CORRUPT. */
  readonly type: number;
}

export interface Replica {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;

  /**
   * Proposes a command: `message[start, end)` is the request as the client encoded it and is sliced into
   * the log entry. The bytes must stay unchanged. Outcome through `receiver` with `ticket`.
   */
  propose(
    field: CommandField,
    message: Uint8Array,
    start: number,
    end: number,
    receiver: TicketReceiver | undefined,
    ticket: number,
  ): void;

  /** Asks when a linearizable read may be served; all that wait share one round. May answer at once. */
  readIndex(receiver: TicketReceiver, ticket: number): void;

  /** As `propose`, for rare calls; resolves to the encoded response, rejects with a StatusError. */
  proposeAsync(field: CommandField, message: Uint8Array): Promise<Uint8Array>;
  readIndexAsync(): Promise<void>;

  /** True when a linearizable read may be served at once, without a round. */
  canReadNow(): boolean;
  /** Resolves when no compaction is under way and what was compacted is gone from the disk. */
  whenCompacted(): Promise<void>;
  readonly raftTerm: number;
  /** Proposals without an outcome yet. */
  readonly pendingProposals: number;
  /** "3.7.0"; empty before the cluster agreed on one. */
  readonly clusterVersion: string;
  readonly downgrade: DowngradeInfo;
  readonly metrics: MemberMetrics;

  /** The header of a reply made now. */
  header(): ResponseHeader;
  status(): ReplicaStatus;
  members(): readonly Member[];
  alarms(): readonly Alarm[];
  /** Without a vote, it answers hardly anything. */
  readonly isLearner: boolean;
  /** Since when no leader is known, in the clock's milliseconds; undefined while one is. */
  readonly leaderlessSinceMs: number | undefined;
  /** True once the member has published itself and serves. */
  readonly isReady: boolean;
  /** Renews a lease at the leader; resolves to its TTL in seconds, rejects when it does not exist. */
  renewLease(id: bigint): Promise<number>;
  /** How long a lease lives, by the leader's clock; undefined when there is none. */
  leaseTimes(id: bigint, withKeys: boolean): Promise<LeaseTimes | undefined>;

  /** Changes of members, see reconfigure.ts. All reject with a StatusError. */
  addMember(peerUrls: readonly string[], isLearner: boolean): Promise<Member>;
  removeMember(id: bigint): Promise<void>;
  updateMember(id: bigint, peerUrls: readonly string[]): Promise<void>;
  /** Resolves to the members after it; the leader, who may be another, knows them first. */
  promoteMember(id: bigint): Promise<readonly Member[]>;
  /** Makes another member the leader; resolves when it is. */
  moveLeader(id: bigint): Promise<void>;
  /** What the core says of itself and, at the leader, of the others. */
  raftStatus(): RaftStatus;
  /** This member's state as a database file, for someone to read; rejects with a StatusError. */
  openSnapshot(signal: AbortSignal): Promise<SnapshotReader>;
  /** How well messages reach the other members. */
  peers(): readonly PeerHealth[];
}
