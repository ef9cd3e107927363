// What is on a member's disk, or what a new member begins with: database and log, opened and brought
// together. The log knows of an installed snapshot before the database does; a crash between the two is
// mended here.

import { join } from "node:path";
import { Status, StatusError } from "../base/status.ts";
import { Store } from "../mvcc/store.ts";
import type { Entry, HardState } from "../raft/types.ts";
import type { Backend } from "../storage/backend.ts";
import { type DatabaseFiles, LmdbFiles } from "../storage/database-files.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { Wal } from "../wal/wal.ts";
import type { Member } from "../wire/generated/rpc.ts";
import { appliedTermOf, confStateOfStore, MetaKey } from "./apply/state-machine.ts";
import { type Log, MemoryLog } from "./loop/log.ts";
import type { MemberDependencies, MemberOptions } from "./member-options.ts";
import { versionOfServer } from "./member-status.ts";
import { type Beginning, beginMember } from "./members/bootstrap.ts";
import { forceNewCluster } from "./members/force-new-cluster.ts";
import { Membership } from "./members/membership.ts";
import { noPeerClient, unreachable } from "./no-peers.ts";
import { databasePath, finishInstall, removeUnusedDatabases } from "./snapshot/install-database.ts";
import { removeLeftovers } from "./snapshot/snapshot-reader.ts";

export interface OpenedState {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly databases: DatabaseFiles;
  readonly store: Store;
  readonly log: Log;
  readonly hardState: HardState;
  /** The last entry that the store has applied. */
  readonly applied: { readonly index: number; readonly term: number };
  /** The log after `applied`. */
  readonly entries: readonly Entry[];
  /** The first members of a cluster that is founded now; else empty. */
  readonly founders: Beginning["founders"];
  /** Whom to connect to until the log says who the members are. */
  readonly knownMembers: readonly Member[];
}

const noState: HardState = { term: 0, vote: 0n, commit: 0 };

export async function openState(
  options: MemberOptions,
  dependencies: MemberDependencies,
): Promise<OpenedState> {
  const { dataDir } = options;
  if (dataDir === undefined) {
    const beginning = await begin(options, dependencies);
    return newState(beginning, new LmdbFiles(), new MemoryBackend(), new MemoryLog());
  }
  const memberFolder = join(dataDir, "member");
  const folder = join(memberFolder, "wal");
  const { disk, databases = new LmdbFiles() } = dependencies;
  await removeLeftovers(disk, join(memberFolder, "snap"));
  const hasLog = (await disk.list(folder)).some((name) => name.endsWith(".wal"));
  let backend = await databases.open(databasePath(memberFolder));
  try {
    const applied = appliedOf(backend);
    if (!hasLog) {
      refuseWithoutLog(folder, applied.index);
      const beginning = await begin(options, dependencies);
      const log = await createLog(folder, beginning, options, dependencies);
      return newState(beginning, databases, backend, log);
    }
    let opened = await openLog(folder, applied, options, dependencies);
    const { snapshot } = opened.recovered;
    if (snapshot.index > applied.index) {
      // The crash came after the log had noted the snapshot, and before the database was replaced.
      await opened.wal.close();
      await backend.close();
      await finishInstall(databases, memberFolder, snapshot.index);
      backend = await databases.open(databasePath(memberFolder));
      opened = await openLog(folder, appliedOf(backend), options, dependencies);
    }
    await removeUnusedDatabases(databases, memberFolder);
    if (opened.recovered.lastIndex === 0) {
      const beginning = sameMember(folder, opened, await begin(options, dependencies));
      return newState(beginning, databases, backend, opened.wal);
    }
    return await restartedState(options, databases, backend, opened);
  } catch (error) {
    await backend.close();
    throw error;
  }
}

/** The last start made the log, and ended before anything was in it: the member begins as if there was none. */
function sameMember(folder: string, { recovered }: OpenedLog, beginning: Beginning): Beginning {
  const { nodeId, clusterId } = recovered;
  if (nodeId === beginning.memberId && clusterId === beginning.clusterId) return beginning;
  throw new StatusError(
    Status.FAILED_PRECONDITION,
    `Cannot open ${folder}: it was made for member ${nodeId.toString(16)} of cluster ${clusterId.toString(16)}, but the flags make member ${beginning.memberId.toString(16)} of cluster ${beginning.clusterId.toString(16)}. The log is empty: remove the data directory, or start with the flags of before.`,
  );
}

type OpenedLog = Awaited<ReturnType<typeof Wal.open>>;

async function restartedState(
  options: MemberOptions,
  databases: DatabaseFiles,
  backend: Backend,
  { wal, recovered }: OpenedLog,
): Promise<OpenedState> {
  const store = Store.open({}, { backend });
  const applied = appliedOf(backend);
  const state: OpenedState = {
    memberId: recovered.nodeId,
    clusterId: recovered.clusterId,
    databases,
    store,
    log: wal,
    hardState: atLeast(recovered.hardState ?? noState, applied.index),
    applied,
    entries: recovered.entries,
    founders: [],
    knownMembers: [],
  };
  if (!options.forceNewCluster) return state;
  const membership = new Membership(store.getMeta(MetaKey.members));
  const { voters, learners, votersOutgoing } = confStateOfStore(store, membership);
  const forced = forceNewCluster({
    ...state,
    memberIds: [...new Set([...voters, ...learners, ...votersOutgoing])],
  });
  await wal.append(forced.added, forced.hardState, true);
  return { ...state, hardState: forced.hardState, entries: forced.entries };
}

/** A commit index is a hint that may be lost; what was applied was committed. */
function atLeast(hardState: HardState, commit: number): HardState {
  return hardState.commit >= commit ? hardState : { ...hardState, commit };
}

function newState(
  beginning: Beginning,
  databases: DatabaseFiles,
  backend: Backend,
  log: Log,
): OpenedState {
  return {
    memberId: beginning.memberId,
    clusterId: beginning.clusterId,
    databases,
    store: Store.open({}, { backend }),
    log,
    hardState: noState,
    applied: { index: 0, term: 0 },
    entries: [],
    founders: beginning.founders,
    knownMembers: beginning.members,
  };
}

function begin(options: MemberOptions, dependencies: MemberDependencies): Promise<Beginning> {
  const { peerClient = noPeerClient, lookUpHost = unreachable } = dependencies;
  return beginMember({ ...options, version: versionOfServer }, { peerClient, lookUpHost });
}

function appliedOf(backend: Backend): { readonly index: number; readonly term: number } {
  const store = Store.open({}, { backend });
  return { index: store.consistentIndex, term: appliedTermOf(store) };
}

function refuseWithoutLog(folder: string, appliedIndex: number): void {
  if (appliedIndex === 0) return;
  throw new StatusError(
    Status.DATA_LOSS,
    `Cannot open ${folder}: the log is missing, but the database holds data up to entry ${appliedIndex}. Put the log back, or restore a backup into an empty data directory.`,
  );
}

function createLog(
  folder: string,
  { memberId, clusterId }: Beginning,
  { walSegmentBytes: segmentBytes, walKeptSegments: keptSegments }: MemberOptions,
  { disk }: MemberDependencies,
): Promise<Wal> {
  const options = { folder, nodeId: memberId, clusterId, segmentBytes, keptSegments };
  return Wal.create(options, { disk });
}

function openLog(
  folder: string,
  from: { readonly index: number; readonly term: number },
  { walSegmentBytes: segmentBytes, walKeptSegments: keptSegments }: MemberOptions,
  { disk }: MemberDependencies,
): Promise<OpenedLog> {
  return Wal.open({ folder, from, segmentBytes, keptSegments }, { disk });
}
