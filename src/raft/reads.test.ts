// Linearizable reads: none is answered by who may have been followed by another leader. TestGroup checks of
// every answer that it covers what was committed when it was asked for.

import { describe, expect, it } from "vitest";
import { type Message, MessageType } from "./message.ts";
import { TestGroup } from "./testing/test-group.ts";

const three = [1n, 2n, 3n];

describe("a read", () => {
  it("is answered at whoever asked, once a majority has confirmed the leader", () => {
    const group = new TestGroup({ voters: three, learners: [4n] });
    group.elect(1n);
    group.propose(1n, "a");
    for (const id of [1n, 2n, 4n]) group.read(id, `by ${id}`);
    for (const id of [1n, 2n, 4n]) expect(group.answersAt(id)).toEqual([`by ${id}`]);
    expect(group.reads.map(({ read }) => read.index)).toEqual([3, 3, 3]);
  });

  it("is not answered by a leader that was followed by another", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.isolate(1n);
    group.elect(2n);
    group.propose(2n, "a");
    expect(group.raft(1n).role).toBe("leader");
    group.read(1n, "stale");
    group.tick(1n, 5);
    expect(group.answersAt(1n)).toEqual([]);
    group.heal();
    group.tickAll(3);
    // The new term voids it; who asked has to ask again.
    expect(group.answersAt(1n)).toEqual([]);
    group.read(1n, "again");
    expect(group.answersAt(1n)).toEqual(["again"]);
    expect(group.reads[0]?.read.index).toBe(group.raft(2n).commit);
  });

  it("is not answered by echoes of an earlier one", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.read(1n, "first");
    const echoes = group.delivered.filter(
      ({ type, context }) => type === MessageType.heartbeatResp && context.length > 0,
    );
    expect(echoes.length).toBeGreaterThan(0);
    group.isolate(1n);
    group.read(1n, "second");
    for (const echo of echoes) group.raft(1n).step(echo);
    group.settle();
    expect(group.answersAt(1n)).toEqual(["first"]);
  });

  it("waits until the leader has committed something in its term", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.propose(1n, "a");
    group.isolate(1n);
    group.lose(MessageType.app);
    group.elect(2n);
    expect(group.raft(2n).role).toBe("leader");
    group.tick(2n, 1);
    group.read(2n, "early");
    group.read(3n, "early at 3");
    group.tick(2n, 2);
    expect(group.reads).toEqual([]);
    group.heal();
    group.isolate(1n);
    group.tick(2n, 2);
    expect(group.answersAt(2n)).toEqual(["early"]);
    expect(group.answersAt(3n)).toEqual(["early at 3"]);
  });

  it("that waits is not answered by the next term of the same leader", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.lose(MessageType.heartbeat);
    group.read(1n, "void");
    group.heal();
    group.elect(2n);
    group.elect(1n);
    expect(group.raft(1n)).toHaveProperty("role", "leader");
    group.tick(1n, 3);
    expect(group.reads).toEqual([]);
  });

  it("of many is confirmed by one round", () => {
    const group = new TestGroup({ voters: three });
    group.elect(1n);
    group.lose(MessageType.heartbeat);
    for (let i = 0; i < 5; i++) group.read(1n, `${i}`);
    group.heal();
    group.tick(1n, 1);
    expect(group.answersAt(1n)).toEqual(["0", "1", "2", "3", "4"]);
  });

  it("needs both majorities of a joint configuration", () => {
    const group = new TestGroup({ voters: three, spares: [4n, 5n] });
    group.elect(1n);
    const changes = [
      { kind: "addVoter", id: 4n },
      { kind: "addVoter", id: 5n },
      { kind: "remove", id: 2n },
      { kind: "remove", id: 3n },
    ] as const;
    group.change(1n, changes, 2);
    expect(group.config(1n)).toMatchObject({ voters: [1n, 4n, 5n], votersOutgoing: three });
    for (const half of [
      [2n, 3n],
      [4n, 5n],
    ]) {
      for (const id of half) group.cut(1n, id);
      group.read(1n, `without ${half}`);
      group.tick(1n, 2);
      expect(group.answersAt(1n)).not.toContain(`without ${half}`);
      group.heal();
      group.tick(1n, 1);
      expect(group.answersAt(1n)).toContain(`without ${half}`);
    }
  });

  it("is not confirmed by learners", () => {
    const group = new TestGroup({ voters: three, learners: [4n, 5n] });
    group.elect(1n);
    group.cut(1n, 2n);
    group.cut(1n, 3n);
    group.read(1n, "a");
    group.tick(1n, 3);
    expect(group.reads).toEqual([]);
  });

  it("without a leader is dropped, as is a malformed one", () => {
    const group = new TestGroup({ voters: three });
    group.read(2n, "nobody leads");
    group.elect(1n);
    const any = group.delivered[0] as Message;
    const malformed = { ...any, type: MessageType.readIndex, from: 2n, to: 1n, term: 0 };
    group.raft(1n).step({ ...malformed, entries: [] });
    group.raft(2n).step({ ...malformed, type: MessageType.readIndexResp, from: 1n, entries: [] });
    group.settle();
    expect(group.reads).toEqual([]);
  });
});

describe("a read by lease", () => {
  const settings = { checkQuorum: true, readOnlyOption: "leaseBased" } as const;

  it("is answered without a round, and by nobody whose lease has run out", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.lose(MessageType.heartbeat);
    group.read(1n, "a");
    group.read(3n, "b");
    expect([group.answersAt(1n), group.answersAt(3n)]).toEqual([["a"], ["b"]]);
    group.isolate(1n);
    group.tick(1n, 20);
    group.read(1n, "late");
    expect(group.answersAt(1n)).toEqual(["a"]);
  });
});
