import { describe, expect, it } from "vitest";
import { Random } from "../../src/base/random.ts";
import type { Action, Call, EventSeen, Outcome, Violation } from "./history.ts";
import { PlainStore, type WriteAction } from "./plain-store.ts";
import { checkRevisionOrder } from "./revision-order.ts";

const keys = ["a", "b", "c"];

/** A history as a correct store gives it: calls overlap, some outcomes never arrive. */
class Recorded {
  readonly changes = new Map<number, readonly EventSeen[]>();
  readonly calls: Call[] = [];
  readonly store = new PlainStore();
  readonly #random: Random;
  #at = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    for (let i = 0; i < 40; i++) this.#call(i);
  }

  check(calls: readonly Call[] = this.calls): Violation[] {
    const found: Violation[] = [];
    checkRevisionOrder(
      { changes: this.changes, lastRevision: this.store.revision, calls },
      (violation) => found.push(violation),
    );
    return found;
  }

  #call(id: number): void {
    const random = this.#random;
    const action = this.#action(id);
    // It takes effect now; it began up to three calls ago and is answered up to three calls later.
    this.#at += 10;
    const now = this.#at;
    const outcome = this.#execute(action);
    this.calls.push({
      id,
      client: "c",
      member: "m",
      action,
      invokedAt: now - random.between(1, 30),
      invokedMs: 0,
      returnedAt: now + random.between(1, 30),
      returnedMs: 0,
      outcome: random.chance(0.15) ? { kind: "unknown", reason: "timeout" } : outcome,
    });
  }

  #action(id: number): Action {
    const random = this.#random;
    const key = random.pick(keys);
    const put = { kind: "put", key, value: `v${id}`, lease: 0n } as const;
    const isRead = random.chance(0.4);
    if (isRead) {
      const rangeEnd = random.chance(0.3) ? "\0" : undefined;
      return { kind: "read", key, rangeEnd, revision: 0, isSerializable: false };
    }
    const equals = random.chance(0.5) ? (this.store.at(key, 1e9)?.modRevision ?? 0) : 7;
    const compares = random.chance(0.3) ? [{ target: "modRevision", key, equals } as const] : [];
    const failure = random.chance(0.5) ? [{ kind: "get", key: "a", rangeEnd: "\0" } as const] : [];
    const success = random.chance(0.2)
      ? [{ kind: "delete", key, rangeEnd: undefined } as const]
      : [put];
    return { kind: "write", compares, success, failure };
  }

  #execute(action: Action): Outcome {
    if (action.kind === "read") {
      const kvs = this.store.range(action.key, action.rangeEnd, this.store.revision);
      const results = [{ kind: "get", kvs } as const];
      return { kind: "ok", revision: this.store.revision, succeeded: true, results };
    }
    const revision = this.store.revision + 1;
    const { changes, succeeded, results } = this.store.execute(action as WriteAction, revision);
    if (changes.length > 0) {
      this.store.apply(revision, changes);
      this.changes.set(revision, changes);
    }
    return { kind: "ok", revision: this.store.revision, succeeded, results };
  }
}

describe("checkRevisionOrder", () => {
  it("accepts what a correct store does", () => {
    for (let seed = 0; seed < 200; seed++)
      expect(new Recorded(seed).check(), `${seed}`).toEqual([]);
  });

  it("finds a reply that is not what the store would say", () => {
    let found = 0;
    for (let seed = 0; seed < 100; seed++) {
      const history = new Recorded(seed);
      const at = history.calls.findIndex(({ outcome }) => outcome.kind === "ok");
      const call = history.calls[at] as Call;
      const outcome = {
        ...call.outcome,
        revision: (call.outcome as { revision: number }).revision + 1,
      };
      const damaged = history.calls.with(at, { ...call, outcome } as Call);
      if (history.check(damaged).length > 0) found++;
    }
    // The next revision may say the same; most often it does not.
    expect(found).toBeGreaterThan(60);
  });

  it("finds a stale read, a lost write, a write made twice, and one that nobody made", () => {
    const history = new Recorded(1);
    const { calls, changes, store } = history;
    const lastWrite = calls.findLastIndex(
      ({ action, outcome }) =>
        action.kind === "write" && outcome.kind === "ok" && outcome.succeeded,
    );
    const late = { invokedAt: 10_000, returnedAt: 10_001, invokedMs: 0, returnedMs: 0 };
    const read = (revision: number): Call => ({
      ...(calls[0] as Call),
      ...late,
      action: { kind: "read", key: "z", rangeEnd: undefined, revision: 0, isSerializable: false },
      outcome: { kind: "ok", revision, succeeded: true, results: [{ kind: "get", kvs: [] }] },
    });
    expect(history.check([...calls, read(store.revision)])).toEqual([]);
    const properties = (violations: Violation[]) => violations.map(({ property }) => property);
    expect(properties(history.check([...calls, read(2)]))).toContain("stale read");
    expect(properties(history.check(calls.toSpliced(lastWrite, 1)))).toContain("explained");

    const lastRevision = store.revision;
    const lost = new Map(changes);
    lost.delete(lastRevision);
    const violations: Violation[] = [];
    const report = (violation: Violation) => violations.push(violation);
    checkRevisionOrder({ changes: lost, lastRevision: lastRevision - 1, calls }, report);
    expect(properties(violations)).toContain("acknowledged write");

    violations.length = 0;
    const twice = new Map(changes);
    const last = changes.get(lastRevision) as EventSeen[];
    twice.set(lastRevision + 1, last);
    checkRevisionOrder({ changes: twice, lastRevision: lastRevision + 1, calls }, report);
    expect(properties(violations)).toContain("explained");
  });
});
