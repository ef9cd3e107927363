// The whole log as the core sees it: the stable part (LogStorage) and after it the unstable one, and
// how far it is committed, being applied and applied.
// Invariant: applied <= applying <= committed <= lastIndex.

import { assert } from "../base/assert.ts";
import { encodedSizeOf, endWithin } from "./entry-size.ts";
import type { LogStorage } from "./log-storage.ts";
import type { Snapshot } from "./message.ts";
import { type Entry, EntryType, type HardState, type Proposal } from "./types.ts";
import { UnstableLog } from "./unstable-log.ts";

/** An index and the term that goes with it; term 0: not known. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

const nothing: readonly Entry[] = [];

export class RaftLog {
  readonly storage: LogStorage;
  readonly unstable: UnstableLog;
  /** Known to be on the disks of a quorum. */
  committed: number;
  #applying: number;
  #applied: number;
  /** Bounds what is handed out to be applied and not reported back. */
  readonly #maxApplyingBytes: number;
  #applyingBytes = 0;
  #applyingPaused = false;

  constructor(storage: LogStorage, maxApplyingBytes: number) {
    this.storage = storage;
    this.unstable = new UnstableLog(storage.lastIndex() + 1);
    this.#maxApplyingBytes = maxApplyingBytes;
    const base = storage.firstIndex() - 1;
    this.committed = base;
    this.#applying = base;
    this.#applied = base;
  }

  get applied(): number {
    return this.#applied;
  }

  firstIndex(): number {
    const { snapshot } = this.unstable;
    return snapshot === undefined ? this.storage.firstIndex() : snapshot.metadata.index + 1;
  }

  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.storage.lastIndex();
  }

  /** The term at `index`; undefined when the entry is gone or not there yet. */
  term(index: number): number | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex() || index > this.lastIndex()) return undefined;
    return this.storage.term(index);
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex());
    assert(term !== undefined, "the last entry has no term");
    return term;
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends so may get a vote: it is not behind this one. */
  isUpToDate(index: number, term: number): boolean {
    const lastTerm = this.lastTerm();
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex());
  }

  /** Adds proposals at the end. Returns the new last index. */
  appendProposals(term: number, proposals: readonly Proposal[]): number {
    this.unstable.appendProposals(term, this.lastIndex() + 1, proposals);
    return this.lastIndex();
  }

  /** Adds entries which replace those of the same index. Committed ones can not be replaced. */
  append(entries: readonly Entry[], start = 0): void {
    const first = entries[start];
    if (first === undefined) return;
    assert(first.index > this.committed, `entry ${first.index} is committed already`);
    this.unstable.append(entries, start);
  }

  /**
   * Takes a leader's entries, which follow `previous`, and its commit index. Returns the index of the
   * last of them, or undefined when `previous` is not in this log.
   */
  appendAfter(
    previous: LogPosition,
    entries: readonly Entry[],
    committed: number,
  ): number | undefined {
    if (!this.matches(previous.index, previous.term)) return undefined;
    const lastNew = previous.index + entries.length;
    const start = this.#firstMissing(entries);
    if (start < entries.length) this.append(entries, start);
    this.commitTo(Math.min(committed, lastNew));
    return lastNew;
  }

  /** Where `entries` stops to be a part of this log. */
  #firstMissing(entries: readonly Entry[]): number {
    const last = this.lastIndex();
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      if (entry.index > last || !this.matches(entry.index, entry.term)) return i;
    }
    return entries.length;
  }

  /**
   * The last place up to `index` where this log can agree with one whose entry there has `term`: its
   * term here is not larger, or not known.
   */
  lastPossibleMatch(index: number, term: number): LogPosition {
    for (let at = index; at > 0; at--) {
      const ours = this.term(at);
      if (ours === undefined) return { index: at, term: 0 };
      if (ours <= term) return { index: at, term: ours };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.committed) return;
    const last = this.lastIndex();
    assert(
      index <= last,
      `entry ${index} is committed, but the log ends at ${last}: it was damaged`,
    );
    this.committed = index;
  }

  /** Commits up to `index` if that is news and the entry there is of `term`. */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || !this.matches(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /** Whether something is handed out to be written, or waits to be. */
  hasUnstable(): boolean {
    return this.unstable.entries.length > 0;
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    // A snapshot goes first: what comes before it in the log is not applied any more.
    if (this.#applyingPaused || this.unstable.snapshot !== undefined) return false;
    return this.#applying < this.#maxAppliable(allowUnstable);
  }

  /** What may be applied next. With `allowUnstable` also what is not durable here. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return nothing;
    const end = this.#maxAppliable(allowUnstable) + 1;
    const entries = this.slice(
      this.#applying + 1,
      end,
      this.#maxApplyingBytes - this.#applyingBytes,
    );
    assert(entries !== undefined, "entries were compacted before they were applied");
    return entries;
  }

  #maxAppliable(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  /** `entries` of nextCommitted are handed out. */
  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    const { index } = entries[entries.length - 1] as Entry;
    this.#applying = index;
    if (this.#maxApplyingBytes === Number.POSITIVE_INFINITY) return;
    this.#applyingBytes += encodedSizeOf(entries);
    // Handed out less than there is: the next one would have been too much.
    this.#applyingPaused =
      this.#applyingBytes >= this.#maxApplyingBytes || index < this.#maxAppliable(allowUnstable);
  }

  /** Everything up to `index` is applied; `entries` are those of it that nextCommitted gave. */
  appliedTo(index: number, entries: readonly Entry[]): void {
    assert(
      index <= this.committed && index >= this.#applied,
      `applied ${index} is not within [${this.#applied}, ${this.committed}]`,
    );
    this.#applied = index;
    this.#applying = Math.max(this.#applying, index);
    if (this.#maxApplyingBytes === Number.POSITIVE_INFINITY) return;
    this.#applyingBytes = Math.max(0, this.#applyingBytes - encodedSizeOf(entries));
    this.#applyingPaused = this.#applyingBytes >= this.#maxApplyingBytes;
  }

  /** What is committed is replaced by a leader's snapshot. */
  restore(snapshot: Snapshot): void {
    this.committed = snapshot.metadata.index;
    this.unstable.restore(snapshot);
  }

  /** What a follower gets that is too far behind; undefined while there is none. */
  snapshot(): Snapshot | undefined {
    return this.unstable.snapshot ?? this.storage.snapshotSource();
  }

  /**
   * Takes over what an earlier run made durable and applied. What is applied was committed, also when
   * the hard state that says so was not written any more.
   */
  load(hardState: HardState, applied: number): void {
    const committed = Math.max(hardState.commit, applied);
    const isNew = hardState.term === 0 && hardState.vote === 0n && committed === 0;
    assert(
      isNew || (committed >= this.committed && committed <= this.lastIndex()),
      `commit ${committed} is not within [${this.committed}, ${this.lastIndex()}]`,
    );
    if (!isNew) this.committed = committed;
    if (applied > 0) this.appliedTo(applied, nothing);
  }

  /** Entries from `index` on, at most `maxBytes` or one; undefined when they are gone. */
  entriesFrom(index: number, maxBytes: number): readonly Entry[] | undefined {
    const last = this.lastIndex();
    return index > last ? nothing : this.slice(index, last + 1, maxBytes);
  }

  /** The entries [low, high), at most `maxBytes` or one; undefined when the first ones are gone. */
  slice(low: number, high: number, maxBytes: number): readonly Entry[] | undefined {
    if (low < this.firstIndex()) return undefined;
    if (low >= high) return nothing;
    const { entries: unstable, offset } = this.unstable;
    if (low >= offset) {
      const end = endWithin(unstable, low - offset, high - offset, maxBytes);
      return unstable.slice(low - offset, end);
    }
    const cut = Math.min(high, offset);
    const stable = this.storage.entries(low, cut, maxBytes);
    if (stable === undefined || high <= offset || stable.length < cut - low) return stable;
    const left = maxBytes - encodedSizeOf(stable);
    if (left <= 0) return stable;
    const more = unstable.slice(0, endWithin(unstable, 0, high - offset, left));
    // One entry is let through whatever its size, but here there are some already.
    if (more.length === 1 && encodedSizeOf(more) > left) return stable;
    return stable.concat(more);
  }

  /** Whether what is committed and not applied holds a change of the configuration. */
  hasUnappliedConfChange(): boolean {
    return this.#hasConfChange(this.committed);
  }

  /** The same of what is handed out to be applied, and is not reported back. */
  isApplyingConfChange(): boolean {
    // A snapshot that waits was taken because there was none, and nothing is handed out after it.
    if (this.unstable.snapshot !== undefined) return false;
    return this.#hasConfChange(this.#applying);
  }

  /** Whether what is not applied holds one, up to entry `last`. */
  #hasConfChange(last: number): boolean {
    for (let low = this.#applied + 1; low <= last; ) {
      const page = this.slice(low, last + 1, this.#maxApplyingBytes);
      assert(
        page !== undefined && page.length > 0,
        "entries were compacted before they were applied",
      );
      if (page.some((entry) => entry.type !== EntryType.normal)) return true;
      low += page.length;
    }
    return false;
  }

  /**
   * Drops what is neither committed nor in the stable log; what stays and is not in the stable log is
   * handed out again. Returns what was dropped.
   */
  abandonUnstable(): readonly Entry[] {
    let durable = Math.min(this.storage.lastIndex(), this.lastIndex());
    while (durable >= this.unstable.offset && this.storage.term(durable) !== this.term(durable)) {
      durable -= 1;
    }
    const dropped = this.unstable.truncate(Math.max(durable, this.committed) + 1);
    if (this.unstable.offsetInProgress > durable + 1) {
      this.unstable.offsetInProgress = Math.max(durable + 1, this.unstable.offset);
    }
    return dropped;
  }
}
