// The core with one voter, driven as its caller drives it.

import { describe, expect, it } from "vitest";
import { Raft } from "./raft.ts";
import type { Entry, HardState, Proposal } from "./types.ts";

const noState: HardState = { term: 0, vote: 0n, commit: 0 };

function make(hardState: HardState = noState, entries: readonly Entry[] = [], applied = 0): Raft {
  const at = { index: applied, term: applied === 0 ? 0 : hardState.term };
  return new Raft({ id: 7n, voters: [7n], hardState, applied: at, entries });
}

function proposal(text: string): Proposal {
  return { type: 0, data: Buffer.from(text) };
}

function texts(entries: readonly Entry[]): string[] {
  return entries.map((entry) => Buffer.from(entry.data).toString());
}

describe("a lone voter", () => {
  it("commits what is persisted, hands each entry out once for writing and once for applying", () => {
    const raft = make();
    raft.campaign();
    expect(raft.propose([proposal("a"), proposal("b")])).toBe(2);
    const first = raft.ready();
    expect(texts(first.entries)).toEqual(["", "a", "b"]);
    expect(first.hardState).toEqual({ term: 1, vote: 7n, commit: 0 });
    expect(first.committed).toEqual([]);
    expect(raft.ready()).toEqual({ hardState: undefined, entries: [], committed: [] });
    raft.persisted(3);
    expect(raft.commitIndex).toBe(3);
    const second = raft.ready();
    expect(texts(second.committed)).toEqual(["", "a", "b"]);
    expect(second.entries).toEqual([]);
    expect(raft.ready().committed).toEqual([]);
  });

  it("commits with its new term what an earlier life left in the log", () => {
    const left = [1, 2, 3].map((index) => ({ term: 4, index, type: 0, data: Buffer.from("old") }));
    const raft = make({ term: 4, vote: 7n, commit: 1 }, left);
    expect(texts(raft.ready().committed)).toEqual(["old"]);
    raft.campaign();
    expect(raft.term).toBe(5);
    const ready = raft.ready();
    expect(ready.entries).toMatchObject([{ term: 5, index: 4 }]);
    raft.persisted(4);
    expect(raft.ready().committed.map((entry) => entry.index)).toEqual([2, 3, 4]);
  });

  it("never commits what could not be appended, and gives its indexes to what comes next", () => {
    const raft = make();
    raft.campaign();
    raft.ready();
    raft.persisted(1);
    raft.ready();
    raft.propose([proposal("lost1"), proposal("lost2")]);
    raft.ready();
    raft.appendFailed();
    expect(raft.lastIndex).toBe(1);
    expect(raft.propose([proposal("kept")])).toBe(2);
    expect(texts(raft.ready().entries)).toEqual(["kept"]);
    raft.persisted(2);
    expect(texts(raft.ready().committed)).toEqual(["kept"]);
  });

  it("hands a hard state out again when the append that carried it failed", () => {
    const raft = make({ term: 3, vote: 7n, commit: 0 });
    raft.campaign();
    expect(raft.ready().hardState).toEqual({ term: 4, vote: 7n, commit: 0 });
    raft.appendFailed();
    raft.propose([proposal("a")]);
    expect(raft.ready().hardState).toEqual({ term: 4, vote: 7n, commit: 0 });
    raft.persisted(1);
    expect(raft.ready().hardState).toEqual({ term: 4, vote: 7n, commit: 1 });
  });

  it("forgets what is applied, and remembers its term", () => {
    const raft = make();
    raft.campaign();
    raft.propose([proposal("a"), proposal("b")]);
    raft.ready();
    raft.persisted(3);
    raft.ready();
    raft.compact(2);
    expect(raft.termOf(2)).toBe(1);
    expect(raft.termOf(3)).toBe(1);
    expect(() => raft.termOf(1)).toThrow();
    raft.compact(3);
    expect(raft.lastIndex).toBe(3);
    expect(raft.propose([proposal("c")])).toBe(4);
    expect(texts(raft.ready().entries)).toEqual(["c"]);
  });

  it("refuses other configurations and logs with gaps", () => {
    const options = { hardState: noState, applied: { index: 0, term: 0 }, entries: [] };
    expect(() => new Raft({ ...options, id: 7n, voters: [7n, 8n] })).toThrow();
    expect(() => new Raft({ ...options, id: 7n, voters: [8n] })).toThrow();
    const gap = [{ term: 1, index: 2, type: 0, data: Buffer.alloc(0) }];
    expect(() => make({ term: 1, vote: 7n, commit: 2 }, gap)).toThrow();
    expect(() => make({ term: 1, vote: 7n, commit: 5 })).toThrow();
  });
});
