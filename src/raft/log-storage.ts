// The stable part of the log, in memory: what the node has made durable and the core may rely on.
// It holds the entries after a compaction point without gaps, and the term of the last one before
// them. Pure; the node writes here after its disk, never before.

import { assert } from "../base/assert.ts";
import { endWithin } from "./entry-size.ts";
import type { ConfState, Snapshot, SnapshotMetadata } from "./message.ts";
import type { Entry, HardState } from "./types.ts";

export interface InitialLog {
  readonly hardState: HardState;
  /**
   * What the entries come after; index 0 for a log that begins at its beginning. Its configuration is
   * the one in force when everything up to RaftConfig.applied is applied.
   */
  readonly snapshot: SnapshotMetadata;
  readonly entries: readonly Entry[];
}

/** Forgotten entries are cut off the array's front when there are this many, and half of it is. */
const minForgotten = 1024;

const emptyHardState: HardState = { term: 0, vote: 0n, commit: 0 };
const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};
/** Stands where a forgotten entry was, so that its payload can be collected. */
const forgotten: Entry = { term: 0, index: 0, type: 0, data: new Uint8Array(0) };

export class LogStorage {
  /** Entry `i` is at `#entries[#forgotten + i - #baseIndex - 1]`. */
  #entries: Entry[];
  #forgotten = 0;
  /** The last entry that is gone, and its term. */
  #baseIndex: number;
  #baseTerm: number;
  #hardState: HardState;
  #confState: ConfState;
  #entryBytes = 0;

  /**
   * What a follower gets that needs entries which are gone; undefined while there is none at hand.
   * The node supplies it.
   */
  snapshotSource: () => Snapshot | undefined = () => undefined;

  constructor(initial?: InitialLog) {
    this.#hardState = initial?.hardState ?? emptyHardState;
    this.#confState = initial?.snapshot.confState ?? emptyConfState;
    this.#baseIndex = initial?.snapshot.index ?? 0;
    this.#baseTerm = initial?.snapshot.term ?? 0;
    this.#entries = [];
    if (initial !== undefined) this.append(initial.entries);
  }

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#confState };
  }

  /** The first entry that is here, or would be if there is none. */
  firstIndex(): number {
    return this.#baseIndex + 1;
  }

  lastIndex(): number {
    return this.#baseIndex + this.#entries.length - this.#forgotten;
  }

  /** Bytes of payload that the entries hold. */
  get entryBytes(): number {
    return this.#entryBytes;
  }

  /** Known from the entry before the first one up to the last one, else undefined. */
  term(index: number): number | undefined {
    if (index === this.#baseIndex) return this.#baseTerm;
    if (index < this.#baseIndex) return undefined;
    return this.#entries[this.#forgotten + index - this.#baseIndex - 1]?.term;
  }

  /**
   * The entries [low, high), cut before they encode to more than `maxBytes`, but not before the first.
   * Undefined when the first ones are gone. The array is the caller's own.
   */
  entries(low: number, high: number, maxBytes: number): readonly Entry[] | undefined {
    if (low <= this.#baseIndex) return undefined;
    assert(high <= this.lastIndex() + 1, `entry ${high - 1} is past the end of the log`);
    const shift = this.#forgotten - this.#baseIndex - 1;
    const end = endWithin(this.#entries, low + shift, high + shift, maxBytes);
    return this.#entries.slice(low + shift, end);
  }

  /** Adds durable entries; those that were at or after the first one's index are replaced. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const last = this.lastIndex();
    assert(first.index <= last + 1, `entry ${first.index} leaves a gap after ${last}`);
    if (first.index <= last) this.#truncate(Math.max(first.index, this.#baseIndex + 1));
    const skipped = Math.max(0, this.#baseIndex + 1 - first.index);
    let bytes = 0;
    for (let i = skipped; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      bytes += entry.data.length;
      this.#entries.push(entry);
    }
    this.#entryBytes += bytes;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Everything before and at the snapshot is gone, and everything after it. */
  applySnapshot(snapshot: Snapshot): void {
    const { index, term, confState } = snapshot.metadata;
    assert(index >= this.#baseIndex, `snapshot ${index} is older than ${this.#baseIndex}`);
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#confState = confState;
    this.#entries = [];
    this.#forgotten = 0;
    this.#entryBytes = 0;
  }

  /**
   * Forgets the entries up to `index`, which are applied and kept elsewhere. Costs as much as it
   * forgets, not as much as there is.
   */
  compact(index: number): void {
    if (index <= this.#baseIndex) return;
    assert(index <= this.lastIndex(), `entry ${index} is past the end of the log`);
    const end = this.#forgotten + index - this.#baseIndex;
    this.#baseTerm = (this.#entries[end - 1] as Entry).term;
    for (let i = this.#forgotten; i < end; i++) {
      this.#entryBytes -= (this.#entries[i] as Entry).data.length;
      this.#entries[i] = forgotten;
    }
    this.#baseIndex = index;
    this.#forgotten = end;
    if (end === this.#entries.length) {
      this.#entries = [];
      this.#forgotten = 0;
    } else if (end >= minForgotten && end * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(end);
      this.#forgotten = 0;
    }
  }

  #truncate(from: number): void {
    const length = this.#forgotten + from - this.#baseIndex - 1;
    for (let i = length; i < this.#entries.length; i++) {
      this.#entryBytes -= (this.#entries[i] as Entry).data.length;
    }
    this.#entries.length = length;
  }
}
