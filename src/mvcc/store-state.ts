// What the parts of the store share: the numbers, the generations in memory and the readers of the tables.

import type { Backend } from "../storage/backend.ts";
import { KeyValueView } from "../wire/key-value.ts";
import { Generation, type StagedRow } from "./generation.ts";
import { walkHistory } from "./history.ts";
import { KeyCounts } from "./key-counts.ts";
import { Reader } from "./reader.ts";

/** Beyond this, walking the range is likely cheaper. */
const changesLookedAtMax = 2000;

/** Told when a put or delete takes a key from one lease to another; 0 is none. The key is valid during the call. */
export type LeaseChangeListener = (key: Buffer, oldLease: bigint, newLease: bigint) => void;

export class StoreState {
  backend: Backend;
  reader: Reader;
  counts: KeyCounts;
  currentRevision: number;
  /** Revisions below are gone; -1 before the first compaction, as in etcd. */
  compactRevision: number;
  /** All changes up to this revision are in the backend. */
  flushedRevision: number;
  onLeaseChange: LeaseChangeListener | undefined;
  active: Generation;
  /** Closed for writing, on their way to the backend, oldest first. */
  closed: ClosedGeneration[] = [];

  constructor(backend: Backend, revision: number, compactRevision: number) {
    this.backend = backend;
    this.reader = new Reader(backend);
    this.counts = new KeyCounts(backend);
    this.currentRevision = revision;
    this.flushedRevision = revision;
    this.compactRevision = compactRevision;
    this.active = new Generation(this.reader);
    this.reader.generations = [this.active];
  }

  /** Goes on with another database; whatever was in memory is gone. */
  adopt(backend: Backend, revision: number, compactRevision: number): void {
    this.backend = backend;
    this.reader = new Reader(backend);
    this.counts = new KeyCounts(backend);
    this.currentRevision = revision;
    this.flushedRevision = revision;
    this.compactRevision = compactRevision;
    this.closed = [];
    this.active = new Generation(this.reader);
    this.reader.generations = [this.active];
  }

  /** Closes the active generation, which reflects the log up to `index`, and opens the next. */
  turn(index: number): void {
    const generation = this.active;
    this.counts.balance((start, end, visit) => this.reader.walk(start, end, visit));
    const counts = this.counts.takeChanged();
    this.closed.push({ generation, counts, index, revision: this.currentRevision });
    this.active = new Generation(this.reader);
    this.#list();
  }

  /** The keys changed after `revision`; undefined when they are many. */
  changedSince(revision: number): ReadonlySet<string> | undefined {
    if (this.currentRevision - revision > changesLookedAtMax) return undefined;
    const keys = new Set<string>();
    const view = new KeyValueView();
    let count = 0;
    walkHistory(this, revision + 1, this.currentRevision, (_, source, start, end) => {
      const { keyStart, keyEnd } = view.read(source, start, end);
      keys.add(source.latin1Slice(keyStart, keyEnd));
      return ++count <= changesLookedAtMax;
    });
    return count <= changesLookedAtMax ? keys : undefined;
  }

  /** Forgets the oldest closed generation, which is in the backend now. */
  dropOldest(): void {
    this.closed.shift();
    this.#list();
  }

  #list(): void {
    const closed = this.closed.map(({ generation }) => generation).reverse();
    this.reader.generations = [this.active, ...closed];
  }
}

/** A generation with the numbers that were true when it was closed. */
export interface ClosedGeneration {
  readonly generation: Generation;
  readonly counts: readonly StagedRow[];
  readonly index: number;
  readonly revision: number;
}
