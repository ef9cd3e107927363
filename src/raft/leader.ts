// What a leader does with a message: it takes proposals and read requests, and follows each member's
// progress by its answers.

import { decodeMembershipChange, type MembershipChange } from "./confchange/conf-change.ts";
import { answerPostponedReads, confirmReads, requestRead } from "./leader-reads.ts";
import { makeMessage, noBytes } from "./make-message.ts";
import { type Message, MessageType } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";
import {
  appendProposals,
  broadcastAppend,
  broadcastHeartbeat,
  maybeCommit,
  sendAppend,
} from "./replication.ts";
import type { Progress } from "./tracker/progress.ts";
import { EntryType, type Proposal } from "./types.ts";

const emptyProposal: Proposal = { type: EntryType.normal, data: noBytes };

export function stepLeader(core: RaftCore, message: Message): "dropped" | undefined {
  switch (message.type) {
    case MessageType.beat:
      broadcastHeartbeat(core);
      return undefined;
    case MessageType.checkQuorum:
      checkQuorum(core);
      return undefined;
    case MessageType.prop:
      return propose(core, message.entries);
    case MessageType.readIndex:
      requestRead(core, message);
      return undefined;
  }
  const progress = core.tracker.progress(message.from);
  if (progress === undefined) return undefined;
  switch (message.type) {
    case MessageType.appResp:
      progress.recentActive = true;
      if (message.reject) appendRefused(core, progress, message);
      else appendAccepted(core, progress, message.index);
      break;
    case MessageType.heartbeatResp:
      heartbeatAnswered(core, progress, message);
      break;
    case MessageType.snapStatus:
      snapshotReported(progress, !message.reject);
      break;
    case MessageType.unreachable:
      // What was sent ahead is probably lost.
      if (progress.state === "replicate") progress.becomeProbe();
      break;
    case MessageType.transferLeader:
      transferLeadership(core, progress);
      break;
  }
  return undefined;
}

/** Steps down when no quorum was heard since the last check. */
export function checkQuorum(core: RaftCore): void {
  if (!core.tracker.isQuorumActive()) {
    core.config.trace?.("steps down: a quorum is out of reach");
    core.becomeFollower(core.term, 0n);
  }
  for (const progress of core.tracker.all) {
    if (progress.id !== core.id) progress.recentActive = false;
  }
}

/** Appends proposals and sends them out. "dropped": not now, or not by this member. */
export function propose(core: RaftCore, proposals: readonly Proposal[]): "dropped" | undefined {
  if (proposals.length === 0) return "dropped";
  // It leads on after it was removed, but takes nothing more.
  if (core.tracker.progress(core.id) === undefined) return "dropped";
  if (core.leadTransferee !== 0n) return "dropped";
  const checked = checkConfChanges(core, proposals);
  if (checked === "dropped" || !appendProposals(core, checked)) return "dropped";
  broadcastAppend(core);
  return undefined;
}

/**
 * Puts an empty entry in the place of each configuration change that must not be made now. Best effort:
 * what counts is the configuration when the entry is applied.
 */
function checkConfChanges(
  core: RaftCore,
  proposals: readonly Proposal[],
): readonly Proposal[] | "dropped" {
  let checked: Proposal[] | undefined;
  for (let i = 0; i < proposals.length; i++) {
    const proposal = proposals[i] as Proposal;
    if (proposal.type === EntryType.normal) continue;
    const change = decode(proposal);
    if (change === undefined) return "dropped";
    const reason = refusalOf(core, change);
    if (reason === undefined || core.config.disableConfChangeValidation) {
      core.pendingConfIndex = core.log.lastIndex() + i + 1;
      continue;
    }
    core.config.trace?.(`ignores a configuration change: ${reason}`);
    checked ??= [...proposals];
    checked[i] = emptyProposal;
  }
  return checked ?? proposals;
}

/** It may come from another member, so that bytes which are no change are not our bug. */
function decode(proposal: Proposal): MembershipChange | undefined {
  try {
    return decodeMembershipChange(proposal.type, proposal.data);
  } catch {
    return undefined;
  }
}

function refusalOf(core: RaftCore, change: MembershipChange): string | undefined {
  if (core.pendingConfIndex > core.log.applied) {
    return `entry ${core.pendingConfIndex} may be one that is not applied yet`;
  }
  const leaves = change.changes.length === 0;
  if (core.tracker.isJoint && !leaves) return "the joint configuration has to be left first";
  if (!core.tracker.isJoint && leaves) return "there is no joint configuration to leave";
  return undefined;
}

/**
 * Goes back to where the logs may agree. The hint is the end of the member's log as far as it can agree,
 * with its term there: all entries here of a larger term can be passed over in one step.
 */
function appendRefused(core: RaftCore, progress: Progress, message: Message): void {
  const { logTerm, rejectHint } = message;
  const hint = logTerm > 0 ? core.log.lastPossibleMatch(rejectHint, logTerm).index : rejectHint;
  if (!progress.reject(message.index, hint)) return;
  if (progress.state === "replicate") progress.becomeProbe();
  sendAppend(core, progress, true);
}

function appendAccepted(core: RaftCore, progress: Progress, index: number): void {
  const isNews = progress.acknowledge(index);
  if (!isNews && !(progress.match === index && progress.state === "probe")) return;
  if (progress.state === "probe") {
    progress.becomeReplicate();
  } else if (progress.state === "replicate") {
    progress.inflights.freeUpTo(index);
  } else if (progress.match + 1 >= core.log.firstIndex()) {
    // It has caught up far enough, by whatever means, that entries can follow.
    progress.becomeProbe();
    progress.becomeReplicate();
  }
  const isOther = progress.id !== core.id;
  if (maybeCommit(core)) {
    answerPostponedReads(core);
    broadcastAppend(core);
  } else if (isOther && progress.canBumpCommit(core.log.committed)) {
    sendAppend(core, progress, true);
  }
  if (isOther) {
    // The window may be open by more than one message now.
    while (sendAppend(core, progress, false));
  }
  if (progress.id === core.leadTransferee && progress.match === core.log.lastIndex()) {
    core.send(makeMessage(MessageType.timeoutNow, progress.id));
  }
}

function heartbeatAnswered(core: RaftCore, progress: Progress, message: Message): void {
  progress.recentActive = true;
  progress.appendsPaused = false;
  if (progress.match < core.log.lastIndex() || progress.state === "probe") {
    sendAppend(core, progress, true);
  }
  if (core.config.readOnlyOption === "safe" && message.context.length > 0) {
    confirmReads(core, message);
  }
}

/** The next append waits for the member's word on the snapshot, or for a heartbeat's answer. */
function snapshotReported(progress: Progress, arrived: boolean): void {
  if (progress.state !== "snapshot") return;
  if (!arrived) progress.snapshotFailed();
  progress.becomeProbe();
  progress.appendsPaused = true;
}

/** Brings the member up to date first; then it is told to campaign at once. */
function transferLeadership(core: RaftCore, progress: Progress): void {
  if (progress.isLearner || core.leadTransferee === progress.id) return;
  core.leadTransferee = 0n;
  if (progress.id === core.id) return;
  core.config.trace?.(`transfers leadership to ${progress.id.toString(16)}`);
  // The transfer has one election timeout.
  core.electionElapsed = 0;
  core.leadTransferee = progress.id;
  if (progress.match === core.log.lastIndex()) {
    core.send(makeMessage(MessageType.timeoutNow, progress.id));
  } else {
    sendAppend(core, progress, true);
  }
}
