// The multi-version store of one member: applies changes in memory, answers reads at any revision that is not
// compacted, and moves changes to the backend in batches. Synchronous but for the flush; knows no clock. The
// log makes a change durable, so what is in memory may be lost in a crash: it is applied again from the log after
// the index that the last flush recorded.

import { assert } from "../base/assert.ts";
import { latin1Bytes } from "../base/bytes.ts";
import { failpoints } from "../base/failpoint.ts";
import type { Backend, BackendSnapshot, TableName } from "../storage/backend.ts";
import type { Change, EventBatch } from "./change.ts";
import { Compactor } from "./compaction.ts";
import { readMarks, type StoreMarks } from "./export.ts";
import { flushBatch, metaKeys, uint64 } from "./flush.ts";
import { type EventsResult, eventsSince, walkHistory } from "./history.ts";
import { HistoryHasher, hashHistory, type KeyValueHash } from "./history-hash.ts";
import {
  type RangeFailure,
  type RangeOptions,
  type RangeResult,
  type RangeSummary,
  visitRange,
} from "./range.ts";
import { ReadCache } from "./read-cache.ts";
import type { BytesVisitor } from "./reader.ts";
import { type LeaseChangeListener, StoreState } from "./store-state.ts";
import { WriteTxn } from "./write-txn.ts";

export interface StoreOptions {
  /** Bound of the cache of values read from the backend. */
  readonly cacheBytes?: number;
}

export interface StoreDependencies {
  readonly backend: Backend;
}

const cacheBytesDefault = 16 * 1024 * 1024;

export class Store {
  readonly #state: StoreState;
  readonly #txn: WriteTxn;
  readonly #options: StoreOptions;
  #compactor: Compactor;
  #cache: ReadCache;
  #consistentIndex: number;
  #flushes: Promise<unknown> = Promise.resolve();
  #flushesUnderWay = 0;
  /** Called at the end of every command that changed something, before `end` returns. */
  onEvents: ((batch: EventBatch) => void) | undefined;
  /** Called when the store has gone over to another database, for whoever mirrors something of it. */
  onAdopted: ((backend: Backend) => void) | undefined;

  /** Costs the same whatever the number of keys. */
  static open(options: StoreOptions, { backend }: StoreDependencies): Store {
    return new Store(options, backend);
  }

  private constructor(options: StoreOptions, backend: Backend) {
    this.#options = options;
    const marks = readMarks(backend);
    this.#consistentIndex = marks.consistentIndex;
    this.#state = new StoreState(backend, marks.revision, marks.scheduledCompaction);
    this.#txn = new WriteTxn(this.#state, (changes) => this.#finish(changes));
    this.#compactor = this.#openCompactor(marks);
    this.#cache = this.#openCache();
  }

  /**
   * Goes on with another database, whose state lies at or after this one's in the log: everything is read anew, and
   * what was not flushed is dropped. No flush may be under way (`whenFlushed`). The old database is the caller's to
   * close; no compaction or read touches it any more.
   */
  adopt(backend: Backend): void {
    assert(!this.#txn.isOpen, "a database was changed within a write transaction");
    assert(!this.isFlushing, "a database was changed during a flush");
    const marks = readMarks(backend);
    assert(marks.consistentIndex >= this.#consistentIndex, "a database went back in the log");
    this.#state.adopt(backend, marks.revision, marks.scheduledCompaction);
    this.#consistentIndex = marks.consistentIndex;
    this.#compactor = this.#openCompactor(marks);
    this.#cache = this.#openCache();
    this.onAdopted?.(backend);
  }

  #openCompactor({ scheduledCompaction: scheduled, finishedCompaction: finished }: StoreMarks) {
    const compactor = new Compactor(this.#state, finished);
    if (scheduled > finished) compactor.schedule(scheduled, finished, false);
    return compactor;
  }

  #openCache(): ReadCache {
    return new ReadCache(this.#options.cacheBytes ?? cacheBytesDefault);
  }

  get currentRevision(): number {
    return this.#state.currentRevision;
  }

  /** Revisions below can no longer be read; -1 before the first compaction. */
  get compactRevision(): number {
    return this.#state.compactRevision;
  }

  /** The log index whose effects, and those of all before, are durable in the backend. */
  get consistentIndex(): number {
    return this.#consistentIndex;
  }

  /** Live keys. */
  get keyCount(): number {
    return this.#state.counts.total;
  }

  /** Memory held by changes that are not yet in the backend, about. */
  get overlayBytes(): number {
    let bytes = 0;
    for (const generation of this.#state.reader.generations) bytes += generation.bytes;
    return bytes;
  }

  /** Changes that wait for the next flush. */
  get pendingChanges(): number {
    return this.#state.active.changes.length;
  }

  /** Whether a flush would write anything but an index. */
  get dirty(): boolean {
    return !this.#state.active.isEmpty || this.#state.closed.length > 0;
  }

  set onLeaseChange(listener: LeaseChangeListener | undefined) {
    this.#state.onLeaseChange = listener;
  }

  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    return this.#state.backend.size();
  }

  /** Begins the changes of one command. One at a time; `end` must be called in the same turn. */
  begin(): WriteTxn {
    return this.#txn.open();
  }

  /** The encoded KeyValue of a live key. The bytes must not be changed. */
  getCurrent(key: Buffer): Uint8Array | undefined {
    return this.getCurrentText(key.latin1Slice(0, key.length));
  }

  /** As `getCurrent`, for a key made by latin1Key. */
  getCurrentText(keyText: string): Uint8Array | undefined {
    const { reader } = this.#state;
    for (const generation of reader.generations) {
      const change = generation.newest.get(keyText);
      if (change) return change.isTombstone ? undefined : change.bytes;
    }
    const cached = this.#cache.get(keyText);
    if (cached) return cached;
    const meta = reader.current.get(keyText);
    if (!meta) return undefined;
    const bytes = reader.load(meta) as Uint8Array;
    this.#cache.put(keyText, bytes);
    return bytes;
  }

  range(options: RangeOptions): RangeResult {
    const kvs: Uint8Array[] = [];
    const summary = this.visitRange(options, (source, start, end) => {
      kvs.push(Buffer.from(source.subarray(start, end)));
    });
    return "error" in summary ? summary : { ...summary, kvs };
  }

  /** As `range`, handing over each KeyValue without a copy; the bytes are valid only during the call. */
  visitRange(options: RangeOptions, visit: BytesVisitor): RangeSummary | RangeFailure {
    return visitRange(this.#state, options, visit);
  }

  /** Events of whole revisions, in order, from `revision` on: about `limitBytes`, at least one revision's. */
  eventsSince(revision: number, limitBytes: number): EventsResult {
    return eventsSince(this.#state, revision, limitBytes);
  }

  /** Makes revisions below `revision` unreadable at once; `compactionStep` frees their space. */
  compact(revision: number): { readonly error?: "compacted" | "future" } {
    const state = this.#state;
    const previous = state.compactRevision;
    if (revision <= previous) return { error: "compacted" };
    if (revision > state.currentRevision) return { error: "future" };
    assert(!this.#txn.isOpen, "a compaction came within a write transaction");
    failpoints.compactBeforeCommitScheduledCompact?.reachNow();
    state.compactRevision = revision;
    state.active.stage("meta", metaKeys.scheduledCompaction, uint64(revision));
    this.#compactor.schedule(revision, previous, true);
    failpoints.compactAfterCommitScheduledCompact?.reachNow();
    return {};
  }

  /**
   * A bounded piece of compaction work; true while there is more to do. Work may have to wait for a flush or for
   * its last piece to reach the disk: then it does nothing, so call it again later rather than at once.
   */
  compactionStep(): boolean {
    return this.#compactor.step();
  }

  /** The hash of all changes up to `revision` (0: the current one), as etcd's HashKV. Reads the whole history. */
  hashKv(revision: number): KeyValueHash | { readonly error: "compacted" | "future" } {
    const state = this.#state;
    const known = this.#compactor.hashes.find((hash) => hash.revision === revision);
    if (known) return known;
    if (revision > 0 && revision < state.compactRevision) return { error: "compacted" };
    if (revision > state.currentRevision) return { error: "future" };
    const upTo = revision > 0 ? revision : state.currentRevision;
    return hashHistory(state, upTo, this.#compactor.finishedRevision);
  }

  /** A hash of everything kept, for tests: unlike hashKv it depends on how far compaction has come. */
  hash(): number {
    const hasher = new HistoryHasher();
    walkHistory(this.#state, 0, this.currentRevision, (change, source, start, end) => {
      hasher.add(change.main, change.sub, change.isTombstone, source, start, end);
      return undefined;
    });
    return hasher.finish();
  }

  /** A row that reaches the backend with the flush that covers this command; undefined deletes it. */
  stage(table: TableName, key: Uint8Array, value: Uint8Array | undefined): void {
    const bytes = Buffer.from(key.buffer as ArrayBuffer, key.byteOffset, key.length);
    this.#state.active.stage(table, bytes, value);
  }

  setMeta(key: string, value: Uint8Array): void {
    this.stage("meta", latin1Bytes(key), value);
  }

  getMeta(key: string): Uint8Array | undefined {
    const bytes = latin1Bytes(key);
    for (const generation of this.#state.reader.generations) {
      const row = generation.stagedRow("meta", bytes);
      if (row) return row.value;
    }
    return this.#state.backend.get("meta", bytes);
  }

  /**
   * Commits everything applied so far to the backend, with `index` as the log index that it reflects. Resolves
   * to the index that is durable then. Flushes queue behind one another. Rejects with a StatusError when the
   * disk fails or is full; nothing is lost then, and the next flush tries again.
   */
  flush(index: number): Promise<number> {
    assert(!this.#txn.isOpen, "a flush came within a write transaction");
    const { closed, active } = this.#state;
    const covered = closed[closed.length - 1]?.index ?? this.#consistentIndex;
    assert(index >= covered, "a flush went back in the log");
    if (!active.isEmpty || index > covered) this.#state.turn(index);
    this.#flushesUnderWay++;
    const flushed = this.#flushes
      .then(() => this.#drain())
      .finally(() => {
        this.#flushesUnderWay--;
      });
    this.#flushes = flushed.catch(() => {});
    return flushed;
  }

  get isFlushing(): boolean {
    return this.#flushesUnderWay > 0;
  }

  /** Resolves when the flushes asked for so far have ended, however they did. */
  async whenFlushed(): Promise<void> {
    await this.#flushes;
  }

  /** The state as of the last flush: what it did not cover is not in it. */
  snapshot(): BackendSnapshot {
    return this.#state.backend.snapshot();
  }

  async #drain(): Promise<number> {
    const state = this.#state;
    for (let oldest = state.closed[0]; oldest; oldest = state.closed[0]) {
      const { generation, index, revision } = oldest;
      const onVisible = () => {
        state.dropOldest();
        state.flushedRevision = revision;
        this.#consistentIndex = index;
        this.#cache.drop(generation.newest.keys());
      };
      failpoints.commitBeforePreCommitHook?.reachNow();
      const batch = flushBatch(state, oldest);
      failpoints.commitAfterPreCommitHook?.reachNow();
      await state.backend.commit(batch, onVisible);
    }
    return this.#consistentIndex;
  }

  /** The database that it works on; it belongs to the store's owner. */
  get backend(): Backend {
    return this.#state.backend;
  }

  /** Finishes flushes under way. What was not flushed is in the log. */
  async close(): Promise<void> {
    await this.#flushes;
    await this.#state.backend.close();
  }

  #finish(changes: Change[]): void {
    if (changes.length === 0) return;
    const state = this.#state;
    state.currentRevision++;
    this.onEvents?.({ revision: state.currentRevision, events: changes });
  }
}
