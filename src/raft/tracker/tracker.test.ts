// What a leader concludes from the members' progress and votes.

import { describe, expect, it } from "vitest";
import { changeSimply, emptyConfState, enterJoint, leaveJoint } from "../confchange/changer.ts";
import type { ConfState } from "../message.ts";
import { Tracker } from "./tracker.ts";

const limits = { maxInflightMessages: 4, maxInflightBytes: 0 };

function make(config: Partial<ConfState>): Tracker {
  const tracker = new Tracker(limits);
  tracker.restart({ ...emptyConfState, ...config }, 7);
  tracker.reset(1n, 7);
  return tracker;
}

function acknowledge(tracker: Tracker, matches: Record<string, number>): void {
  for (const [id, match] of Object.entries(matches)) {
    tracker.progress(BigInt(id))?.acknowledge(match);
  }
}

describe("Tracker", () => {
  it("commits what a majority of the voters has, whatever learners have", () => {
    const tracker = make({ voters: [1n, 2n, 3n], learners: [4n, 5n] });
    expect(tracker.committed()).toBe(0);
    acknowledge(tracker, { 4: 9, 5: 9, 2: 3 });
    expect(tracker.committed()).toBe(3);
    acknowledge(tracker, { 3: 8 });
    expect(tracker.committed()).toBe(7);
    expect(tracker.all.map((each) => each.id)).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it("commits in both halves of a joint configuration", () => {
    const tracker = make({ voters: [1n, 2n, 3n], votersOutgoing: [3n, 4n, 5n] });
    expect(tracker.voters).toEqual([1n, 2n, 3n, 4n, 5n]);
    acknowledge(tracker, { 2: 7, 4: 4 });
    expect(tracker.committed()).toBe(0);
    acknowledge(tracker, { 5: 5 });
    expect(tracker.committed()).toBe(4);
  });

  it("knows when a quorum is within reach", () => {
    const tracker = make({ voters: [1n, 2n, 3n], learners: [4n] });
    const hear = (id: bigint) => {
      const progress = tracker.progress(id);
      if (progress !== undefined) progress.recentActive = true;
    };
    hear(1n);
    hear(4n);
    expect(tracker.isQuorumActive()).toBe(false);
    hear(3n);
    expect(tracker.isQuorumActive()).toBe(true);
  });

  it("counts first votes of voters only", () => {
    const tracker = make({ voters: [1n, 2n, 3n], learners: [4n] });
    tracker.recordVote(1n, true);
    tracker.recordVote(4n, true);
    tracker.recordVote(2n, false);
    tracker.recordVote(2n, true);
    expect(tracker.tally()).toEqual({ granted: 1, rejected: 1, result: "pending" });
    tracker.recordVote(3n, true);
    expect(tracker.tally()).toEqual({ granted: 2, rejected: 1, result: "won" });
    tracker.clearVotes();
    expect(tracker.tally().result).toBe("pending");
  });

  it("keeps who stays, and starts newcomers as active probes", () => {
    const tracker = make({ voters: [1n, 2n] });
    acknowledge(tracker, { 2: 5 });
    const added = changeSimply(tracker.config, [{ kind: "addVoter", id: 3n }]);
    if ("refused" in added) throw new Error(added.refused);
    tracker.change(added, 8);
    expect(tracker.progress(2n)?.match).toBe(5);
    const next = { match: 0, next: 8, state: "probe", recentActive: true };
    expect(tracker.progress(3n)).toMatchObject(next);
    expect(tracker.isSingleton).toBe(false);
  });

  it("demotes through a joint configuration without losing what it knew", () => {
    const tracker = make({ voters: [1n, 2n, 3n] });
    acknowledge(tracker, { 3: 6 });
    const joint = enterJoint(tracker.config, true, [
      { kind: "addLearner", id: 3n },
      { kind: "remove", id: 2n },
    ]);
    if ("refused" in joint) throw new Error(joint.refused);
    tracker.change(joint, 8);
    expect(tracker.isJoint).toBe(true);
    expect(tracker.progress(3n)).toMatchObject({ isLearner: false, match: 6 });
    const left = leaveJoint(tracker.config);
    if ("refused" in left) throw new Error(left.refused);
    tracker.change(left, 9);
    expect(tracker.progress(3n)).toMatchObject({ isLearner: true, match: 6 });
    expect(tracker.progress(2n)).toBeUndefined();
    expect(tracker.isSingleton).toBe(true);
  });
});
