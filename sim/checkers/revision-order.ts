// Strict serializability of a store that names the place of every write in one order, its revision. Given the
// changes of each revision and all calls: each change has exactly one call that made it, each reply is what a plain
// store in that order would say, and no call takes a place before one that had returned before it began.
// Complete for such histories, and linear in their length, where a search would not be.

import {
  type Action,
  type Call,
  describeAction,
  describeOutcome,
  type EventSeen,
  type Outcome,
  type Report,
} from "./history.ts";
import { changesOf, PlainStore, sameKeyValues, type WriteAction } from "./plain-store.ts";

export interface RevisionHistory {
  /** Changes by revision, from 2 on; the first revision of an empty store is 1. */
  readonly changes: ReadonlyMap<number, readonly EventSeen[]>;
  readonly lastRevision: number;
  readonly calls: readonly Call[];
  /** True for a revision that some lease's end made. */
  readonly isLeaseEnd?: (events: readonly EventSeen[]) => boolean;
}

type OkOutcome = Extract<Outcome, { kind: "ok" }>;

export function checkRevisionOrder(history: RevisionHistory, report: Report): void {
  new RevisionOrder(history, report).check();
}

class RevisionOrder {
  readonly #history: RevisionHistory;
  readonly #report: Report;
  readonly #store = new PlainStore();
  /** Calls with an outcome that claim the write at a revision; calls that read there. */
  readonly #writers = new Map<number, Call>();
  readonly #readers = new Map<number, Call[]>();
  readonly #unknown: Call[] = [];
  /** Where calls of unknown outcome turned out to have written. */
  readonly #found = new Map<Call, number>();

  constructor(history: RevisionHistory, report: Report) {
    this.#history = history;
    this.#report = report;
  }

  check(): void {
    for (const call of this.#history.calls) this.#sort(call);
    this.#checkReaders(1);
    for (let revision = 2; revision <= this.#history.lastRevision; revision++) {
      const events = this.#history.changes.get(revision);
      if (events === undefined) {
        this.#fail("history", `revision ${revision} is missing from what the members applied`);
        return;
      }
      this.#checkWrite(revision, events);
      this.#store.apply(revision, events);
      this.#checkReaders(revision);
    }
    this.#checkEnd();
    this.#checkTime();
  }

  /** Finds which place in the order a call says it has. */
  #sort(call: Call): void {
    const { action, outcome } = call;
    if (action.kind !== "write" && action.kind !== "read") return;
    if (outcome.kind === "unknown") this.#unknown.push(call);
    if (outcome.kind !== "ok") return;
    if (action.kind === "write" && hasEffect(action, outcome)) {
      const other = this.#writers.get(outcome.revision);
      if (other) this.#fail("one write per revision", `${text(call)} and ${text(other)}`);
      this.#writers.set(outcome.revision, call);
      return;
    }
    const readers = this.#readers.get(outcome.revision);
    if (readers) readers.push(call);
    else this.#readers.set(outcome.revision, [call]);
  }

  #checkWrite(revision: number, events: readonly EventSeen[]): void {
    const writer = this.#writers.get(revision);
    if (writer) {
      const outcome = this.#store.execute(writer.action as WriteAction, revision);
      if (!sameChanges(outcome.changes, events)) {
        const seen = events.map(describeEvent).join(", ");
        this.#fail("acknowledged write", `${text(writer)}, but revision ${revision} holds ${seen}`);
      }
      this.#compareResults(writer, outcome.succeeded, outcome.results);
      return;
    }
    if (this.#claimUnknown(revision, events)) return;
    if (this.#history.isLeaseEnd?.(events) === true) return;
    const seen = events.map(describeEvent).join(", ");
    this.#fail("explained", `nobody made revision ${revision}: ${seen}${this.#whoWrote(events)}`);
  }

  /** A call without an outcome that would have made just these changes here. */
  #claimUnknown(revision: number, events: readonly EventSeen[]): boolean {
    for (const [i, call] of this.#unknown.entries()) {
      if (call.action.kind !== "write") continue;
      const { changes } = this.#store.execute(call.action, revision);
      if (changes.length === 0 || !sameChanges(changes, events)) continue;
      this.#unknown.splice(i, 1);
      // Deletes carry no name: another call may have made this one, so its time says nothing.
      if (events.some((event) => event.type === "put")) this.#found.set(call, revision);
      return true;
    }
    return false;
  }

  #checkReaders(revision: number): void {
    for (const call of this.#readers.get(revision) ?? []) {
      const { action } = call;
      if (action.kind === "write") {
        const { changes, succeeded, results } = this.#store.execute(action, revision + 1);
        if (changes.length > 0) {
          this.#fail("acknowledged write", `${text(call)}, but it should have changed something`);
        }
        this.#compareResults(call, succeeded, results);
      } else if (action.kind === "read") {
        this.#compareRead(call, action);
      }
    }
    this.#readers.delete(revision);
  }

  #compareRead(call: Call, action: Extract<Action, { kind: "read" }>): void {
    const at = action.revision === 0 ? this.#store.revision : action.revision;
    const expected = this.#store.range(action.key, action.rangeEnd, at);
    const [seen] = (call.outcome as OkOutcome).results;
    if (seen?.kind === "get" && sameKeyValues(seen.kvs, expected)) return;
    const list = expected.map((kv) => `${kv.key}=${kv.value}@${kv.modRevision}`).join(" ");
    this.#fail("read", `${text(call)}, but at revision ${at} there is [${list}]`);
  }

  #compareResults(call: Call, succeeded: boolean, results: OkOutcome["results"]): void {
    const seen = call.outcome as OkOutcome;
    const same =
      seen.succeeded === succeeded &&
      seen.results.length === results.length &&
      results.every((result, i) => {
        const other = seen.results[i];
        if (result.kind !== other?.kind) return false;
        if (result.kind === "delete" && other.kind === "delete")
          return result.deleted === other.deleted;
        if (result.kind === "get" && other.kind === "get")
          return sameKeyValues(result.kvs, other.kvs);
        return true;
      });
    if (same) return;
    const expected = describeOutcome({ kind: "ok", revision: seen.revision, succeeded, results });
    this.#fail("reply", `${text(call)}, expected ${expected}`);
  }

  /** Nothing that was acknowledged lies beyond what the members hold in the end. */
  #checkEnd(): void {
    const { lastRevision } = this.#history;
    for (const [revision, call] of this.#writers) {
      if (revision > lastRevision) {
        this.#fail(
          "acknowledged write",
          `${text(call)} is lost: the last revision is ${lastRevision}`,
        );
      }
    }
    for (const calls of this.#readers.values()) {
      for (const call of calls) {
        this.#fail(
          "read",
          `${text(call)} saw a revision that is not there: ${lastRevision} is the last`,
        );
      }
    }
  }

  /** Walks through invocations and returns in the order in which they were. */
  #checkTime(): void {
    const marks: { at: number; call: Call; isReturn: boolean }[] = [];
    for (const call of this.#history.calls) {
      if (this.#placeOf(call) === undefined) continue;
      marks.push({ at: call.invokedAt, call, isReturn: false });
      if (call.outcome.kind === "ok") marks.push({ at: call.returnedAt, call, isReturn: true });
    }
    marks.sort((a, b) => a.at - b.at);
    /** The latest place that had returned when a call was invoked. */
    const floors = new Map<Call, Call | undefined>();
    let latest: Call | undefined;
    for (const { call, isReturn } of marks) {
      if (!isReturn) floors.set(call, latest);
      else if (latest === undefined || this.#at(call) > this.#at(latest)) latest = call;
    }
    for (const [call, floor] of floors) {
      if (floor === undefined) continue;
      if (call.action.kind === "read" && call.action.isSerializable) continue;
      // A write has its revision for itself; a read may share that of what it sees.
      const isWrite = this.#writers.get(this.#at(call)) === call || this.#found.has(call);
      const isEarlier = isWrite
        ? this.#at(call) <= this.#at(floor)
        : this.#at(call) < this.#at(floor);
      if (isEarlier) {
        const property = isWrite ? "real time order" : "stale read";
        this.#fail(
          property,
          `${text(call)} at ${this.#at(call)}, after ${text(floor)} had returned`,
        );
      }
    }
  }

  #placeOf(call: Call): number | undefined {
    if (call.action.kind !== "write" && call.action.kind !== "read") return undefined;
    return call.outcome.kind === "ok" ? call.outcome.revision : this.#found.get(call);
  }

  #at(call: Call): number {
    return this.#placeOf(call) ?? 0;
  }

  /** For the message: who tried to write these values, and with which outcome. */
  #whoWrote(events: readonly EventSeen[]): string {
    const values = new Set(events.flatMap((event) => (event.kv ? [event.kv.value] : [])));
    const authors = this.#history.calls.filter(
      ({ action }) =>
        action.kind === "write" &&
        [...action.success, ...action.failure].some((s) => s.kind === "put" && values.has(s.value)),
    );
    return authors.map((call) => `; ${text(call)} (invoked once)`).join("");
  }

  #fail(property: string, message: string): void {
    this.#report({ property, text: message });
  }
}

function hasEffect(action: WriteAction, outcome: OkOutcome): boolean {
  const steps = outcome.succeeded ? action.success : action.failure;
  return steps.some((step, i) => {
    const result = outcome.results[i];
    return step.kind === "put" || (result?.kind === "delete" && result.deleted > 0);
  });
}

function sameChanges(expected: readonly EventSeen[], seen: readonly EventSeen[]): boolean {
  if (expected.length !== seen.length) return false;
  return expected.every((event, i) => {
    const other = seen[i] as EventSeen;
    if (event.type !== other.type || event.key !== other.key) return false;
    return changesOf(event) === changesOf(other);
  });
}

function describeEvent(event: EventSeen): string {
  return event.type === "put" ? `put ${event.key}=${event.kv?.value}` : `delete ${event.key}`;
}

function text(call: Call): string {
  return `${call.client} at ${call.member}, call ${call.id}: ${describeAction(call.action)} → ${describeOutcome(call.outcome)}`;
}
