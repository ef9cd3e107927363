// How logs become the same, and what is committed.

import { describe, expect, it } from "vitest";
import { Random } from "../base/random.ts";
import { type Message, MessageType } from "./message.ts";
import { TestGroup } from "./testing/test-group.ts";

const three = [1n, 2n, 3n];
const five = [1n, 2n, 3n, 4n, 5n];

describe("a leader", () => {
  it("commits what a majority has, and tells the rest", () => {
    const group = new TestGroup({ voters: five });
    group.elect(1n);
    group.isolate(4n);
    group.isolate(5n);
    group.propose(1n, "a");
    for (const id of three) expect(group.texts(id)).toEqual(["a"]);
    group.isolate(3n);
    group.propose(1n, "b");
    expect(group.texts(1n)).toEqual(["a"]);
    group.heal();
    group.tick(1n, 2);
    for (const id of five) expect(group.texts(id)).toEqual(["a", "b"]);
  });

  it("commits with its followers before its own disk is done", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.holdDisk(1n);
    group.propose(1n, "a");
    expect(group.texts(2n)).toEqual(["a"]);
    // It does not apply what a crash could take from it.
    expect(group.texts(1n)).toEqual([]);
    group.heal();
    group.settle();
    expect(group.texts(1n)).toEqual(["a"]);
  });

  it("does not count entries of earlier terms: figure 8", () => {
    const group = new TestGroup({ voters: five, settings: { maxSizePerMsg: 0 } });
    group.elect(1n);
    // 1 gets an entry to 2 only, then 5 leads with another, then 1 again brings its own to 3.
    for (const id of [3n, 4n, 5n]) group.isolate(id);
    group.propose(1n, "old");
    const old = group.raft(1n).lastIndex;
    group.heal();
    for (const id of [1n, 2n]) group.isolate(id);
    group.lose(MessageType.app);
    group.elect(5n);
    expect(group.raft(5n).role).toBe("leader");
    group.restart(1n);
    group.heal();
    for (const id of [4n, 5n]) group.isolate(id);
    for (let i = 0; i < 2; i++) group.elect(1n);
    expect(group.raft(1n).role).toBe("leader");
    const { term } = group.raft(1n);
    expect(group.texts(1n)).toEqual(["old"]);
    // One entry in each message: the old one was on a majority before the new term's first.
    const told = group.delivered.filter(
      (message) => message.type === MessageType.app && message.term === term,
    );
    expect(told.some(({ entries }) => entries[0]?.index === old)).toBe(true);
    for (const { commit } of told) expect(commit < old || commit > old).toBe(true);
    group.heal();
    group.tick(1n, 5);
    for (const id of five) expect(group.texts(id)).toEqual(["old"]);
  });

  it("never commits for who has not everything", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.isolate(2n);
    group.propose(1n, "a", "b");
    group.heal();
    group.lose(MessageType.app);
    group.tick(1n, 3);
    const heartbeats = group.delivered.filter(
      ({ type, to }) => type === MessageType.heartbeat && to === 2n,
    );
    for (const { commit } of heartbeats) {
      expect(commit).toBeLessThanOrEqual(group.raft(2n).lastIndex);
    }
    expect(group.texts(2n)).toEqual([]);
  });
});

describe("a follower", () => {
  it("whose log went another way is brought back in one probe for each term", () => {
    const group = new TestGroup({ voters: five });
    group.elect(1n);
    group.propose(1n, "kept");
    group.isolate(1n);
    // 1 writes 30 entries that nobody gets; the others go on with three leaders of few entries.
    for (let i = 0; i < 30; i++) group.propose(1n, `lost${i}`);
    for (const id of [2n, 3n, 4n]) {
      group.elect(id);
      group.propose(id, `by${id}`);
    }
    group.delivered.length = 0;
    group.heal();
    group.tick(4n, 2);
    const refusals = group.delivered.filter(
      ({ type, from, reject }) => type === MessageType.appResp && from === 1n && reject,
    );
    expect(refusals.length).toBeLessThanOrEqual(2);
    for (const id of five) expect(group.texts(id)).toEqual(["kept", "by2", "by3", "by4"]);
  });

  it("whatever its log is like ends with the leader's: figure 7 and others", () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = new Random(seed);
      const group = new TestGroup({ voters: five });
      // Parts of the group elect leaders and write, never the same part.
      for (let round = 0; round < 8; round++) {
        group.heal();
        const parts = random.shuffle([...five]).slice(0, random.below(4));
        for (const id of parts) group.isolate(id);
        const id = random.pick(five);
        group.elect(id);
        if (group.raft(id).role === "leader") {
          for (let i = random.below(4); i >= 0; i--) group.propose(id, `${seed}.${round}.${i}`);
        }
        if (random.chance(0.3)) group.restart(random.pick(five));
      }
      group.heal();
      group.tickAll(80);
      const last = group.members.map(({ state }) => `${state.index} ${state.hash}`);
      expect(new Set(last).size, `seed ${seed}: ${last.join(", ")}`).toBe(1);
    }
  });

  it("takes entries twice, late or in part without losing any", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.propose(1n, "a", "b", "c");
    group.propose(1n, "d");
    const appends = group.delivered.filter(({ type, to }) => type === MessageType.app && to === 2n);
    for (const message of [...appends].reverse()) {
      const half: Message = { ...message, entries: message.entries.slice(0, 1) };
      group.raft(2n).step(half);
      group.settle();
    }
    expect(group.member(2n).disk.lastIndex()).toBe(group.raft(1n).lastIndex);
    expect(group.texts(2n)).toEqual(["a", "b", "c", "d"]);
  });

  it("that needs entries which are gone gets a snapshot, and then the rest", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.isolate(3n);
    group.propose(1n, "a", "b");
    group.member(1n).compact();
    group.propose(1n, "c");
    group.heal();
    group.tick(1n, 3);
    expect(group.delivered.some(({ type }) => type === MessageType.snap)).toBe(true);
    expect(group.member(3n).state).toEqual(group.member(1n).state);
    group.propose(1n, "d");
    expect(group.texts(3n)).toEqual(["d"]);
    expect(group.raft(1n).status().progress[2]).toMatchObject({ state: "replicate" });
  });

  it("whose snapshot got lost is sent another", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.isolate(3n);
    group.propose(1n, "a");
    group.member(1n).compact();
    group.heal();
    group.lose(MessageType.snap);
    group.tick(1n, 2);
    expect(group.member(3n).state.index).toBeLessThan(group.member(1n).state.index);
    group.heal();
    group.tick(1n, 4);
    expect(group.member(3n).state).toEqual(group.member(1n).state);
  });

  it("passes over an old snapshot", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.propose(1n, "a");
    const snapshot = group.member(1n).disk.snapshotSource();
    group.propose(1n, "b");
    const { lastIndex } = group.raft(2n);
    const old = group.delivered.find(({ type, to }) => type === MessageType.app && to === 2n);
    group.raft(2n).step({ ...(old as Message), type: MessageType.snap, snapshot });
    group.settle();
    expect(group.raft(2n).lastIndex).toBe(lastIndex);
    expect(group.texts(2n)).toEqual(["a", "b"]);
  });
});

describe("with small windows", () => {
  const settings = { maxInflightMsgs: 2, maxSizePerMsg: 0 };

  it("no more is under way than allowed, and all of it arrives", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.cut(1n, 3n);
    const texts = Array.from({ length: 9 }, (_, i) => `${i}`);
    for (const text of texts) group.propose(1n, text);
    expect(group.raft(1n).status().progress[2]).toMatchObject({ inflight: 2, isPaused: true });
    group.heal();
    group.tick(1n, 3);
    expect(group.texts(3n)).toEqual(texts);
  });
});
