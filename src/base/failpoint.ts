// Places in the code where a test may stop, delay or end the process from outside, under the names of etcd's
// failpoints where the meaning fits. The one piece of state that belongs to the whole process: a test names a
// point, not an object. Off, a point costs one property read.
//
//   if (failpoints.raftBeforeSave !== undefined) await failpoints.raftBeforeSave.reach();

export const failpointNames = [
  // Entries, hard state and snapshots on their way to the log.
  "raftBeforeSave",
  "raftAfterSave",
  "walBeforeSync",
  "walAfterSync",
  // Messages on their way to other members.
  "raftBeforeLeaderSend",
  "raftBeforeFollowerSend",
  // A snapshot from another member is taken over.
  "raftBeforeSaveSnap",
  "raftAfterSaveSnap",
  "raftBeforeApplySnap",
  "raftAfterApplySnap",
  "raftAfterWALRelease",
  "applyBeforeOpenSnapshot",
  "applyAfterOpenSnapshot",
  "beforeApplyOneConfChange",
  // A flush to the database.
  "beforeStartDBTxn",
  "afterStartDBTxn",
  "commitBeforePreCommitHook",
  "commitAfterPreCommitHook",
  "beforeCommit",
  "afterCommit",
  "beforeWritebackBuf",
  "afterWritebackBuf",
  // Compaction and defragmentation.
  "compactBeforeCommitScheduledCompact",
  "compactAfterCommitScheduledCompact",
  "compactBeforeCommitBatch",
  "compactAfterCommitBatch",
  "compactBeforeSetFinishedCompact",
  "compactAfterSetFinishedCompact",
  "defragBeforeCopy",
  "defragBeforeRename",
  "beforeSendWatchResponse",
] as const;

export type FailpointName = (typeof failpointNames)[number];

/** A point that is on. */
export interface ArmedFailpoint {
  /** What it does, as it was asked for: panic, sleep("3s"), return("text"). */
  readonly term: string;
  /** Resolves when the code may go on; never, when the process ends here. The text of a `return`, else undefined. */
  reach(): Promise<string | undefined>;
  /** For code that can not wait: a sleep stands the whole process still. */
  reachNow(): string | undefined;
}

export type Failpoints = { [Name in FailpointName]: ArmedFailpoint | undefined };

/** Read by the code that has points; written by who serves `GOFAIL_HTTP`. */
export const failpoints: Failpoints = Object.fromEntries(
  failpointNames.map((name) => [name, undefined]),
) as Failpoints;

export function isFailpointName(name: string): name is FailpointName {
  return (failpointNames as readonly string[]).includes(name);
}
