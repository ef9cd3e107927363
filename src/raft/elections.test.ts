// Who becomes leader, who stays it, and who disturbs nobody.

import { describe, expect, it } from "vitest";
import { MessageType } from "./message.ts";
import { TestGroup } from "./testing/test-group.ts";

const three = [1n, 2n, 3n];
const five = [1n, 2n, 3n, 4n, 5n];

describe("an election", () => {
  it("is begun by a follower that hears of no leader, and won by a majority", () => {
    const group = new TestGroup({ voters: three });
    group.tick(2n, 20);
    expect(group.raft(2n).status()).toMatchObject({ role: "leader", term: 2 });
    for (const id of [1n, 3n])
      expect(group.raft(id).status()).toMatchObject({ leader: 2n, term: 2 });
  });

  it("is begun after a time that differs from member to member and from once to once", () => {
    const group = new TestGroup({ voters: five });
    for (const { id } of group.members) group.isolate(id);
    const waits = new Set<number>();
    for (const { raft, id } of group.members) {
      for (let turn = 0; turn < 20; turn++) {
        const { term } = raft;
        let ticks = 0;
        while (raft.term === term) {
          group.tick(id, 1);
          ticks++;
        }
        waits.add(ticks);
        expect(ticks).toBeGreaterThanOrEqual(10);
        expect(ticks).toBeLessThan(20);
      }
    }
    expect(waits.size).toBeGreaterThan(5);
  });

  it("without a majority goes on in further terms", () => {
    const group = new TestGroup({ voters: five });
    group.isolate(1n);
    group.cut(2n, 3n);
    group.cut(2n, 4n);
    group.elect(2n);
    expect(group.raft(2n).role).toBe("candidate");
    group.tick(2n, 40);
    expect(group.raft(2n).role).toBe("candidate");
    expect(group.raft(2n).term).toBeGreaterThan(3);
  });

  it("that ends in a tie is followed by one that does not", () => {
    const group = new TestGroup({ voters: [1n, 2n] });
    group.raft(1n).campaign();
    group.raft(2n).campaign();
    group.settle();
    expect(group.members.map(({ raft }) => raft.role)).not.toContain("leader");
    group.tick(1n, 20);
    expect(group.raft(1n).role).toBe("leader");
  });

  it("is not won with a log that is behind: first the last term counts, then the length", () => {
    const group = new TestGroup({ voters: five });
    group.elect(1n);
    // 3, 4 and 5 have what 2 has not.
    group.isolate(2n);
    group.propose(1n, "a");
    group.isolate(1n);
    group.heal();
    group.isolate(1n);
    group.elect(2n);
    expect(group.raft(2n).role).not.toBe("leader");
    // 1 writes a lot that nobody gets, 3 leads in a later term: 1 is longer, and behind.
    group.isolate(1n);
    group.propose(1n, "x", "y", "z");
    group.elect(3n);
    expect(group.raft(3n).role).toBe("leader");
    group.heal();
    group.isolate(3n);
    group.restart(1n);
    expect(group.raft(1n).lastIndex).toBeGreaterThan(group.raft(4n).lastIndex);
    for (let i = 0; i < 5; i++) group.elect(1n);
    expect(group.raft(1n).term).toBeGreaterThan(group.raft(3n).term);
    expect(group.raft(1n).role).not.toBe("leader");
    group.heal();
    group.tickAll(60);
    for (const { id } of group.members) expect(group.texts(id)).toEqual(["a"]);
  });

  it("gives one vote in a term, also across a restart", () => {
    const group = new TestGroup({ voters: three });
    group.isolate(3n);
    group.lose(MessageType.voteResp);
    group.elect(1n);
    expect(group.raft(2n).status()).toMatchObject({ term: 2, vote: 1n });
    group.heal();
    group.isolate(1n);
    group.restart(2n);
    expect(group.raft(2n).status()).toMatchObject({ term: 2, vote: 1n });
    group.elect(3n);
    expect(group.raft(3n).status()).toMatchObject({ role: "candidate", term: 2 });
    expect(group.raft(2n).status().vote).toBe(1n);
  });

  it("asks nobody before the candidate's own vote is durable", () => {
    const group = new TestGroup({ voters: three });
    group.holdDisk(1n);
    group.elect(1n);
    expect(group.raft(1n).status()).toMatchObject({ role: "candidate", term: 2 });
    expect(group.delivered).toEqual([]);
    // Had it led in term 2, it would now do so again with another log.
    group.restart(1n);
    expect(group.raft(1n).term).toBe(1);
    group.heal();
    group.elect(1n);
    expect(group.raft(1n).status()).toMatchObject({ role: "leader", term: 2 });
  });

  it("is not begun by who is about to apply a configuration change", () => {
    const group = new TestGroup({ voters: three, spares: [4n] });
    group.elect(1n);
    group.holdApplying(2n);
    group.change(1n, [{ kind: "addVoter", id: 4n }]);
    group.elect(2n);
    expect(group.raft(2n).status()).toMatchObject({ role: "follower", term: 2 });
    group.heal();
    group.settle();
    group.elect(2n);
    expect(group.raft(2n).status()).toMatchObject({ role: "leader", term: 3 });
  });
});

describe("with pre-votes", () => {
  const settings = { preVote: true };

  it("who was cut off comes back without a new term", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.isolate(3n);
    group.tick(3n, 100);
    expect(group.raft(3n).status()).toMatchObject({ role: "preCandidate", term: 2 });
    group.propose(1n, "a");
    group.heal();
    group.tick(1n, 1);
    expect(group.raft(1n).status()).toMatchObject({ role: "leader", term: 2 });
    expect(group.raft(3n).status()).toMatchObject({ role: "follower", leader: 1n, term: 2 });
    expect(group.texts(3n)).toEqual(["a"]);
  });

  it("one that is lost changes nobody's term or vote", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.isolate(3n);
    group.propose(1n, "a");
    group.heal();
    group.lose(MessageType.app, MessageType.heartbeat);
    group.tick(3n, 20);
    expect(group.raft(3n).status()).toMatchObject({ role: "follower", term: 2 });
    expect(group.raft(2n).status()).toMatchObject({ term: 2, vote: 1n });
  });

  it("a member of a higher term is told apart from one that is behind, and gets a leader again", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.isolate(3n);
    group.propose(1n, "a");
    // It was asked by a member without pre-votes, as during an upgrade.
    const vote = { ...group.delivered[0], type: MessageType.vote, to: 3n, from: 2n, term: 9 };
    group.raft(3n).step(vote as (typeof group.delivered)[number]);
    group.settle();
    expect(group.raft(3n).term).toBe(9);
    group.heal();
    group.tickAll(60);
    const leader = group.members.find(({ raft }) => raft.role === "leader");
    expect(leader?.raft.term).toBeGreaterThanOrEqual(9);
    for (const { id } of group.members) expect(group.texts(id)).toEqual(["a"]);
  });
});

describe("with checks of the quorum", () => {
  const settings = { checkQuorum: true };

  it("a leader that hears from no majority steps down within two election timeouts", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.tick(1n, 30);
    expect(group.raft(1n).role).toBe("leader");
    group.isolate(1n);
    group.tick(1n, 20);
    expect(group.raft(1n).status()).toMatchObject({ role: "follower", leader: 0n, term: 2 });
  });

  it("learners do not count for it", () => {
    const group = new TestGroup({ voters: [1n, 2n], learners: [3n, 4n], settings });
    group.elect(1n);
    group.cut(1n, 2n);
    group.tick(1n, 20);
    expect(group.raft(1n).role).toBe("follower");
  });

  it("nobody votes against a leader that is heard, until it is silent for a timeout", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.cut(1n, 3n);
    group.elect(3n);
    expect(group.raft(3n).status()).toMatchObject({ role: "candidate", term: 3 });
    expect(group.raft(2n).status()).toMatchObject({ leader: 1n, term: 2 });
    group.isolate(1n);
    group.tick(2n, 10);
    group.elect(3n);
    expect(group.raft(3n).role).toBe("leader");
  });

  it("a candidate of a higher term that nobody answers frees itself when the leader is heard", () => {
    const group = new TestGroup({ voters: three, settings });
    group.elect(1n);
    group.isolate(3n);
    group.tick(3n, 40);
    const { term } = group.raft(3n);
    expect(term).toBeGreaterThan(2);
    group.heal();
    group.tickAll(60);
    const leader = group.members.find(({ raft }) => raft.role === "leader");
    expect(leader?.raft.term).toBeGreaterThanOrEqual(term);
    expect(group.members.map(({ raft }) => raft.leader)).toEqual(three.map(() => leader?.id));
  });
});
