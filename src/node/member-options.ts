// What a member is opened with: its settings, and the world that it lives in. Whoever opens one (the
// server, a test, the simulator) decides what disk, clock and network it sees.

import type { Random } from "../base/random.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import type { FolderLock } from "../io/folder-lock.ts";
import type { PeerClient } from "../peer/peer-client.ts";
import type { Transport } from "../peer/types.ts";
import type { DatabaseFiles } from "../storage/database-files.ts";
import type { BootstrapOptions } from "./members/bootstrap.ts";
import type { ReplicaOptions } from "./replica-options.ts";

export interface MemberOptions
  extends Omit<ReplicaOptions, "clusterId" | "memberId">,
    Omit<BootstrapOptions, "version"> {
  /** undefined keeps everything in memory. */
  readonly dataDir: string | undefined;
  /** What is left of a lost cluster goes on as one member. */
  readonly forceNewCluster: boolean;
  /** Ask whether an election could be won before beginning a new term. */
  readonly preVote: boolean;
  /** Linearizable reads trust the leader's clock instead of asking a quorum; absent: they ask. */
  readonly readsByLease?: boolean;
  readonly leaseCheckpointIntervalMs: number;
  /** Bytes of one log file; the log's own default when absent. */
  readonly walSegmentBytes?: number;
  /** Log files that stay although nothing needs them; the log's own default when absent, 0: all. */
  readonly walKeptSegments?: number;
}

/** What a transport is told of the member that it works for. */
export interface TransportFacts {
  readonly memberId: bigint;
  readonly clusterId: bigint;
}

export interface MemberDependencies {
  readonly clock: Clock;
  /** Where the log lies. */
  readonly disk: Disk;
  /** Databases, by path; LMDB on the system's disk when absent. */
  readonly databases?: DatabaseFiles;
  /** Keeps other members out of a data directory; a lock among the machine's processes when absent. */
  readonly lockFolder?: (dataDir: string) => Promise<FolderLock>;
  /** How it reaches other members; absent for a member that has none. */
  readonly createTransport?: (facts: TransportFacts) => Transport;
  readonly peerClient?: PeerClient;
  /** An address of the host with this name; rejects when there is none. */
  readonly lookUpHost?: (name: string) => Promise<string>;
  /** Draws election timeouts; seeded by the member's id and the time when absent. */
  readonly random?: Random;
  /** Gets a line for elections and other rare turns of the core. */
  readonly trace?: (line: string) => void;
}
