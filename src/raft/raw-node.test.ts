import { describe, expect, it } from "vitest";
import { Random } from "../base/random.ts";
import { LogStorage } from "./log-storage.ts";
import { makeMessage } from "./make-message.ts";
import { type ConfState, localAppendThread, type Message, MessageType } from "./message.ts";
import { type RaftConfig, RawNode } from "./raw-node.ts";
import type { Ready } from "./ready.ts";
import { EntryType, type Proposal } from "./types.ts";

const noContext = new Uint8Array(0);
const proposal = (size: number): Proposal => ({ type: 0, data: new Uint8Array(size) });

const confStateOf = (voters: readonly bigint[], learners: readonly bigint[] = []): ConfState => ({
  voters,
  learners,
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
});

function makeNode(
  voters: readonly bigint[],
  settings: Partial<RaftConfig> = {},
  learners: readonly bigint[] = [],
): { node: RawNode; storage: LogStorage } {
  const storage =
    settings.storage ??
    new LogStorage({
      hardState: { term: 1, vote: 0n, commit: 5 },
      snapshot: { index: 5, term: 1, confState: confStateOf(voters, learners) },
      entries: [],
    });
  const node = new RawNode({
    id: 1n,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    asyncStorageWrites: true,
    maxSizePerMsg: 1024 * 1024,
    maxInflightMsgs: 16,
    random: new Random(1),
    ...settings,
  });
  return { node, storage };
}

/** Runs Readys until there are none; what is written is durable at once. Returns them all. */
function settle({ node, storage }: { node: RawNode; storage: LogStorage }): Ready[] {
  const readys: Ready[] = [];
  while (node.hasReady()) {
    const ready = node.ready();
    readys.push(ready);
    for (const { to, term, vote, commit, snapshot, entries, responses } of ready.messages) {
      if (to === localAppendThread) {
        if (term !== 0) storage.setHardState({ term, vote, commit });
        if (snapshot !== undefined) storage.applySnapshot(snapshot);
        storage.append(entries);
      }
      for (const response of responses) if (response.to === node.id) node.step(response);
    }
  }
  return readys;
}

const appliedIn = (readys: readonly Ready[]): number[] =>
  readys.flatMap((ready) => ready.committedEntries.map(({ index }) => index));

function leaderOf(
  voters: readonly bigint[],
  settings: Partial<RaftConfig> = {},
): ReturnType<typeof makeNode> {
  const member = makeNode(voters, settings);
  member.node.campaign();
  settle(member);
  for (const id of voters) {
    if (id !== 1n) member.node.step(makeMessage(MessageType.voteResp, 1n, id, member.node.term));
  }
  expect(member.node.role).toBe("leader");
  return member;
}

describe("asynchronous storage writes", () => {
  it("commit what is durable and apply what is committed", () => {
    const member = makeNode([1n]);
    const { node, storage } = member;
    node.campaign();
    const vote = node.ready();
    expect(vote.hardState).toEqual({ term: 2, vote: 1n, commit: 5 });
    expect([vote.mustSync, vote.softState?.role]).toEqual([true, "candidate"]);
    const [append] = vote.messages as [Message];
    expect([append.type, append.term, append.vote]).toEqual([MessageType.storageAppend, 2, 1n]);
    expect(node.role).toBe("candidate");
    for (const response of append.responses) node.step(response);
    expect(node.role).toBe("leader");

    node.propose([proposal(3), proposal(4)]);
    const write = node.ready();
    expect(write.entries.map(({ index }) => index)).toEqual([6, 7, 8]);
    const [message] = write.messages as [Message];
    expect(message.responses.map(({ type }) => type)).toEqual([
      MessageType.appResp,
      MessageType.appResp,
      MessageType.storageAppendResp,
    ]);
    expect([node.commit, node.hasReady()]).toEqual([5, false]);
    storage.append(message.entries);
    for (const response of message.responses) node.step(response);
    expect(node.commit).toBe(8);

    const apply = node.ready();
    expect(apply.hardState).toEqual({ term: 2, vote: 1n, commit: 8 });
    expect([apply.mustSync, appliedIn([apply])]).toEqual([false, [6, 7, 8]]);
    expect(apply.messages.map(({ type }) => type)).toEqual([
      MessageType.storageAppend,
      MessageType.storageApply,
    ]);
    expect(node.applied).toBe(5);
    for (const response of apply.messages[1]?.responses ?? []) node.step(response);
    expect([node.applied, node.hasReady()]).toEqual([8, false]);
  });

  it("let appends to followers overtake the leader's own disk", () => {
    const { node } = leaderOf([1n, 2n, 3n]);
    node.ready();
    for (const id of [2n, 3n]) {
      const answer = makeMessage(MessageType.appResp, 1n, id, 2);
      answer.index = 6;
      node.step(answer);
    }
    // Two of three have it, but not this member's disk: committed, and not to be applied yet.
    expect(node.commit).toBe(6);
    expect(node.ready().committedEntries).toEqual([]);
  });
});

describe("without them", () => {
  it("advance takes the place of the responses", () => {
    const { node, storage } = makeNode([1n], { asyncStorageWrites: false });
    const applied: number[] = [];
    node.campaign();
    node.propose([proposal(1)]);
    while (node.hasReady()) {
      const { hardState, entries, committedEntries } = node.ready();
      storage.append(entries);
      if (hardState !== undefined) storage.setHardState(hardState);
      applied.push(...committedEntries.map(({ index }) => index));
      node.advance();
    }
    expect([node.role, applied]).toEqual(["leader", [6]]);
  });

  it("insists on it", () => {
    const { node } = makeNode([1n], { asyncStorageWrites: false });
    node.campaign();
    node.ready();
    expect(() => node.ready()).toThrow(/advance/);
    expect(() => makeNode([1n]).node.advance()).toThrow(/asynchronous/);
  });
});

describe("a start", () => {
  it("bootstraps an empty log with one change for each member", () => {
    const member = makeNode([], { storage: new LogStorage() });
    const { node } = member;
    const context = Uint8Array.of(7);
    node.bootstrap([1n, 2n, 3n].map((id) => ({ id, context })));
    expect(node.confState).toEqual(confStateOf([1n, 2n, 3n]));
    const [first, ...rest] = settle(member);
    expect(first?.hardState).toEqual({ term: 1, vote: 0n, commit: 3 });
    expect(first?.entries.map(({ type, term }) => [type, term])).toEqual(
      [1, 2, 3].map(() => [EntryType.confChange, 1]),
    );
    expect(appliedIn(rest)).toEqual([1, 2, 3]);
    expect(() => node.bootstrap([{ id: 1n, context }])).toThrow(/empty/);
  });

  it("takes up what is durable and applied", () => {
    const storage = new LogStorage({
      hardState: { term: 4, vote: 2n, commit: 8 },
      snapshot: { index: 5, term: 3, confState: confStateOf([1n, 2n, 3n]) },
      entries: [6, 7, 8, 9].map((index) => ({ term: 4, index, ...proposal(1) })),
    });
    // It was applied, although the log does not know yet that it is committed.
    expect(makeNode([], { storage, applied: 9 }).node.commit).toBe(9);
    const member = makeNode([], { storage, applied: 7 });
    const { term, vote, commit, applied, lastIndex, role } = member.node.status();
    expect([term, vote, commit, applied, lastIndex, role]).toEqual([4, 2n, 8, 7, 9, "follower"]);
    const [ready] = settle(member);
    expect([ready?.hardState, appliedIn([ready as Ready])]).toEqual([undefined, [8]]);
  });

  it("asserts that the parts fit", () => {
    const hardState = { term: 4, vote: 2n, commit: 8 };
    const snapshot = { index: 5, term: 3, confState: confStateOf([1n]) };
    const storage = new LogStorage({ hardState, snapshot, entries: [] });
    expect(() => makeNode([], { storage })).toThrow(/commit 8/);
    expect(() => makeNode([1n], { electionTick: 1 })).toThrow(/electionTick/);
    expect(() => makeNode([1n], { readOnlyOption: "leaseBased" })).toThrow(/checkQuorum/);
    expect(() => makeNode([1n], { id: localAppendThread })).toThrow(/id/);
  });
});

describe("bounds", () => {
  it("drop proposals while too much is uncommitted", () => {
    const member = leaderOf([1n, 2n, 3n], { maxUncommittedEntriesSize: 100 });
    const { node } = member;
    expect(node.propose([proposal(500)])).toBeUndefined();
    expect(node.propose([proposal(1)])).toBe("dropped");
    expect(node.propose([proposal(0)])).toBeUndefined();
    settle(member);
    const answer = makeMessage(MessageType.appResp, 1n, 2n, node.term);
    answer.index = node.lastIndex;
    node.step(answer);
    settle(member);
    expect(node.applied).toBe(node.lastIndex);
    expect(node.propose([proposal(60)])).toBeUndefined();
    expect(node.propose([proposal(60)])).toBe("dropped");
  });

  it("split what is applied", () => {
    const member = leaderOf([1n], { maxCommittedSizePerReady: 250 });
    settle(member);
    member.node.propose(Array.from({ length: 5 }, () => proposal(100)));
    const sizes = settle(member).map(({ committedEntries }) => committedEntries.length);
    expect(sizes.filter((size) => size > 0)).toEqual([2, 2, 1]);
  });

  it("split what is sent, and stop at the window", () => {
    const { node } = leaderOf([1n, 2n], { maxSizePerMsg: 250, maxInflightMsgs: 2 });
    const first = makeMessage(MessageType.appResp, 1n, 2n, node.term);
    first.index = 6;
    node.step(first);
    node.ready();
    node.propose(Array.from({ length: 6 }, () => proposal(100)));
    node.step({ ...first, index: 6 });
    const heartbeat = makeMessage(MessageType.heartbeatResp, 1n, 2n, node.term);
    node.step(heartbeat);
    node.step(heartbeat);
    const sent = node.ready().messages.filter(({ type }) => type === MessageType.app);
    expect(sent.map(({ entries }) => entries.length)).toEqual([2, 2, 0]);
    expect(node.status().progress[1]?.isWindowFull).toBe(true);
  });
});

describe("messages", () => {
  it("of the member itself are not taken from others", () => {
    const { node } = makeNode([1n, 2n]);
    expect(node.step(makeMessage(MessageType.hup, 1n, 2n))).toBe("local");
    expect(node.step(makeMessage(MessageType.storageAppendResp, 1n, 2n))).toBe("local");
    expect(node.step(makeMessage(MessageType.appResp, 1n, 9n, 1))).toBe("unknownPeer");
  });

  it("with proposals go to the leader, if there is one", () => {
    const { node } = makeNode([1n, 2n]);
    expect(node.propose([proposal(1)])).toBe("dropped");
    node.step(makeMessage(MessageType.heartbeat, 1n, 2n, 3));
    expect(node.propose([proposal(7)])).toBeUndefined();
    node.readIndex(Uint8Array.of(1));
    const sent = node.ready().messages.filter(({ to }) => to === 2n);
    expect(sent.map(({ type, term }) => [type, term])).toEqual([
      [MessageType.heartbeatResp, 3],
      [MessageType.prop, 0],
      [MessageType.readIndex, 0],
    ]);
    expect(sent[1]?.entries).toEqual([{ term: 0, index: 0, ...proposal(7) }]);
    expect(makeNode([1n]).node.propose([])).toBe("dropped");
  });

  it("with a gap between their entries are ignored", () => {
    const { node } = makeNode([1n, 2n]);
    const append = makeMessage(MessageType.app, 1n, 2n, 3);
    append.index = 5;
    append.logTerm = 1;
    append.entries = [6, 8].map((index) => ({ term: 3, index, ...proposal(1) }));
    node.step(append);
    expect([node.lastIndex, node.leader, node.ready().messages.length]).toEqual([5, 2n, 1]);
  });

  it("with what is no configuration change are dropped by the leader", () => {
    const { node } = leaderOf([1n, 2n]);
    const bad = makeMessage(MessageType.prop, 1n, 2n);
    const data = Uint8Array.of(0xff, 0xff);
    bad.entries = [{ term: 0, index: 0, type: EntryType.confChange, data }];
    expect(node.step(bad)).toBe("dropped");
    expect(node.step(makeMessage(MessageType.prop, 1n, 2n))).toBe("dropped");
  });
});

describe("a lone voter that can not write", () => {
  it("forgets what it handed out, and goes on from there", () => {
    const member = leaderOf([1n]);
    const { node, storage } = member;
    settle(member);
    const kept = node.lastIndex;
    node.propose([proposal(1)]);
    node.ready();
    node.propose([proposal(2)]);
    expect(node.abandonUnstable()).toBe(kept);
    expect([node.lastIndex, node.commit, node.hasReady()]).toEqual([kept, kept, false]);
    node.propose([proposal(3), proposal(4)]);
    const readys = settle(member);
    expect(appliedIn(readys)).toEqual([kept + 1, kept + 2]);
    expect(storage.entries(kept + 1, kept + 3, 1e9)?.map(({ data }) => data.length)).toEqual([
      3, 4,
    ]);
  });

  it("keeps what was written in the meantime", () => {
    const member = leaderOf([1n]);
    const { node, storage } = member;
    settle(member);
    node.propose([proposal(1)]);
    const [written] = node.ready().messages as [Message];
    node.propose([proposal(2)]);
    node.ready();
    storage.append(written.entries);
    expect(node.abandonUnstable()).toBe(storage.lastIndex());
    expect(node.hasReady()).toBe(false);
    for (const response of written.responses) node.step(response);
    expect(appliedIn(settle(member))).toEqual([storage.lastIndex()]);
  });

  it("hands its hard state out again, and begins its term once it can write", () => {
    const member = makeNode([1n]);
    const { node } = member;
    node.campaign();
    for (const response of (node.ready().messages as [Message])[0].responses) node.step(response);
    node.ready();
    expect(node.abandonUnstable()).toBe(5);
    const [again] = settle(member);
    expect(again?.hardState).toEqual({ term: 2, vote: 1n, commit: 5 });
    node.readIndex(Uint8Array.of(1));
    expect(settle(member)).toEqual([]);
    node.tick();
    const readys = settle(member);
    expect(appliedIn(readys)).toEqual([6]);
    expect(readys.flatMap(({ readStates }) => readStates.map(({ index }) => index))).toEqual([6]);
  });

  it("keeps the members of its bootstrap, which are committed", () => {
    const member = makeNode([], { storage: new LogStorage() });
    const { node } = member;
    node.bootstrap([{ id: 1n, context: noContext }]);
    node.ready();
    expect(node.abandonUnstable()).toBe(1);
    const readys = settle(member);
    expect(readys[0]?.hardState).toEqual({ term: 1, vote: 0n, commit: 1 });
    expect([readys[0]?.entries.length, appliedIn(readys)]).toEqual([1, [1]]);
  });

  it("gives the room back that its proposals took", () => {
    const member = leaderOf([1n], { maxUncommittedEntriesSize: 100 });
    const { node } = member;
    settle(member);
    expect(node.propose([proposal(90)])).toBeUndefined();
    expect(node.propose([proposal(90)])).toBe("dropped");
    node.abandonUnstable();
    expect(node.propose([proposal(90)])).toBeUndefined();
  });

  it("is alone", () => {
    expect(() => makeNode([1n, 2n]).node.abandonUnstable()).toThrow(/alone/);
    expect(() => makeNode([1n], {}, [2n]).node.abandonUnstable()).toThrow(/alone/);
  });
});
