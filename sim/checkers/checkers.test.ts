import { describe, expect, it } from "vitest";
import { EqualState } from "./equal-state.ts";
import type { EventSeen, Violation, WatchSeen } from "./history.ts";
import { LeaseRules } from "./lease-rules.ts";
import { CommittedLog, ElectionSafety, LogMatching } from "./raft-properties.ts";
import { checkWatch } from "./watch-order.ts";

const collect = () => {
  const found: Violation[] = [];
  return { found, report: (violation: Violation) => found.push(violation) };
};

const put = (revision: number, key: string): EventSeen => ({
  type: "put",
  key,
  revision,
  kv: {
    key,
    value: `v${revision}`,
    createRevision: revision,
    modRevision: revision,
    version: 1,
    lease: 0n,
  },
});

describe("checkWatch", () => {
  const changes = new Map([2, 3, 4, 5].map((r) => [r, [put(r, r === 4 ? "x" : "a")]]));
  const watch = (events: EventSeen[], more: Partial<WatchSeen> = {}): Violation[] => {
    const { found, report } = collect();
    const all = { key: "a", rangeEnd: undefined, startRevision: 2, gaps: [], completeUpTo: 5 };
    checkWatch({ name: "w", ...all, events, ...more }, changes, report);
    return found;
  };

  it("accepts all of its range in order", () => {
    expect(watch([put(2, "a"), put(3, "a"), put(5, "a")])).toEqual([]);
    expect(watch([put(3, "a"), put(5, "a")], { startRevision: 3 })).toEqual([]);
    expect(watch([put(2, "a")], { completeUpTo: 2 })).toEqual([]);
    expect(watch([put(5, "a")], { gaps: [{ wanted: 2, resumed: 4 }] })).toEqual([]);
  });

  it("finds what is missing, doubled, out of order, or of another range", () => {
    expect(watch([put(2, "a"), put(5, "a")])).toHaveLength(1);
    expect(watch([put(2, "a"), put(3, "a")])).toHaveLength(1);
    expect(watch([put(2, "a"), put(2, "a"), put(3, "a"), put(5, "a")])).toHaveLength(1);
    expect(watch([put(3, "a"), put(2, "a"), put(5, "a")])).toHaveLength(1);
    expect(watch([put(2, "a"), put(3, "a"), put(4, "x"), put(5, "a")])).toHaveLength(1);
  });
});

describe("the raft properties", () => {
  it("one leader per term", () => {
    const { found, report } = collect();
    const safety = new ElectionSafety(report);
    safety.noteLeader(2, "m1");
    safety.noteLeader(2, "m1");
    safety.noteLeader(3, "m2");
    expect(found).toEqual([]);
    safety.noteLeader(2, "m2");
    expect(found).toHaveLength(1);
  });

  it("log matching: content and past", () => {
    const { found, report } = collect();
    const matching = new LogMatching(report);
    matching.noteEntry(5, 2, 1, "x", "m1");
    matching.noteEntry(5, 2, 1, "x", "m2");
    matching.noteEntry(5, 3, 1, "y", "m2");
    expect(found).toEqual([]);
    matching.noteEntry(5, 2, 2, "x", "m3");
    matching.noteEntry(5, 2, 1, "z", "m3");
    expect(found).toHaveLength(2);
  });

  it("state machine safety and leader completeness", () => {
    const { found, report } = collect();
    const log = new CommittedLog(report);
    log.noteApplied(1, 1, "x", "m1", 1);
    log.noteApplied(2, 1, "y", "m1", 1);
    log.noteApplied(1, 1, "x", "m2", 1);
    log.checkLeader("m2", 2, { firstIndex: 1, lastIndex: 2, termAt: () => 1 });
    expect(found).toEqual([]);
    log.checkLeader("m3", 2, { firstIndex: 1, lastIndex: 1, termAt: () => 1 });
    log.noteApplied(2, 2, "z", "m3", 2);
    expect(found.map(({ property }) => property)).toEqual([
      "leader completeness",
      "state machine safety",
    ]);
  });
});

describe("EqualState", () => {
  it("compares changes by revision and digests by index", () => {
    const { found, report } = collect();
    const state = new EqualState(report);
    expect(state.noteChanges(2, [put(2, "a")], "m1")).toBe(true);
    expect(state.noteChanges(2, [put(2, "a")], "m2")).toBe(false);
    state.noteDigest(7, "d", "m1");
    state.noteDigest(7, "d", "m2");
    expect(found).toEqual([]);
    state.noteChanges(2, [put(2, "b")], "m3");
    state.noteDigest(7, "e", "m3");
    expect(found).toHaveLength(2);
  });
});

describe("LeaseRules", () => {
  it("a lease lasts as long as it was kept alive, and not for ever", () => {
    const { found, report } = collect();
    const rules = new LeaseRules(report);
    rules.noteAsked(1n, 2000, 0);
    rules.noteKept(1n, 2000, 0, 10);
    rules.noteKept(1n, 2000, 1000, 1010);
    rules.noteGone(1n, 3100);
    rules.noteAsked(2n, 2000, 0);
    rules.noteKept(2n, 2000, 0, 10);
    rules.noteRevokeAsked(2n);
    rules.noteGone(2n, 500);
    expect(found).toEqual([]);
    rules.noteAsked(3n, 2000, 0);
    rules.noteKept(3n, 2000, 1000, 1010);
    rules.noteGone(3n, 2900);
    expect(found.map(({ property }) => property)).toEqual(["leases last"]);
    rules.noteAsked(4n, 2000, 0);
    rules.checkEnded([4n], 4000, 1500, 1000);
    expect(found).toHaveLength(1);
    rules.checkEnded([4n], 4501, 1500, 1000);
    expect(found.map(({ property }) => property)).toEqual(["leases last", "leases end"]);
  });

  it("hears of a keepalive after the lease was gone", () => {
    const { found, report } = collect();
    const rules = new LeaseRules(report);
    rules.noteAsked(1n, 2000, 0);
    rules.noteKept(1n, 2000, 0, 10);
    rules.noteGone(1n, 2001);
    rules.noteKept(1n, 2000, 1900, 2100);
    expect(found.map(({ property }) => property)).toEqual(["leases last"]);
  });
});
