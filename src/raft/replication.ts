// What a leader does to bring its log to everybody: append messages within each member's window, a
// snapshot for who needs entries that are gone, heartbeats, and the rule of what is committed.

import { assert } from "../base/assert.ts";
import { payloadSizeOf } from "./entry-size.ts";
import { makeMessage, noEntries } from "./make-message.ts";
import { MessageType } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";
import type { Progress } from "./tracker/progress.ts";
import type { Proposal } from "./types.ts";

/**
 * Adds proposals to the leader's log; it acknowledges them to itself when they are on its disk. False
 * when too much is uncommitted already. What has no payload is never refused.
 */
export function appendProposals(core: RaftCore, proposals: readonly Proposal[]): boolean {
  const bytes = payloadSizeOf(proposals);
  const limit = core.config.maxUncommittedEntriesSize;
  if (core.uncommittedBytes > 0 && bytes > 0 && core.uncommittedBytes + bytes > limit) {
    core.config.trace?.(`refused ${bytes} bytes of proposals: too much is not committed yet`);
    return false;
  }
  core.uncommittedBytes += bytes;
  const acknowledgement = makeMessage(MessageType.appResp, core.id);
  acknowledgement.index = core.log.appendProposals(core.term, proposals);
  core.send(acknowledgement);
  return true;
}

/** Commits what a quorum has, if its last entry is of this term. The caller tells the others. */
export function maybeCommit(core: RaftCore): boolean {
  return core.log.maybeCommit(core.tracker.committed(), core.term);
}

export function broadcastAppend(core: RaftCore): void {
  for (const progress of core.tracker.all) {
    if (progress.id !== core.id) sendAppend(core, progress, true);
  }
}

/**
 * Sends what comes next to one member, unless its window is closed. With `evenEmpty` also without
 * entries, for the commit index. True when something was sent.
 */
export function sendAppend(core: RaftCore, progress: Progress, evenEmpty: boolean): boolean {
  if (progress.isPaused) return false;
  const { log } = core;
  const previous = progress.next - 1;
  const previousTerm = log.term(previous);
  if (previousTerm === undefined) return sendSnapshot(core, progress);
  // With a full window only an empty message goes out: should everything in flight be lost, the
  // answer to it shows where to go on.
  const mayFill = progress.state !== "replicate" || !progress.inflights.isFull;
  const entries = mayFill ? log.entriesFrom(progress.next, core.config.maxSizePerMsg) : noEntries;
  if ((entries === undefined || entries.length === 0) && !evenEmpty) return false;
  if (entries === undefined) return sendSnapshot(core, progress);
  const message = makeMessage(MessageType.app, progress.id);
  message.index = previous;
  message.logTerm = previousTerm;
  message.entries = entries;
  message.commit = log.committed;
  core.send(message);
  progress.sentEntries(entries.length, payloadSizeOf(entries));
  progress.sentCommit(log.committed);
  return true;
}

/** Nothing is sent to who is not there: it could hold a snapshot up for long. */
function sendSnapshot(core: RaftCore, progress: Progress): boolean {
  if (!progress.recentActive) return false;
  const snapshot = core.log.snapshot();
  if (snapshot === undefined) {
    core.config.trace?.(`no snapshot for ${progress.id.toString(16)} yet`);
    return false;
  }
  const { index } = snapshot.metadata;
  assert(index > 0, "an empty snapshot can not be sent");
  core.config.trace?.(`sends snapshot ${index} to ${progress.id.toString(16)}`);
  progress.becomeSnapshot(index);
  const message = makeMessage(MessageType.snap, progress.id);
  message.snapshot = snapshot;
  core.send(message);
  return true;
}

/** Says that the leader is there, what waits to be confirmed, and what is committed of what they have. */
export function broadcastHeartbeat(core: RaftCore): void {
  const context = core.readOnly.heartbeatContext();
  for (const progress of core.tracker.all) {
    if (progress.id === core.id) continue;
    const message = makeMessage(MessageType.heartbeat, progress.id);
    message.commit = Math.min(progress.match, core.log.committed);
    message.context = context;
    core.send(message);
    progress.sentCommit(message.commit);
  }
}
