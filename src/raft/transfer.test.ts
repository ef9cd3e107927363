// Handing leadership over.

import { describe, expect, it } from "vitest";
import { MessageType } from "./message.ts";
import { TestGroup } from "./testing/test-group.ts";

const three = [1n, 2n, 3n];

function led(settings = {}): TestGroup {
  const group = new TestGroup({ voters: three, learners: [4n], settings });
  group.elect(1n);
  group.propose(1n, "a");
  return group;
}

function transfer(group: TestGroup, to: bigint, asked = 1n): void {
  group.raft(asked).transferLeader(to);
  group.settle();
}

describe("a transfer of leadership", () => {
  it.each([{}, { preVote: true }, { checkQuorum: true }, { preVote: true, checkQuorum: true }])(
    "to a member that is up to date happens at once, with %o",
    (settings) => {
      const group = led(settings);
      transfer(group, 2n);
      expect(group.raft(2n).status()).toMatchObject({ role: "leader", term: 3 });
      expect(group.raft(1n).status()).toMatchObject({ role: "follower", leader: 2n });
    },
  );

  it("can be asked of a follower", () => {
    const group = led();
    transfer(group, 3n, 2n);
    expect(group.raft(3n).role).toBe("leader");
  });

  it("to a member that is behind waits until it is not, also by way of a snapshot", () => {
    for (const needsSnapshot of [false, true]) {
      const group = led();
      group.isolate(3n);
      group.propose(1n, "b", "c");
      if (needsSnapshot) group.member(1n).compact();
      group.heal();
      transfer(group, 3n);
      group.tick(1n, 3);
      expect(group.raft(3n).role).toBe("leader");
      expect(group.member(3n).state.index).toBe(group.member(1n).state.index);
    }
  });

  it("to the leader itself, a learner or nobody is nothing", () => {
    const group = led();
    for (const id of [1n, 4n, 9n]) {
      transfer(group, id);
      expect(group.raft(1n).status()).toMatchObject({ role: "leader", leadTransferee: 0n });
    }
  });

  it("that does not work out is given up after an election timeout; meanwhile nothing is proposed", () => {
    const group = led();
    group.isolate(3n);
    transfer(group, 3n);
    expect(group.raft(1n).leadTransferee).toBe(3n);
    expect(group.propose(1n, "b")).toBe("dropped");
    group.tick(1n, 9);
    expect(group.raft(1n).leadTransferee).toBe(3n);
    group.tick(1n, 1);
    expect(group.raft(1n).leadTransferee).toBe(0n);
    expect(group.propose(1n, "c")).toBeUndefined();
    expect(group.texts(2n)).toEqual(["a", "c"]);
  });

  it("is replaced by one to somebody else, not by the same again", () => {
    const group = led();
    group.isolate(3n);
    transfer(group, 3n);
    group.tick(1n, 5);
    transfer(group, 3n);
    group.tick(1n, 5);
    expect(group.raft(1n).leadTransferee).toBe(0n);
    transfer(group, 3n);
    transfer(group, 2n);
    expect(group.raft(2n).role).toBe("leader");
  });

  it("ends with a new term, and with the removal of who was to lead", () => {
    const group = led();
    group.isolate(3n);
    transfer(group, 3n);
    group.elect(2n);
    expect(group.raft(2n).role).toBe("leader");
    expect(group.raft(1n).leadTransferee).toBe(0n);

    const other = led();
    other.isolate(3n);
    other.holdApplying(1n);
    other.change(1n, [{ kind: "remove", id: 3n }]);
    transfer(other, 3n);
    expect(other.raft(1n).leadTransferee).toBe(3n);
    other.heal();
    other.isolate(3n);
    other.settle();
    expect(other.raft(1n).leadTransferee).toBe(0n);
  });

  it("is not obeyed by a learner that is told to campaign", () => {
    const group = led();
    const any = group.delivered[0];
    if (any === undefined) throw new Error("nothing was delivered");
    const order = { ...any, type: MessageType.timeoutNow, from: 1n, to: 4n, term: 2, entries: [] };
    group.raft(4n).step(order);
    group.settle();
    expect(group.raft(4n).status()).toMatchObject({ role: "follower", term: 2 });
  });
});
