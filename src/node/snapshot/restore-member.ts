// Makes a member's data directory out of a database file: a backup of Portal's or etcd's. The data stay, the cluster
// is a new one: its members are those that the flags name, and its log holds nothing but them. Each member of the new
// cluster is made so from the same file. The log comes last: a directory without one is refused by the server.

import { join } from "node:path";
import { Status, StatusError } from "../../base/status.ts";
import type { Clock } from "../../io/clock.ts";
import type { Disk } from "../../io/disk.ts";
import { EntryType } from "../../raft/types.ts";
import type { DatabaseFiles } from "../../storage/database-files.ts";
import { Wal, type WalEntry } from "../../wal/wal.ts";
import { ConfChange, ConfChangeType } from "../../wire/generated/raft.ts";
import { type Beginning, type FoundingOptions, foundingMembers } from "../members/bootstrap.ts";
import { confStateOf, encodeConfState } from "../members/conf-state.ts";
import { buildDatabase, type DatabaseEdit } from "./build-database.ts";
import { verifyFileHash } from "./file-hash.ts";
import { buildNextDatabase, installNextDatabase } from "./install-database.ts";

export interface RestoreOptions extends FoundingOptions {
  /** The database file, with or without a SHA-256 behind it. */
  readonly path: string;
  /** Missing or empty. */
  readonly dataDir: string;
  /** Where the log goes; <dataDir>/member/wal when absent. Must not exist. */
  readonly walDir?: string | undefined;
  /** Also takes a file without a SHA-256 behind it, as copied from a data directory, and does not check one. */
  readonly skipHashCheck: boolean;
  /** Raises the revision by this, with all history marked as compacted. 0: it stays. */
  readonly bumpRevision: number;
}

export interface RestoreDependencies {
  readonly disk: Disk;
  readonly databases: DatabaseFiles;
  readonly clock: Clock;
  /** An address of the host with this name; rejects when there is none. */
  readonly lookUpHost: (name: string) => Promise<string>;
}

export interface RestoredMember {
  readonly memberId: bigint;
  readonly clusterId: bigint;
}

/** The first entries of every new cluster are of this term. */
const firstTerm = 1;

/** Rejects with a StatusError; what was made until then is removed. */
export async function restoreMember(
  options: RestoreOptions,
  dependencies: RestoreDependencies,
): Promise<RestoredMember> {
  const { disk } = dependencies;
  const { dataDir, walDir } = options;
  const beginning = await foundingMembers(options, dependencies.lookUpHost);
  if ((await disk.list(dataDir)).length > 0) {
    throw refusal(`data-dir ${JSON.stringify(dataDir)} not empty or could not be read`);
  }
  if (walDir !== undefined && (await disk.exists(walDir))) {
    throw refusal(`wal-dir ${JSON.stringify(walDir)} exists`);
  }
  await verifyFileHash(disk, options.path, options.skipHashCheck);
  const memberFolder = join(dataDir, "member");
  const walFolder = walDir ?? join(memberFolder, "wal");
  try {
    await disk.makeFolder(memberFolder);
    await restoreDatabase(options, dependencies, memberFolder, beginning);
    await writeLog(disk, walFolder, beginning);
    await disk.syncFolder(memberFolder);
    await disk.syncFolder(dataDir);
  } catch (error) {
    await disk.remove(memberFolder);
    await disk.remove(walFolder);
    throw error;
  }
  return { memberId: beginning.memberId, clusterId: beginning.clusterId };
}

async function restoreDatabase(
  { path, bumpRevision }: RestoreOptions,
  { disk, databases, clock }: RestoreDependencies,
  memberFolder: string,
  { founders, members }: Beginning,
): Promise<void> {
  const edit: DatabaseEdit = {
    point: { index: founders.length, term: firstTerm, confState: confStateOf(members) },
    members,
    bumpRevision,
  };
  await buildNextDatabase(databases, memberFolder, (backend) =>
    buildDatabase({ disk, path, backend, clock, edit }),
  );
  await installNextDatabase(databases, memberFolder);
}

/** A log in which the members have just been added, and applied. */
async function writeLog(
  disk: Disk,
  folder: string,
  { memberId, clusterId, founders, members }: Beginning,
): Promise<void> {
  const entries: WalEntry[] = founders.map(({ id, context }, i) => ({
    term: firstTerm,
    index: i + 1,
    type: EntryType.confChange,
    data: ConfChange.encode({
      type: ConfChangeType.ConfChangeAddNode,
      nodeId: id,
      context,
    }).finish(),
  }));
  const index = entries.length;
  const vote = founders[0]?.id ?? 0n;
  const wal = await Wal.create({ folder, nodeId: memberId, clusterId }, { disk });
  try {
    await wal.append(entries, { term: firstTerm, vote, commit: index }, true);
    const confState = encodeConfState(confStateOf(members));
    await wal.saveSnapshot({ index, term: firstTerm, confState });
  } finally {
    await wal.close();
  }
}

function refusal(message: string): StatusError {
  return new StatusError(Status.FAILED_PRECONDITION, message);
}
