import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogStorage } from "./log-storage.ts";
import type { ConfState } from "./message.ts";
import type { Entry } from "./types.ts";

const noLimit = Number.POSITIVE_INFINITY;
const confState: ConfState = {
  voters: [1n],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

const entry = (index: number, term = 1, size = 1): Entry => ({
  term,
  index,
  type: 0,
  data: new Uint8Array(size),
});
const entries = (first: number, count: number, term = 1): Entry[] =>
  Array.from({ length: count }, (_, i) => entry(first + i, term));
const indexes = (list: readonly Entry[] | undefined): number[] | undefined =>
  list?.map(({ index }) => index);

describe("a log storage", () => {
  it("is empty at first", () => {
    const storage = new LogStorage();
    expect([storage.firstIndex(), storage.lastIndex(), storage.entryBytes]).toEqual([1, 0, 0]);
    expect(storage.term(0)).toBe(0);
    expect(storage.term(1)).toBeUndefined();
    expect(storage.initialState().hardState).toEqual({ term: 0, vote: 0n, commit: 0 });
    expect(storage.snapshotSource()).toBeUndefined();
  });

  it("begins with what a restart found", () => {
    const hardState = { term: 3, vote: 2n, commit: 12 };
    const snapshot = { index: 10, term: 2, confState };
    const storage = new LogStorage({ hardState, snapshot, entries: entries(11, 3, 3) });
    expect(storage.initialState()).toEqual({ hardState, confState });
    expect([storage.firstIndex(), storage.lastIndex()]).toEqual([11, 13]);
    expect([9, 10, 11, 13, 14].map((i) => storage.term(i))).toEqual([
      undefined,
      2,
      3,
      3,
      undefined,
    ]);
  });

  it("replaces a suffix that conflicts, and skips what is compacted already", () => {
    const storage = new LogStorage();
    storage.append(entries(1, 10));
    storage.compact(4);
    storage.append(entries(8, 2, 2));
    expect(storage.lastIndex()).toBe(9);
    expect([7, 8, 9].map((i) => storage.term(i))).toEqual([1, 2, 2]);
    storage.append(entries(3, 3, 3));
    expect([storage.firstIndex(), storage.lastIndex(), storage.term(5)]).toEqual([5, 5, 3]);
    expect(storage.entryBytes).toBe(1);
    expect(() => storage.append(entries(7, 1))).toThrow(/gap/);
  });

  it("cuts by the encoded size, but gives one entry at least", () => {
    const storage = new LogStorage();
    storage.append([entry(1, 1, 10), entry(2, 1, 10), entry(3, 1, 10)]);
    // Ten bytes and their length, a term and an index of two bytes each.
    expect(indexes(storage.entries(1, 4, 0))).toEqual([1]);
    expect(indexes(storage.entries(1, 4, 31))).toEqual([1]);
    expect(indexes(storage.entries(1, 4, 32))).toEqual([1, 2]);
    expect(indexes(storage.entries(1, 4, noLimit))).toEqual([1, 2, 3]);
    expect(indexes(storage.entries(2, 2, noLimit))).toEqual([]);
  });

  it("says when entries are gone, and goes on after a snapshot", () => {
    const storage = new LogStorage();
    storage.append(entries(1, 5));
    storage.compact(3);
    expect(storage.entries(3, 5, noLimit)).toBeUndefined();
    storage.compact(2);
    expect(storage.firstIndex()).toBe(4);
    storage.applySnapshot({ metadata: { index: 20, term: 4, confState }, data: new Uint8Array(0) });
    expect([storage.firstIndex(), storage.lastIndex(), storage.term(20)]).toEqual([21, 20, 4]);
    expect(storage.initialState().confState).toEqual(confState);
    expect(storage.entryBytes).toBe(0);
    storage.append(entries(21, 1, 4));
    expect(storage.lastIndex()).toBe(21);
  });

  it("equals a plain array under any sequence of appends and compactions", () => {
    const step = fc.record({
      compact: fc.boolean(),
      back: fc.nat(8),
      count: fc.integer({ min: 1, max: 900 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const storage = new LogStorage();
        let model: Entry[] = [];
        let base = 0;
        let term = 0;
        for (const { compact, back, count } of steps) {
          const last = base + model.length;
          if (compact) {
            const index = Math.max(base, last - back);
            storage.compact(index);
            model = model.slice(index - base);
            base = index;
          } else {
            const from = Math.max(base + 1, last + 1 - back);
            const added = entries(from, count, ++term);
            storage.append(added);
            model = [...model.slice(0, from - base - 1), ...added];
          }
          expect([storage.firstIndex(), storage.lastIndex()]).toEqual([
            base + 1,
            base + model.length,
          ]);
          expect(storage.entryBytes).toBe(model.length);
          expect(storage.entries(base + 1, base + model.length + 1, noLimit)).toEqual(model);
        }
      }),
      { numRuns: 60, seed: 4 },
    );
  });
});
