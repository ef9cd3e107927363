// Configurations under random changes: the rules hold, and every way to the same change agrees.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfChange, ConfChangeV2 } from "../../wire/generated/raft.ts";
import type { ConfState } from "../message.ts";
import { EntryType } from "../types.ts";
import {
  allVoters,
  applyChange,
  type ConfigResult,
  changeSimply,
  emptyConfState,
  enterJoint,
  leaveJoint,
  restore,
} from "./changer.ts";
import { decodeMembershipChange, leaveJointProposal, type MemberChange } from "./conf-change.ts";

const runs = { numRuns: 400, seed: 43 };
const change: fc.Arbitrary<MemberChange> = fc.record({
  kind: fc.constantFrom("addVoter", "addLearner", "remove", "update"),
  id: fc.bigInt({ min: 0n, max: 6n }),
});
const changes = fc.array(change, { maxLength: 6 });

function configOf(result: ConfigResult): ConfState {
  if ("refused" in result) throw new Error(result.refused);
  return result.config;
}

/** A configuration that simple steps lead to. */
const config = fc.array(change, { maxLength: 20 }).map((steps) => {
  let reached: ConfState = { ...emptyConfState, voters: [1n] };
  for (const step of steps) {
    const result = changeSimply(reached, [step]);
    if (!("refused" in result)) reached = result.config;
  }
  return reached;
});

describe("changing a configuration", () => {
  it("gives the same voters and learners at once or by way of a joint configuration", () => {
    fc.assert(
      fc.property(config, changes, (before, parts) => {
        const simple = changeSimply(before, parts);
        if ("refused" in simple) return;
        const joint = configOf(enterJoint(before, false, parts));
        expect(joint.votersOutgoing).toEqual(before.voters);
        expect(configOf(leaveJoint(joint))).toEqual(simple.config);
      }),
      runs,
    );
  });

  it("never takes two steps at once, nor the last voter", () => {
    fc.assert(
      fc.property(config, changes, (before, parts) => {
        const result = changeSimply(before, parts);
        if ("refused" in result) return;
        const after = result.config.voters;
        const left = before.voters.filter((id) => !after.includes(id)).length;
        const came = after.filter((id) => !before.voters.includes(id)).length;
        expect(left + came).toBeLessThanOrEqual(1);
        expect(after.length).toBeGreaterThan(0);
      }),
      runs,
    );
  });

  it("keeps voters and learners apart while it is joint, and makes a state that can be restored", () => {
    fc.assert(
      fc.property(config, changes, fc.boolean(), (before, parts, autoLeave) => {
        const result = enterJoint(before, autoLeave, parts);
        if ("refused" in result) return;
        const joint = result.config;
        const voters = allVoters(joint);
        expect(joint.learners.filter((id) => voters.includes(id))).toEqual([]);
        for (const id of joint.learnersNext) expect(joint.votersOutgoing).toContain(id);
        const shuffled = { ...joint, voters: [...joint.voters].reverse() };
        expect(configOf(restore(shuffled))).toEqual(joint);
      }),
      runs,
    );
  });

  it("names who left, even if only for a moment", () => {
    const before = { ...emptyConfState, voters: [1n, 2n], learners: [3n] };
    const result = changeSimply(before, [
      { kind: "remove", id: 3n },
      { kind: "addLearner", id: 3n },
    ]);
    expect(result).toEqual({ config: before, forgotten: new Set([3n]) });
    const demoted = changeSimply(before, [{ kind: "addLearner", id: 2n }]);
    expect(demoted).toMatchObject({ forgotten: new Set() });
  });

  it("refuses what can not be restored", () => {
    const refused = (state: Partial<ConfState>) =>
      expect(restore({ ...emptyConfState, ...state })).toHaveProperty("refused");
    refused({ learners: [1n] });
    refused({ voters: [1n], learners: [1n] });
    refused({ voters: [1n], learnersNext: [2n] });
    refused({ voters: [1n], autoLeave: true });
    refused({ voters: [1n], votersOutgoing: [2n], learners: [2n] });
    expect(restore(emptyConfState)).toEqual({ config: emptyConfState, forgotten: new Set() });
  });
});

describe("a change in the log", () => {
  const v2 = (transition: 0 | 1 | 2, count: number) => {
    const parts = [1n, 2n, 3n].slice(0, count).map((nodeId) => ({ type: 0 as const, nodeId }));
    const data = ConfChangeV2.encode({ transition, changes: parts }).finish();
    return decodeMembershipChange(EntryType.confChangeV2, data);
  };

  it("goes by way of a joint configuration when it has several parts or asks for it", () => {
    expect(v2(0, 1).procedure).toEqual({ name: "simple" });
    expect(v2(0, 2).procedure).toEqual({ name: "enterJoint", autoLeave: true });
    expect(v2(1, 1).procedure).toEqual({ name: "enterJoint", autoLeave: true });
    expect(v2(2, 1).procedure).toEqual({ name: "enterJoint", autoLeave: false });
  });

  it("without parts leaves the joint configuration", () => {
    const { type, data } = leaveJointProposal;
    expect(decodeMembershipChange(type, data).procedure).toEqual({ name: "leaveJoint" });
    expect(v2(0, 0).procedure).toEqual({ name: "leaveJoint" });
  });

  it("of the first form is one simple step", () => {
    const data = ConfChange.encode({ type: 3, nodeId: 9n, context: Buffer.from("x") }).finish();
    const decoded = decodeMembershipChange(EntryType.confChange, data);
    expect(decoded.changes).toEqual([{ kind: "addLearner", id: 9n }]);
    expect(Buffer.from(decoded.context).toString()).toBe("x");
    const config = { ...emptyConfState, voters: [1n] };
    expect(applyChange(config, decoded)).toMatchObject({ config: { learners: [9n] } });
  });
});
