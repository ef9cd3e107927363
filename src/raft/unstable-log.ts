// The end of the log that is not known to be durable: entries, and perhaps a snapshot that comes
// before them. A part of it may be in progress, that is handed out to be written; the rest is handed
// out next. Entry `i` is at `entries[i - offset]`; `offset` may lie before the end of the stable log,
// which is then to be overwritten from there on.

import { assert } from "../base/assert.ts";
import type { Snapshot } from "./message.ts";
import type { Entry, Proposal } from "./types.ts";

const nothing: readonly Entry[] = [];

export class UnstableLog {
  entries: Entry[] = [];
  offset: number;
  /** Entries before this index are being written. */
  offsetInProgress: number;
  snapshot: Snapshot | undefined;
  #snapshotInProgress = false;

  constructor(offset: number) {
    this.offset = offset;
    this.offsetInProgress = offset;
  }

  /** The end of the log as far as it is decided here, or undefined when it is the stable log's. */
  lastIndex(): number | undefined {
    if (this.entries.length > 0) return this.offset + this.entries.length - 1;
    return this.snapshot?.metadata.index;
  }

  /** Of an entry that is here, or of the snapshot. */
  term(index: number): number | undefined {
    if (index >= this.offset) return this.entries[index - this.offset]?.term;
    const metadata = this.snapshot?.metadata;
    return metadata?.index === index ? metadata.term : undefined;
  }

  hasNext(): boolean {
    return this.entries.length > this.offsetInProgress - this.offset;
  }

  /** The entries that are not being written yet. The array is the caller's own. */
  next(): readonly Entry[] {
    return this.hasNext() ? this.entries.slice(this.offsetInProgress - this.offset) : nothing;
  }

  nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.snapshot;
  }

  /** All that is here has been handed out. */
  accept(): void {
    if (this.entries.length > 0) this.offsetInProgress = this.offset + this.entries.length;
    if (this.snapshot !== undefined) this.#snapshotInProgress = true;
  }

  /**
   * Entries up to this one are durable and can not be overwritten by a write under way. Has no effect
   * when the entry is not here, or is another one by now.
   */
  stableTo(index: number, term: number): void {
    if (index < this.offset || this.term(index) !== term) return;
    const count = index + 1 - this.offset;
    if (count === this.entries.length) this.entries = [];
    else this.entries.splice(0, count);
    this.offset = index + 1;
    if (this.offsetInProgress < this.offset) this.offsetInProgress = this.offset;
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot?.metadata.index !== index) return;
    this.snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  /** Everything up to the snapshot is replaced by it. */
  restore(snapshot: Snapshot): void {
    this.offset = snapshot.metadata.index + 1;
    this.offsetInProgress = this.offset;
    this.entries = [];
    this.snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Adds entries[start, end), which may replace the end of what is here, or all of it. */
  append(entries: readonly Entry[], start: number): void {
    const from = (entries[start] as Entry).index;
    if (from <= this.offset && this.entries.length > 0) this.entries = [];
    if (from <= this.offset) {
      this.offset = from;
      this.offsetInProgress = from;
    } else {
      assert(from <= this.offset + this.entries.length, `entry ${from} leaves a gap`);
      this.truncate(from);
    }
    for (let i = start; i < entries.length; i++) this.entries.push(entries[i] as Entry);
  }

  /** Adds proposals as the entries from `firstIndex` on, which is the end of the log. */
  appendProposals(term: number, firstIndex: number, proposals: readonly Proposal[]): void {
    if (this.entries.length === 0) {
      this.offset = firstIndex;
      this.offsetInProgress = firstIndex;
    }
    for (let i = 0; i < proposals.length; i++) {
      const { type, data } = proposals[i] as Proposal;
      this.entries.push({ term, index: firstIndex + i, type, data });
    }
  }

  /** Drops the entries from `from` on, written or not, and returns them. */
  truncate(from: number): readonly Entry[] {
    if (from >= this.offset + this.entries.length) return nothing;
    if (this.offsetInProgress > from) this.offsetInProgress = from;
    return this.entries.splice(from - this.offset);
  }
}
