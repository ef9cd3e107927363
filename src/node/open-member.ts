// Opens a member's data directory, or makes a new one, and puts the parts of a running member together.
// Layout: <dataDir>/member/wal (the log, etcd's format), <dataDir>/member/db (the database).

import { join } from "node:path";
import { Status, StatusError } from "../base/status.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { type FolderLock, lockFolder } from "../io/folder-lock.ts";
import { Lessor } from "../lease/lessor.ts";
import { Store } from "../mvcc/store.ts";
import { WatchHub } from "../mvcc/watch-hub.ts";
import { Raft } from "../raft/raft.ts";
import { type Entry, EntryType, type HardState, type Proposal } from "../raft/types.ts";
import type { Backend } from "../storage/backend.ts";
import { LmdbBackend } from "../storage/lmdb-backend.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { Wal } from "../wal/wal.ts";
import { ConfChange } from "../wire/generated/raft.ts";
import { clusterIdOf, memberIdOf } from "./identity.ts";
import { type Log, MemoryLog } from "./log.ts";
import { MemberMetrics } from "./member-metrics.ts";
import { Membership } from "./membership.ts";
import { MemberReplica } from "./replica.ts";
import type { ReplicaOptions } from "./replica-options.ts";
import { appliedTermOf, MetaKey, StateMachine } from "./state-machine.ts";

export interface MemberOptions extends Omit<ReplicaOptions, "clusterId" | "memberId"> {
  /** undefined keeps everything in memory. */
  readonly dataDir: string | undefined;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clusterToken: string;
  readonly electionTimeoutMs: number;
  readonly leaseCheckpointIntervalMs: number;
  /** Bytes of one log file; the log's own default when absent. */
  readonly walSegmentBytes?: number;
}

export interface MemberDependencies {
  readonly clock: Clock;
  /** Where the log lies. */
  readonly disk: Disk;
  /** Opens the database of a data directory; LMDB on the system's disk when absent. */
  readonly openBackend?: (dataDir: string) => Promise<Backend> | Backend;
  /** Keeps other members out of a data directory; a lock among the machine's processes when absent. */
  readonly lockFolder?: (dataDir: string) => Promise<FolderLock>;
}

/** A running member and what must be let go of after it is closed. */
export interface OpenedMember {
  readonly replica: MemberReplica;
  close(): Promise<void>;
}

/** What the log said when it was opened. */
interface RecoveredLog {
  readonly log: Log;
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly hardState: HardState;
  /** After what the store has applied. */
  readonly entries: readonly Entry[];
}

const noState: HardState = { term: 0, vote: 0n, commit: 0 };

/** Opens the member and replays its log; it takes requests then, and is ready once it is published. */
export async function openMember(
  options: MemberOptions,
  dependencies: MemberDependencies,
): Promise<OpenedMember> {
  const { dataDir } = options;
  if (dataDir === undefined) return openLocked(options, dependencies, undefined);
  await dependencies.disk.makeFolder(join(dataDir, "member"));
  const lock = await (dependencies.lockFolder ?? lockFolder)(dataDir);
  try {
    return await openLocked(options, dependencies, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function openLocked(
  options: MemberOptions,
  dependencies: MemberDependencies,
  lock: FolderLock | undefined,
): Promise<OpenedMember> {
  const backend = await openBackend(options.dataDir, dependencies);
  let log: Log | undefined;
  try {
    const store = Store.open({}, { backend });
    const applied = { index: store.consistentIndex, term: appliedTermOf(store) };
    const recovered =
      options.dataDir === undefined
        ? newLog(options, new MemoryLog())
        : await openLog(options, options.dataDir, applied, dependencies.disk);
    log = recovered.log;
    const replica = buildReplica(options, dependencies, { backend, store, applied, recovered });
    await replica.start();
    const close = async () => {
      try {
        await replica.close();
      } finally {
        await backend.close();
        await lock?.release();
      }
    };
    return { replica, close };
  } catch (error) {
    await log?.close();
    await backend.close();
    throw error;
  }
}

/** What is open before the replica is put together. */
interface OpenedState {
  readonly backend: Backend;
  readonly store: Store;
  readonly applied: { readonly index: number; readonly term: number };
  readonly recovered: RecoveredLog;
}

function buildReplica(
  options: MemberOptions,
  dependencies: MemberDependencies,
  { backend, store, applied, recovered }: OpenedState,
): MemberReplica {
  const { memberId, clusterId } = recovered;
  const lessor = Lessor.open(lessorOptions(options), { rows: store, backend });
  const watchHub = new WatchHub(store);
  store.onEvents = (batch) => watchHub.publish(batch);
  store.onLeaseChange = (key, from, to) => {
    if (from !== 0n) lessor.detach(from, key);
    if (to !== 0n) lessor.attach(to, key);
  };
  const membership = new Membership(store.getMeta(MetaKey.members));
  const now = () => dependencies.clock.now();
  const ids = { clusterId, memberId };
  const metrics = new MemberMetrics();
  const stateMachine = new StateMachine(ids, { store, lessor, membership, metrics, now });
  const { hardState, entries, log } = recovered;
  const raft = new Raft({ id: memberId, voters: [memberId], hardState, applied, entries });
  if (raft.lastIndex === 0) raft.bootstrap([firstEntry(memberId, options)]);
  const { clock } = dependencies;
  return new MemberReplica(
    { ...options, ...ids },
    { clock, raft, log, store, lessor, watchHub, membership, stateMachine, metrics },
    applied.index,
  );
}

function openBackend(
  dataDir: string | undefined,
  dependencies: MemberDependencies,
): Promise<Backend> | Backend {
  if (dataDir === undefined) return new MemoryBackend();
  if (dependencies.openBackend) return dependencies.openBackend(dataDir);
  return LmdbBackend.open({ path: join(dataDir, "member", "db") });
}

function lessorOptions(options: MemberOptions) {
  return {
    minTtlSeconds: Math.ceil((3 * options.electionTimeoutMs) / 2 / 1000),
    checkpointIntervalMs: options.leaseCheckpointIntervalMs,
  };
}

async function openLog(
  options: MemberOptions,
  dataDir: string,
  applied: { readonly index: number; readonly term: number },
  disk: Disk,
): Promise<RecoveredLog> {
  const folder = join(dataDir, "member", "wal");
  const { walSegmentBytes: segmentBytes } = options;
  const segments = (await disk.list(folder)).filter((name) => name.endsWith(".wal"));
  if (segments.length === 0) {
    if (applied.index > 0) {
      throw new StatusError(
        Status.DATA_LOSS,
        `Cannot open ${folder}: the log is missing, but the database holds data up to entry ${applied.index}. Put the log back, or restore a backup into an empty data directory.`,
      );
    }
    const ids = idsOf(options);
    const wal = await Wal.create(
      { folder, nodeId: ids.memberId, clusterId: ids.clusterId, segmentBytes },
      { disk },
    );
    return newLog(options, wal);
  }
  const { wal, recovered } = await Wal.open({ folder, from: applied, segmentBytes }, { disk });
  return {
    log: wal,
    memberId: recovered.nodeId,
    clusterId: recovered.clusterId,
    hardState: recovered.hardState ?? noState,
    entries: recovered.entries,
  };
}

function idsOf(options: MemberOptions): { readonly memberId: bigint; readonly clusterId: bigint } {
  const memberId = memberIdOf(options.peerUrls, options.clusterToken);
  return { memberId, clusterId: clusterIdOf([memberId]) };
}

function newLog(options: MemberOptions, log: Log): RecoveredLog {
  return { log, ...idsOf(options), hardState: noState, entries: [] };
}

/** The first entry of a new cluster's log: it adds the first member. */
function firstEntry(memberId: bigint, options: MemberOptions): Proposal {
  const member = JSON.stringify({ peerURLs: options.peerUrls, name: options.name });
  const change = ConfChange.fromPartial({
    type: 0,
    nodeId: memberId,
    context: Buffer.from(member.replace("{", `{"id":${memberId},`)),
  });
  return { type: EntryType.confChange, data: ConfChange.encode(change).finish() };
}
