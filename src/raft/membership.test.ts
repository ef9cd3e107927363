// Members that come, learn, vote and go.

import { describe, expect, it } from "vitest";
import { MessageType } from "./message.ts";
import { TestGroup } from "./testing/test-group.ts";

const three = [1n, 2n, 3n];

describe("a learner", () => {
  it("follows, counts for nothing, and does not campaign", () => {
    const group = new TestGroup({ voters: [1n, 2n], learners: [3n, 4n] });
    group.elect(1n);
    group.propose(1n, "a");
    expect(group.texts(3n)).toEqual(["a"]);
    group.isolate(2n);
    group.propose(1n, "b");
    expect(group.texts(1n)).toEqual(["a"]);
    group.tick(3n, 50);
    expect(group.raft(3n).status()).toMatchObject({ role: "follower", term: 2 });
    group.elect(3n);
    expect(group.raft(3n).status()).toMatchObject({ role: "follower", term: 2 });
  });

  it("is promoted and votes from then on, even before it knows", () => {
    const group = new TestGroup({ voters: [1n, 2n], learners: [3n] });
    group.elect(1n);
    group.cut(1n, 3n);
    group.change(1n, [{ kind: "addVoter", id: 3n }]);
    expect(group.config(2n).voters).toEqual(three);
    expect(group.config(3n).learners).toEqual([3n]);
    group.heal();
    group.isolate(1n);
    group.elect(2n);
    expect(group.raft(2n).role).toBe("leader");
    expect(group.config(3n).voters).toEqual(three);
  });

  it("is what a voter can become, by way of a joint configuration", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.change(1n, [{ kind: "addLearner", id: 3n }], 2);
    expect(group.config(1n)).toMatchObject({ learners: [], learnersNext: [3n] });
    group.change(1n, []);
    expect(group.config(1n)).toMatchObject({ voters: [1n, 2n], learners: [3n], learnersNext: [] });
    group.propose(1n, "a");
    expect(group.texts(3n)).toEqual(["a"]);
  });
});

describe("a change", () => {
  it("brings a new member in, by a snapshot if need be", () => {
    for (const needsSnapshot of [false, true]) {
      const group = new TestGroup({ voters: [1n], spares: [2n] });
      group.elect(1n);
      group.propose(1n, "a");
      if (needsSnapshot) group.member(1n).compact();
      group.change(1n, [{ kind: "addVoter", id: 2n }]);
      group.propose(1n, "b");
      group.tick(1n, 3);
      expect(group.config(2n).voters).toEqual([1n, 2n]);
      expect(group.member(2n).state).toEqual(group.member(1n).state);
    }
  });

  it("is made only when the one before it is applied; until then it becomes an empty entry", () => {
    const group = new TestGroup({ voters: three, spares: [4n, 5n] });
    group.elect(1n);
    group.holdApplying(1n);
    group.change(1n, [{ kind: "addVoter", id: 4n }]);
    group.change(1n, [{ kind: "addVoter", id: 5n }]);
    group.heal();
    group.settle();
    expect(group.config(1n).voters).toEqual([1n, 2n, 3n, 4n]);
    group.change(1n, [{ kind: "addVoter", id: 5n }]);
    expect(group.config(1n).voters).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it("of the term before has to be applied before a new leader makes one", () => {
    const group = new TestGroup({ voters: three, spares: [4n, 5n] });
    group.elect(1n);
    // 1's change reaches the others and is not committed.
    group.lose(MessageType.appResp);
    group.change(1n, [{ kind: "addVoter", id: 4n }]);
    group.isolate(1n);
    group.elect(2n);
    group.change(2n, [{ kind: "addVoter", id: 5n }]);
    group.heal();
    group.tickAll(3);
    expect(group.config(2n).voters).toEqual([1n, 2n, 3n, 4n]);
    group.change(2n, [{ kind: "addVoter", id: 5n }]);
    expect(group.config(2n).voters).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it("of several members goes into and out of a joint configuration by itself", () => {
    const group = new TestGroup({ voters: three, spares: [4n, 5n] });
    group.elect(1n);
    group.change(1n, [
      { kind: "remove", id: 3n },
      { kind: "addVoter", id: 4n },
      { kind: "addLearner", id: 5n },
    ]);
    const expected = { voters: [1n, 2n, 4n], votersOutgoing: [], learners: [5n], autoLeave: false };
    for (const id of [1n, 2n, 4n, 5n]) expect(group.config(id)).toMatchObject(expected);
    group.propose(1n, "a");
    for (const id of [1n, 2n, 4n, 5n]) expect(group.texts(id)).toEqual(["a"]);
    expect(group.texts(3n)).toEqual([]);
  });

  it("that is joint commits and elects with both halves", () => {
    const group = new TestGroup({ voters: three, spares: [4n, 5n] });
    group.elect(1n);
    group.change(
      1n,
      [
        { kind: "remove", id: 2n },
        { kind: "remove", id: 3n },
        { kind: "addVoter", id: 4n },
        { kind: "addVoter", id: 5n },
      ],
      2,
    );
    group.isolate(2n);
    group.isolate(3n);
    group.propose(1n, "new half only");
    expect(group.texts(1n)).toEqual([]);
    group.elect(4n);
    expect(group.raft(4n).role).toBe("candidate");
    group.heal();
    group.tickAll(60);
    expect(group.members.filter(({ raft }) => raft.role === "leader")).toHaveLength(1);
    expect(group.texts(1n)).toEqual(group.texts(5n));
  });

  it("left behind by a leader that fell is finished by the next", () => {
    const group = new TestGroup({ voters: three, spares: [4n] });
    group.elect(1n);
    // The joint configuration is committed; its leave is not.
    group.holdApplying(1n);
    group.change(1n, [
      { kind: "addVoter", id: 4n },
      { kind: "remove", id: 3n },
    ]);
    expect(group.config(2n)).toMatchObject({ votersOutgoing: three, autoLeave: true });
    group.isolate(1n);
    group.elect(2n);
    expect(group.config(2n)).toMatchObject({ voters: [1n, 2n, 4n], votersOutgoing: [] });
  });

  it("is not mixed up with a snapshot that overtakes it", () => {
    const group = new TestGroup({ voters: three, spares: [4n, 5n] });
    group.elect(1n);
    group.holdApplying(3n);
    group.change(1n, [{ kind: "addVoter", id: 4n }]);
    group.isolate(3n);
    group.change(1n, [{ kind: "addVoter", id: 5n }]);
    group.change(1n, [{ kind: "remove", id: 4n }]);
    group.member(1n).compact();
    group.heal();
    group.holdApplying(3n);
    group.tick(1n, 3);
    expect(group.delivered.some(({ type }) => type === MessageType.snap)).toBe(true);
    // It is still to apply the first change, to the configuration that this was made for.
    expect(group.config(3n).voters).toEqual(three);
    group.heal();
    group.tick(1n, 5);
    expect(group.config(3n).voters).toEqual([1n, 2n, 3n, 5n]);
    expect(group.member(3n).state).toEqual(group.member(1n).state);
  });
});

describe("a leader that is removed", () => {
  it("leads until it is replaced, but takes nothing more", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.change(1n, [{ kind: "remove", id: 1n }]);
    expect(group.raft(1n).role).toBe("leader");
    expect(group.propose(1n, "a")).toBe("dropped");
    group.elect(2n);
    expect(group.raft(2n).role).toBe("leader");
    group.propose(2n, "b");
    expect(group.texts(3n)).toEqual(["b"]);
  });

  it("steps down at once when that is asked for", () => {
    const group = new TestGroup({ voters: three, settings: { stepDownOnRemoval: true } });
    group.elect(1n);
    group.change(1n, [{ kind: "remove", id: 1n }]);
    expect(group.raft(1n).status()).toMatchObject({ role: "follower", leader: 0n });
    group.tick(1n, 50);
    expect(group.raft(1n).role).toBe("follower");
  });

  it("and leaves fewer voters commits with them", () => {
    const group = new TestGroup({ voters: [1n, 2n], settings: { stepDownOnRemoval: true } });
    group.elect(1n);
    group.change(1n, [{ kind: "remove", id: 2n }]);
    group.propose(1n, "alone");
    expect(group.texts(1n)).toEqual(["alone"]);
  });
});

describe("a member that was removed", () => {
  it("disturbs nobody with pre-votes and checks of the quorum", () => {
    const settings = { preVote: true, checkQuorum: true };
    const group = new TestGroup({ voters: [1n, 2n, 3n, 4n], settings });
    group.elect(1n);
    // It does not hear of its own removal.
    group.isolate(4n);
    group.change(1n, [{ kind: "remove", id: 4n }]);
    group.heal();
    const { term } = group.raft(1n);
    for (let i = 0; i < 60; i++) {
      group.tick(4n, 1);
      group.tick(1n, 1);
    }
    expect(group.raft(1n).status()).toMatchObject({ role: "leader", term });
  });
});
