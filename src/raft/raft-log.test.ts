import { describe, expect, it } from "vitest";
import { LogStorage } from "./log-storage.ts";
import type { Snapshot } from "./message.ts";
import { RaftLog } from "./raft-log.ts";
import type { Entry } from "./types.ts";

const noLimit = Number.POSITIVE_INFINITY;

/** An entry for each term, from `first` on. */
function entriesOf(first: number, terms: readonly number[], size = 0): Entry[] {
  return terms.map((term, i) => ({ term, index: first + i, type: 0, data: new Uint8Array(size) }));
}

/** A log whose first entries are stable and the others not. */
function logOf(stable: readonly number[], unstable: readonly number[], maxApplying = noLimit) {
  const storage = new LogStorage();
  storage.append(entriesOf(1, stable));
  const log = new RaftLog(storage, maxApplying);
  log.append(entriesOf(stable.length + 1, unstable));
  return log;
}

function termsOf(log: RaftLog): (number | undefined)[] {
  const terms: (number | undefined)[] = [];
  for (let i = log.firstIndex(); i <= log.lastIndex(); i++) terms.push(log.term(i));
  return terms;
}

/** Everything handed out so far is written. */
function write(log: RaftLog): void {
  log.storage.append(log.unstable.next());
  log.unstable.accept();
  log.unstable.stableTo(log.lastIndex(), log.lastTerm());
}

const snapshotAt = (index: number, term: number): Snapshot => ({
  metadata: {
    index,
    term,
    confState: {
      voters: [1n],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
  },
  data: new Uint8Array(0),
});

describe("appending what a leader sends", () => {
  it("takes what follows, whatever part of it is here", () => {
    const log = logOf([1, 2], [3]);
    expect(log.appendAfter({ index: 3, term: 3 }, entriesOf(4, [4, 4]), 3)).toBe(5);
    expect(log.appendAfter({ index: 1, term: 1 }, entriesOf(2, [2, 3]), 99)).toBe(3);
    expect(termsOf(log)).toEqual([1, 2, 3, 4, 4]);
    // No more than what the message shows to be the same.
    expect(log.committed).toBe(3);
  });

  it("refuses what does not fit", () => {
    const log = logOf([1, 2], [3]);
    expect(log.appendAfter({ index: 3, term: 2 }, entriesOf(4, [4]), 4)).toBeUndefined();
    expect(log.appendAfter({ index: 4, term: 4 }, [], 4)).toBeUndefined();
    expect([log.lastIndex(), log.committed]).toEqual([3, 0]);
  });

  it("replaces what conflicts, stable or not, but nothing that is committed", () => {
    const log = logOf([1, 1, 1], [1, 1]);
    expect(log.appendAfter({ index: 4, term: 1 }, entriesOf(5, [2]), 0)).toBe(5);
    expect(log.appendAfter({ index: 2, term: 1 }, entriesOf(3, [3]), 2)).toBe(3);
    expect(termsOf(log)).toEqual([1, 1, 3]);
    expect(log.unstable.offset).toBe(3);
    expect(() => log.appendAfter({ index: 1, term: 1 }, entriesOf(2, [4]), 0)).toThrow(/committed/);
  });

  it("finds the last place where logs may agree", () => {
    const log = logOf([1, 1, 3], [3, 5, 5]);
    expect(log.lastPossibleMatch(6, 4)).toEqual({ index: 4, term: 3 });
    expect(log.lastPossibleMatch(6, 2)).toEqual({ index: 2, term: 1 });
    expect(log.lastPossibleMatch(6, 0)).toEqual({ index: 0, term: 0 });
    log.storage.compact(2);
    expect(log.lastPossibleMatch(6, 0)).toEqual({ index: 1, term: 0 });
  });

  it("asserts that a leader does not commit what is lost here", () => {
    const log = logOf([1], [1]);
    expect(() => log.commitTo(3)).toThrow(/damaged/);
    log.commitTo(2);
    log.commitTo(1);
    expect(log.committed).toBe(2);
  });
});

describe("the unstable end", () => {
  it("hands each entry out once", () => {
    const log = logOf([1], [1, 1]);
    expect(log.unstable.next().map((e) => e.index)).toEqual([2, 3]);
    log.unstable.accept();
    expect(log.unstable.hasNext()).toBe(false);
    log.appendProposals(2, [{ type: 0, data: new Uint8Array(1) }]);
    expect(log.unstable.next().map((e) => [e.index, e.term])).toEqual([[4, 2]]);
  });

  it("hands out again what was replaced while it was being written", () => {
    const log = logOf([], [1, 1, 1]);
    log.unstable.accept();
    log.append(entriesOf(2, [2, 2]));
    expect(log.unstable.next().map((e) => [e.index, e.term])).toEqual([
      [2, 2],
      [3, 2],
    ]);
    log.unstable.stableTo(3, 1);
    expect(log.unstable.offset).toBe(1);
    log.unstable.stableTo(1, 1);
    expect([log.unstable.offset, log.unstable.entries.length]).toEqual([2, 2]);
  });

  it("begins anew behind a snapshot", () => {
    const log = logOf([1], [1, 1]);
    log.restore(snapshotAt(10, 4));
    expect([log.firstIndex(), log.lastIndex(), log.lastTerm(), log.committed]).toEqual([
      11, 10, 4, 10,
    ]);
    expect(log.hasNextCommitted(true)).toBe(false);
    expect(log.unstable.nextSnapshot()?.metadata.index).toBe(10);
    log.unstable.accept();
    expect(log.unstable.nextSnapshot()).toBeUndefined();
    log.append(entriesOf(11, [4]));
    log.unstable.stableTo(10, 4);
    log.unstable.stableSnapshotTo(9);
    expect(log.unstable.snapshot).toBeDefined();
    log.storage.applySnapshot(snapshotAt(10, 4));
    log.unstable.stableSnapshotTo(10);
    expect([log.unstable.snapshot, log.lastIndex(), log.term(11)]).toEqual([undefined, 11, 4]);
  });
});

describe("slices", () => {
  it("cross from the stable part to the unstable one within the limit", () => {
    const storage = new LogStorage();
    storage.append(entriesOf(1, [1, 1], 10));
    const log = new RaftLog(storage, noLimit);
    log.append(entriesOf(3, [1, 1], 10));
    const slice = (low: number, high: number, bytes: number) =>
      log.slice(low, high, bytes)?.map(({ index }) => index);
    expect(slice(1, 5, noLimit)).toEqual([1, 2, 3, 4]);
    expect(slice(2, 4, noLimit)).toEqual([2, 3]);
    expect(slice(3, 5, 0)).toEqual([3]);
    expect(slice(1, 5, 16)).toEqual([1]);
    expect(slice(1, 5, 32)).toEqual([1, 2]);
    expect(slice(1, 5, 47)).toEqual([1, 2]);
    expect(slice(1, 5, 48)).toEqual([1, 2, 3]);
    expect(log.entriesFrom(5, noLimit)).toEqual([]);
    storage.compact(1);
    expect(slice(1, 3, noLimit)).toBeUndefined();
  });
});

describe("what is handed out to be applied", () => {
  it("is durable here, unless that is not asked for", () => {
    const log = logOf([1, 1], [1, 1]);
    log.commitTo(3);
    expect(log.nextCommitted(false).map((e) => e.index)).toEqual([1, 2]);
    expect(log.nextCommitted(true).map((e) => e.index)).toEqual([1, 2, 3]);
    write(log);
    const entries = log.nextCommitted(false);
    log.acceptApplying(entries, false);
    expect(log.nextCommitted(false)).toEqual([]);
    log.appliedTo(3, entries);
    expect(log.applied).toBe(3);
  });

  it("is bounded until something is reported back", () => {
    const storage = new LogStorage();
    storage.append(entriesOf(1, [1, 1, 1, 1], 10));
    const log = new RaftLog(storage, 40);
    log.commitTo(4);
    const first = log.nextCommitted(false);
    expect(first.map((e) => e.index)).toEqual([1, 2]);
    log.acceptApplying(first, false);
    expect(log.hasNextCommitted(false)).toBe(false);
    log.appliedTo(2, first);
    expect(log.nextCommitted(false).map((e) => e.index)).toEqual([3, 4]);
  });

  it("is searched for configuration changes page by page", () => {
    const storage = new LogStorage();
    storage.append([
      ...entriesOf(1, [1, 1, 1], 10),
      { term: 1, index: 4, type: 1, data: new Uint8Array(2) },
    ]);
    const log = new RaftLog(storage, 20);
    log.commitTo(3);
    expect(log.hasUnappliedConfChange()).toBe(false);
    log.commitTo(4);
    expect(log.hasUnappliedConfChange()).toBe(true);
  });
});
