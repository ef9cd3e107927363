// What a replica is made of: its limits, the opened parts that it drives, and what it says of itself.

import type { Clock } from "../io/clock.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import type { Transport } from "../peer/types.ts";
import type { LogStorage } from "../raft/log-storage.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { HardState } from "../raft/types.ts";
import type { StateMachine } from "./apply/state-machine.ts";
import type { Log } from "./loop/log.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { Membership } from "./members/membership.ts";
import type { PeerCalls } from "./members/peer-calls.ts";
import type { SnapshotExchange } from "./snapshot/snapshot-exchange.ts";

export interface ReplicaOptions {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  /** Bytes of one encoded request, beyond which it is refused. */
  readonly maxRequestBytes: number;
  /** Proposals under way, in items and bytes; beyond them new ones are refused. */
  readonly maxPendingProposals: number;
  readonly maxPendingBytes: number;
  /** A proposal without an outcome for this long is answered with a timeout (it may still be applied). */
  readonly requestTimeoutMs: number;
  readonly quotaBytes: number;
  /** How often it is looked whether a flush is due; from how many changes on it is due at once. */
  readonly flushIntervalMs: number;
  readonly flushChanges: number;
  /** How long a few changes may wait for more. */
  readonly flushDelayMs: number;
  readonly flushBytes: number;
  /** Entries between two notes in the log that the store holds what came before. */
  readonly snapshotEntries: number;
  readonly compactionSleepMs: number;
  /** The core's clock: one tick, and the least time without a leader before an election. */
  readonly heartbeatMs: number;
  /** Begin the first election sooner when others are connected. */
  readonly hastensFirstElection?: boolean;
  readonly electionTimeoutMs: number;
  /** Refuse changes of members that would lose the quorum. */
  readonly strictReconfig: boolean;
  readonly maxLearners: number;
  /** How much of the applied log stays in memory for members that are behind. */
  readonly keptEntries: number;
  readonly keptBytes: number;
}

/** The opened parts that a replica drives. It owns them from then on and closes them. */
export interface ReplicaParts {
  readonly clock: Clock;
  readonly raw: RawNode;
  readonly storage: LogStorage;
  /** As the log has it. */
  readonly hardState: HardState;
  readonly transport: Transport;
  readonly calls: PeerCalls;
  readonly snapshots: SnapshotExchange;
  readonly log: Log;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;
  readonly membership: Membership;
  readonly stateMachine: StateMachine;
  readonly metrics: MemberMetrics;
}

/** What a member says of itself. */
export interface MemberAttributes {
  readonly name: string;
  readonly clientUrls: readonly string[];
}
