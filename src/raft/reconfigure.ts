// Configurations come into force here: by a change that is applied, by a snapshot, at the start.

import { assert } from "../base/assert.ts";
import { applyChange, restore } from "./confchange/changer.ts";
import type { MembershipChange } from "./confchange/conf-change.ts";
import type { ConfState, Snapshot } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";
import { broadcastAppend, maybeCommit, sendAppend } from "./replication.ts";

/** A change in the log is applied. It was checked before it was proposed: one that is impossible is a bug. */
export function applyMembershipChange(core: RaftCore, change: MembershipChange): ConfState {
  const result = applyChange(core.tracker.config, change);
  assert("config" in result, `a configuration change is impossible: ${refusal(result)}`);
  core.tracker.change(result, core.log.lastIndex());
  adapt(core);
  return core.tracker.config;
}

/** Begins with a configuration from the disk or from a snapshot. */
export function restoreConfig(core: RaftCore, confState: ConfState): void {
  const result = restore(confState);
  assert("config" in result, `a configuration is impossible: ${refusal(result)}`);
  core.tracker.restart(result.config, core.log.lastIndex());
}

function refusal(result: object): string {
  return "refused" in result ? String(result.refused) : "";
}

/** What a leader does when the configuration has changed. */
function adapt(core: RaftCore): void {
  if (core.role !== "leader") return;
  const { tracker } = core;
  const own = tracker.progress(core.id);
  if (own === undefined || own.isLearner) {
    if (core.config.stepDownOnRemoval) core.becomeFollower(core.term, 0n);
    return;
  }
  if (maybeCommit(core)) {
    // A smaller quorum may have more than was committed before.
    broadcastAppend(core);
  } else {
    // Newcomers do not have to wait for a heartbeat or a proposal.
    for (const progress of tracker.all) {
      if (progress.id !== core.id) sendAppend(core, progress, false);
    }
  }
  if (core.leadTransferee !== 0n && !tracker.isVoter(core.leadTransferee)) core.leadTransferee = 0n;
}

/**
 * A leader's snapshot replaces the log and the configuration. "needless": it is old, not for this member,
 * or the log has it all. "later": it can not be taken now.
 */
export function restoreSnapshot(
  core: RaftCore,
  snapshot: Snapshot,
): "restored" | "needless" | "later" {
  const { index, term, confState } = snapshot.metadata;
  if (index <= core.log.committed) return "needless";
  const { voters, learners, votersOutgoing } = confState;
  if (![voters, learners, votersOutgoing].some((ids) => ids.includes(core.id))) {
    core.config.trace?.(`ignores snapshot ${index}: this member is not in its configuration`);
    return "needless";
  }
  if (core.log.matches(index, term)) {
    core.log.commitTo(index);
    return "needless";
  }
  if (core.log.isApplyingConfChange()) {
    // The state machine would carry it out on the snapshot's configuration, which is a later one.
    core.config.trace?.(`ignores snapshot ${index}: a configuration change is being applied`);
    return "later";
  }
  core.log.restore(snapshot);
  restoreConfig(core, confState);
  core.config.trace?.(`replaces its log by snapshot ${index}`);
  return "restored";
}
