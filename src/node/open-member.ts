// Opens a member's data directory, or makes a new one, and puts the parts of a running member together.
// Layout: <dataDir>/member/wal (the log, etcd's format), <dataDir>/member/db (the database),
// <dataDir>/member/snap (snapshots on their way).

import { join } from "node:path";
import { Random } from "../base/random.ts";
import { type FolderLock, lockFolder } from "../io/folder-lock.ts";
import { Lessor } from "../lease/lessor.ts";
import { WatchHub } from "../mvcc/watch-hub.ts";
import { LogStorage } from "../raft/log-storage.ts";
import { RawNode } from "../raft/raw-node.ts";
import { confStateOfStore, MetaKey, StateMachine } from "./apply/state-machine.ts";
import { MemberMetrics } from "./member-metrics.ts";
import type { MemberDependencies, MemberOptions } from "./member-options.ts";
import { Membership } from "./members/membership.ts";
import { RemoteMembers } from "./members/remote-members.ts";
import { NoTransport, noPeerCalls, noSnapshotFiles } from "./no-peers.ts";
import { type OpenedState, openState } from "./open-state.ts";
import { MemberReplica } from "./replica.ts";
import { MemberSnapshots } from "./snapshot/member-snapshots.ts";
import { SnapshotExchange } from "./snapshot/snapshot-exchange.ts";
import type { SnapshotFiles } from "./snapshot/snapshot-files.ts";

export type { MemberDependencies, MemberOptions, TransportFacts } from "./member-options.ts";

/** A running member and what must be let go of after it is closed. */
export interface OpenedMember {
  readonly replica: MemberReplica;
  close(): Promise<void>;
}

/** Entries that wait for a quorum may take this much beside what was just appended. */
const messageBytesMax = 1024 * 1024;
const inflightMessagesMax = 128;
const inflightBytesMax = 64 * 1024 * 1024;

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
  const state = await openState(options, dependencies);
  let replica: MemberReplica | undefined;
  try {
    replica = buildReplica(options, dependencies, state);
    await replica.start(
      state.knownMembers
        .filter((member) => member.ID !== state.memberId)
        .map((member) => ({ id: member.ID, urls: member.peerURLs })),
    );
  } catch (error) {
    if (replica) await replica.close();
    else await state.log.close();
    await state.store.close();
    throw error;
  }
  const opened = replica;
  const close = async () => {
    try {
      await opened.close();
    } finally {
      await state.store.close();
      await lock?.release();
    }
  };
  return { replica: opened, close };
}

function buildReplica(
  options: MemberOptions,
  dependencies: MemberDependencies,
  state: OpenedState,
): MemberReplica {
  const { clock, disk } = dependencies;
  const { memberId, clusterId, store, log, hardState, applied } = state;
  const ids = { memberId, clusterId };
  const metrics = new MemberMetrics();
  const { lessor, watchHub } = openLeasesAndWatches(options, state);
  const membership = new Membership(store.getMeta(MetaKey.members), options);
  const storage = new LogStorage({
    hardState,
    snapshot: { ...applied, confState: confStateOfStore(store, membership) },
    entries: state.entries,
  });
  const raw = new RawNode(coreConfig(options, dependencies, state, storage));
  if (state.founders.length > 0) raw.bootstrap(state.founders);
  const transport = dependencies.createTransport?.(ids) ?? new NoTransport();
  let replica: MemberReplica;
  const stateMachine = new StateMachine(ids, {
    store,
    lessor,
    membership,
    metrics,
    now: () => clock.now(),
    changeVoters: (change) => raw.applyConfChange(change),
    onMembership: (effect) => replica.onMembership(effect),
  });
  const snapshots = new SnapshotExchange({
    disk,
    folder: options.dataDir && join(options.dataDir, "member", "snap"),
    files: snapshotFiles(options, dependencies, state, metrics, () => replica.appliedIndex),
    log,
    transport,
    metrics,
    trace: dependencies.trace,
  });
  const { peerClient } = dependencies;
  const calls = peerClient ? new RemoteMembers(peerClient) : noPeerCalls;
  replica = new MemberReplica(
    { ...options, ...ids },
    {
      clock,
      raw,
      storage,
      hardState,
      transport,
      calls,
      snapshots,
      log,
      store,
      lessor,
      watchHub,
      membership,
      stateMachine,
      metrics,
    },
    applied.index,
  );
  // Only a promise: the file is written when it is asked for, and may then be of a later entry.
  storage.snapshotSource = () => {
    const { appliedTerm: term, confState } = stateMachine;
    const metadata = { index: replica.appliedIndex, term, confState };
    return metadata.index > 0 ? { metadata, data: new Uint8Array(0) } : undefined;
  };
  store.onAdopted = (backend) => {
    lessor.adopt(backend);
    watchHub.adopt();
    replica.onStoreAdopted();
  };
  return replica;
}

/** How this member's state goes out and another's comes in. */
function snapshotFiles(
  { dataDir }: MemberOptions,
  { clock, disk }: MemberDependencies,
  { store, databases }: OpenedState,
  metrics: MemberMetrics,
  appliedIndex: () => number,
): SnapshotFiles {
  if (dataDir === undefined) return noSnapshotFiles;
  const memberFolder = join(dataDir, "member");
  const tempFolder = join(memberFolder, "snap");
  return new MemberSnapshots({
    clock,
    disk,
    databases,
    memberFolder,
    tempFolder,
    store,
    appliedIndex,
    writeSeconds: metrics.databaseFileSeconds,
  });
}

function openLeasesAndWatches(options: MemberOptions, { store }: OpenedState) {
  const lessor = Lessor.open(
    {
      minTtlSeconds: Math.ceil((3 * options.electionTimeoutMs) / 2 / 1000),
      checkpointIntervalMs: options.leaseCheckpointIntervalMs,
    },
    { rows: store, backend: store.backend },
  );
  const watchHub = new WatchHub(store);
  store.onEvents = (batch) => watchHub.publish(batch);
  store.onLeaseChange = (key, from, to) => {
    if (from !== 0n) lessor.detach(from, key);
    if (to !== 0n) lessor.attach(to, key);
  };
  return { lessor, watchHub };
}

function coreConfig(
  options: MemberOptions,
  { clock, random, trace }: MemberDependencies,
  { memberId, applied }: OpenedState,
  storage: LogStorage,
) {
  const { electionTimeoutMs, heartbeatMs, preVote, maxPendingBytes } = options;
  return {
    id: memberId,
    electionTick: Math.max(2, Math.round(electionTimeoutMs / heartbeatMs)),
    heartbeatTick: 1,
    storage,
    applied: applied.index,
    asyncStorageWrites: true,
    maxSizePerMsg: messageBytesMax,
    maxCommittedSizePerReady: messageBytesMax,
    maxUncommittedEntriesSize: maxPendingBytes,
    maxInflightMsgs: inflightMessagesMax,
    maxInflightBytes: inflightBytesMax,
    checkQuorum: true,
    preVote,
    readOnlyOption: options.readsByLease === true ? ("leaseBased" as const) : ("safe" as const),
    stepDownOnRemoval: true,
    random: random ?? new Random(memberId ^ BigInt(Math.floor(clock.wallNow() * 1000))),
    trace,
  };
}
