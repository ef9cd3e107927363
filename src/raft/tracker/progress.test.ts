// The flow control of one member, state by state.

import { describe, expect, it } from "vitest";
import { Progress } from "./progress.ts";

function make(match: number, next: number): Progress {
  const limits = { maxInflightMessages: 3, maxInflightBytes: 0 };
  const progress = new Progress(2n, 1, false, limits);
  progress.reset(match, next);
  return progress;
}

function replicating(match: number): Progress {
  const progress = make(match, match + 1);
  progress.becomeReplicate();
  return progress;
}

describe("probing", () => {
  it("waits after one append with entries until it is answered", () => {
    const progress = make(0, 5);
    progress.sentEntries(0, 0);
    expect(progress.isPaused).toBe(false);
    progress.sentEntries(2, 10);
    expect(progress).toMatchObject({ isPaused: true, next: 5 });
    expect(progress.acknowledge(6)).toBe(true);
    expect(progress).toMatchObject({ isPaused: false, match: 6, next: 7 });
  });

  it.each([
    // match, next, rejected, hint -> whether it counts, next
    { match: 0, next: 0, rejected: 0, hint: 0, counts: false, after: 0 },
    { match: 0, next: 10, rejected: 5, hint: 5, counts: false, after: 10 },
    { match: 0, next: 10, rejected: 9, hint: 9, counts: true, after: 9 },
    { match: 0, next: 2, rejected: 1, hint: 1, counts: true, after: 1 },
    { match: 0, next: 1, rejected: 0, hint: 0, counts: true, after: 1 },
    { match: 0, next: 10, rejected: 9, hint: 2, counts: true, after: 3 },
    { match: 0, next: 10, rejected: 9, hint: 0, counts: true, after: 1 },
    { match: 4, next: 10, rejected: 9, hint: 2, counts: true, after: 5 },
  ])("goes back on a refusal: $next refused at $rejected, hint $hint", (row) => {
    const progress = make(row.match, row.next);
    progress.sentEntries(1, 1);
    expect(progress.reject(row.rejected, row.hint)).toBe(row.counts);
    expect(progress).toMatchObject({ next: row.after, isPaused: !row.counts, match: row.match });
  });
});

describe("replicating", () => {
  it("sends ahead until the window is full, and on when something is acknowledged", () => {
    const progress = replicating(4);
    for (const next of [6, 7, 8]) {
      expect(progress.isPaused).toBe(false);
      progress.sentEntries(1, 10);
      expect(progress.next).toBe(next);
    }
    expect(progress.status()).toMatchObject({ isPaused: true, isWindowFull: true, inflight: 3 });
    expect(progress.acknowledge(5)).toBe(true);
    progress.inflights.freeUpTo(5);
    expect(progress).toMatchObject({ isPaused: false, match: 5, next: 8 });
  });

  it("passes over old acknowledgements and refusals", () => {
    const progress = replicating(5);
    progress.sentEntries(3, 10);
    expect(progress.acknowledge(5)).toBe(false);
    expect(progress.acknowledge(4)).toBe(false);
    expect(progress.reject(5, 5)).toBe(false);
    expect(progress.next).toBe(9);
    expect(progress.reject(8, 8)).toBe(true);
    expect(progress).toMatchObject({ match: 5, next: 6 });
  });

  it("tells a commit index only when the member may gain by it", () => {
    const progress = replicating(5);
    expect(progress.canBumpCommit(3)).toBe(true);
    progress.sentCommit(3);
    expect(progress.canBumpCommit(3)).toBe(false);
    progress.sentCommit(5);
    expect(progress.canBumpCommit(9)).toBe(false);
    progress.sentEntries(1, 1);
    expect(progress.canBumpCommit(9)).toBe(true);
  });

  it("forgets what it told when the member may have lost it", () => {
    const progress = replicating(5);
    progress.sentEntries(3, 1);
    progress.sentCommit(8);
    progress.becomeProbe();
    expect(progress.next).toBe(6);
    progress.becomeReplicate();
    progress.sentEntries(3, 1);
    expect(progress.canBumpCommit(8)).toBe(true);
  });
});

describe("sending a snapshot", () => {
  it("sends nothing else, and probes after it when it arrived", () => {
    const progress = make(1, 5);
    progress.becomeSnapshot(10);
    expect(progress).toMatchObject({ isPaused: true, pendingSnapshot: 10, next: 11 });
    expect(() => progress.sentEntries(1, 1)).toThrow();
    progress.becomeProbe();
    expect(progress).toMatchObject({ isPaused: false, pendingSnapshot: 0, next: 11, match: 1 });
  });

  it("probes from the last match when it did not", () => {
    const progress = make(1, 5);
    progress.becomeSnapshot(10);
    progress.snapshotFailed();
    progress.becomeProbe();
    expect(progress).toMatchObject({ next: 2, state: "probe" });
  });
});
