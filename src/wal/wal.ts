// The log on disk, in etcd's format: what makes a write durable. Everything handed in while a disk write is under
// way is encoded at once and goes out with the next: one write, durable when it resolves, per batch.
// Invariant: position, checksum and last index are those of what is durable; a batch that fails changes none.

import { dirname, join } from "node:path";
import { assert } from "../base/assert.ts";
import { failpoints } from "../base/failpoint.ts";
import { Status, StatusError } from "../base/status.ts";
import type { Disk } from "../io/disk.ts";
import { isNoSpace, WalFailedError, WalFullError } from "./errors.ts";
import {
  type SegmentName,
  segmentBytesDefault,
  segmentFileName,
  type WalEntry,
  type WalHardState,
  type WalMetadata,
  type WalSnapshot,
} from "./format.ts";
import { RecordEncoder } from "./record-encoder.ts";
import {
  listSegments,
  recover,
  type WalRecovered,
  type WalStart,
  type WalTail,
} from "./recover.ts";
import { SegmentFile } from "./segment-file.ts";

export { WalCorruptError, WalFailedError, WalFullError } from "./errors.ts";
export type { WalEntry, WalHardState, WalSnapshot } from "./format.ts";
export type { WalRecovered, WalStart } from "./recover.ts";

export interface WalOptions {
  readonly folder: string;
  /** A segment that reaches this size is followed by a new one; 64 MB unless a test wants less. */
  readonly segmentBytes?: number | undefined;
  /** Segments that `release` leaves at least, for those who read the log's past; 1 unless told. 0: all. */
  readonly keptSegments?: number | undefined;
}

export interface WalDependencies {
  readonly disk: Disk;
}

/** Zeros laid before a new log is ready; more follow as it grows. */
const firstFillBytes = 256 * 1024;

/** What becomes durable with one write. */
interface Batch {
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Wal {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #keptSegments: number;
  readonly #metadata: WalMetadata;
  readonly #segments: SegmentName[];
  #tail: SegmentFile;
  #position: number;
  #crc: number;
  #lastIndex: number;
  #snapshotIndex: number;
  #hardState: WalHardState | undefined;

  /** Takes new records while `#writing` is on its way to the disk. */
  #staging = new RecordEncoder();
  #writing = new RecordEncoder();
  #stagedLastIndex: number;
  #stagedSnapshotIndex: number;
  #stagedState: WalHardState | undefined;
  /** Handed in without mustSync: goes out with the next write. */
  #deferredState: WalHardState | undefined;
  /** What is staged begins a new segment (and already holds its head). */
  #stagedCuts = false;

  #current: Batch | undefined;
  #next: Batch | undefined;
  #spare: Promise<SegmentFile> | undefined;
  #spareFailed = false;
  #finishing: Promise<void> = Promise.resolve();
  #failure: WalFailedError | undefined;
  #closed = false;

  private constructor(
    options: WalOptions,
    dependencies: WalDependencies,
    metadata: WalMetadata,
    state: { tail: SegmentFile; at: WalTail; recovered: WalRecovered | undefined },
  ) {
    this.#disk = dependencies.disk;
    this.#folder = options.folder;
    this.#segmentBytes = options.segmentBytes ?? segmentBytesDefault;
    this.#keptSegments = options.keptSegments ?? 1;
    this.#metadata = metadata;
    this.#segments = [...state.at.segments];
    this.#tail = state.tail;
    this.#position = state.at.position;
    this.#crc = state.at.crc;
    this.#lastIndex = state.recovered?.lastIndex ?? 0;
    this.#snapshotIndex = state.recovered?.snapshot.index ?? 0;
    this.#hardState = state.recovered?.hardState;
    this.#stagedLastIndex = this.#lastIndex;
    this.#stagedSnapshotIndex = this.#snapshotIndex;
    this.#restage(this.#position >= this.#segmentBytes);
  }

  /** True when the folder holds a log. */
  static async exists(folder: string, dependencies: WalDependencies): Promise<boolean> {
    return (await listSegments(dependencies.disk, folder)).length > 0;
  }

  /** Makes a new log; it appears in `folder` complete or, after a crash, not at all. */
  static async create(
    options: WalOptions & { readonly nodeId: bigint; readonly clusterId: bigint },
    dependencies: WalDependencies,
  ): Promise<Wal> {
    const { disk } = dependencies;
    const { folder, nodeId, clusterId } = options;
    if (await Wal.exists(folder, dependencies)) {
      throw new StatusError(Status.ALREADY_EXISTS, `Cannot create a log: ${folder} holds one`);
    }
    const building = `${folder}.tmp`;
    await disk.remove(building);
    await disk.makeFolder(building);
    const name = { sequence: 0, firstIndex: 0 };
    const fileName = segmentFileName(0, 0);
    const head = new RecordEncoder();
    head.openingCrc();
    head.metadata({ nodeId, clusterId });
    head.snapshot({ index: 0, term: 0, confState: Buffer.alloc(0) });
    const tail = await SegmentFile.create(disk, join(building, fileName), firstFillBytes);
    try {
      await tail.write(head.buffer, head.length, 0);
      await disk.syncFolder(building);
      await disk.remove(folder);
      await disk.rename(building, folder);
      await disk.syncFolder(dirname(folder));
    } catch (error) {
      await tail.close();
      throw error;
    }
    tail.path = join(folder, fileName);
    const at = { segments: [name], position: head.length, garbageEnd: 0, crc: head.crc };
    return new Wal(
      options,
      dependencies,
      { nodeId, clusterId },
      { tail, at, recovered: undefined },
    );
  }

  /**
   * Opens an existing log for appending and returns what it holds. A torn last write is wiped out; any other
   * mismatch rejects with WalCorruptError and changes nothing. Without `from`, all retained entries are returned.
   */
  static async open(
    options: WalOptions & { readonly from?: WalStart | undefined },
    dependencies: WalDependencies,
  ): Promise<{ wal: Wal; recovered: WalRecovered }> {
    const { disk } = dependencies;
    const { folder } = options;
    const { recovered, tail: at } = await recover(disk, folder, options.from);
    for (const name of await disk.list(folder)) {
      if (name.endsWith(".tmp")) await disk.remove(join(folder, name));
    }
    const last = at.segments[at.segments.length - 1] as SegmentName;
    const path = join(folder, segmentFileName(last.sequence, last.firstIndex));
    const tail = await SegmentFile.open(disk, path);
    if (at.garbageEnd > at.position) await tail.erase(at.position, at.garbageEnd);
    const wal = new Wal(options, dependencies, recovered, { tail, at, recovered });
    return { wal, recovered };
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  /** Index of the last durable entry. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  /** Bytes in use: full segments count whole. */
  get sizeBytes(): number {
    return (this.#segments.length - 1) * this.#segmentBytes + this.#position;
  }

  /**
   * Resolves when the entries, and the hard state if given, are durable. Entries with an index that is there
   * already replace it and all after it. Calls made while a write is under way share the next one.
   * A hard state alone may go without `mustSync`: it resolves at once and is written with what comes next.
   *
   * Rejects with WalFullError: nothing of it, nor of other calls that waited, is in the log; append again later.
   * Rejects with WalFailedError: the disk failed, what is on it is unknown, and the log takes nothing more.
   */
  append(
    entries: readonly WalEntry[],
    hardState: WalHardState | undefined,
    mustSync: boolean,
  ): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    assert(!this.#closed, "append to a closed log");
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as WalEntry;
      this.add(entry.term, entry.index, entry.type, entry.data, 0, entry.data.length);
    }
    if (hardState !== undefined) {
      const promised = mustSync || entries.length > 0;
      if (promised || this.#stagedState !== undefined) this.#stagedState = hardState;
      if (!promised) this.#deferredState = hardState;
    }
    if (!mustSync && entries.length === 0) return Promise.resolve();
    return this.#flush();
  }

  /** Encodes one entry, data source[start, end), into the batch that the next `append` (an empty one will do) writes. */
  add(
    term: number,
    index: number,
    type: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    assert(index <= this.#stagedLastIndex + 1, "the log has no gaps");
    this.#staging.entry(term, index, type, source, start, end);
    this.#stagedLastIndex = index;
  }

  /** Notes durably that everything up to this entry is kept elsewhere; `release` goes no further than the newest. */
  saveSnapshot(snapshot: WalSnapshot): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    assert(!this.#closed, "saveSnapshot on a closed log");
    this.#staging.snapshot(snapshot);
    this.#stagedLastIndex = Math.max(this.#stagedLastIndex, snapshot.index);
    this.#stagedSnapshotIndex = Math.max(this.#stagedSnapshotIndex, snapshot.index);
    return this.#flush();
  }

  /**
   * Removes segments that are not needed to read on from `index`, or from the newest saved snapshot if that is
   * earlier. The last segments stay, as many as were asked for, and one at least.
   */
  async release(index: number): Promise<void> {
    if (this.#keptSegments === 0) return;
    const limit = Math.min(index, this.#snapshotIndex);
    let removed = 0;
    while (
      this.#segments.length > this.#keptSegments &&
      (this.#segments[1] as SegmentName).firstIndex <= limit
    ) {
      const { sequence, firstIndex } = this.#segments.shift() as SegmentName;
      await this.#finishing; // the file may still be being cut
      await this.#disk.remove(join(this.#folder, segmentFileName(sequence, firstIndex)));
      removed++;
    }
    if (removed > 0) await this.#disk.syncFolder(this.#folder);
  }

  /** Writes what was deferred, waits for the disk, and closes. Later calls are bugs, except another close. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#deferredState !== undefined && this.#failure === undefined) {
      await this.#flush().catch(() => undefined); // a deferred hard state is not promised to anyone
    }
    this.#closed = true;
    while (this.#current !== undefined) await this.#current.done.catch(() => undefined);
    await this.#finishing;
    await this.#tail.close();
    const spare = await this.#spare?.catch(() => undefined);
    if (spare === undefined) return;
    await spare.close();
    await this.#disk.remove(spare.path);
  }

  #flush(): Promise<void> {
    this.#next ??= makeBatch();
    const { done } = this.#next;
    if (this.#current === undefined) this.#writeNext();
    return done;
  }

  /** Swaps the encoders and writes what was staged. */
  #writeNext(): void {
    const state = this.#stagedState ?? this.#deferredState;
    if (state !== undefined) this.#staging.hardState(state);
    const writing = this.#staging;
    this.#staging = this.#writing;
    this.#writing = writing;
    this.#current = this.#next;
    this.#next = undefined;
    const batch: InFlight = {
      cuts: this.#stagedCuts,
      end: (this.#stagedCuts ? 0 : this.#position) + writing.length,
      crc: writing.crc,
      lastIndex: this.#stagedLastIndex,
      snapshotIndex: this.#stagedSnapshotIndex,
      hardState: state ?? this.#hardState,
      deferred: this.#deferredState,
    };
    this.#stagedState = undefined;
    // What is staged from now on follows this batch: in a new segment when this one is then full.
    this.#stageHead(batch.crc, batch.end >= this.#segmentBytes, batch.hardState);
    this.#write(writing, batch).then(
      () => this.#succeed(batch),
      (error: unknown) => this.#fail(error, batch),
    );
  }

  async #write(records: RecordEncoder, batch: InFlight): Promise<void> {
    if (batch.cuts) return this.#cut(records);
    if (this.#tail.zeroedTo < batch.end) await this.#tail.ensure(batch.end);
    if (failpoints.walBeforeSync !== undefined) await failpoints.walBeforeSync.reach();
    await this.#tail.write(records.buffer, records.length, this.#position);
    if (failpoints.walAfterSync !== undefined) await failpoints.walAfterSync.reach();
  }

  /** Writes the batch as the beginning of a new segment, which appears under its name when it is durable. */
  async #cut(records: RecordEncoder): Promise<void> {
    const file = await this.#takeSpare();
    const last = this.#segments[this.#segments.length - 1] as SegmentName;
    const name = { sequence: last.sequence + 1, firstIndex: this.#lastIndex + 1 };
    const path = join(this.#folder, segmentFileName(name.sequence, name.firstIndex));
    try {
      await file.ensure(records.length);
      await file.write(records.buffer, records.length, 0);
      await this.#disk.rename(file.path, path);
      await this.#disk.syncFolder(this.#folder);
    } catch (error) {
      await file.close();
      await this.#disk.remove(file.path);
      throw error;
    }
    file.path = path;
    const finished = this.#tail;
    const finishedBytes = this.#position;
    this.#tail = file;
    this.#segments.push(name);
    // Zeros behind a finished segment do no harm, so it does not matter whether this succeeds.
    this.#finishing = this.#finishing
      .then(() => finished.finish(finishedBytes))
      .catch(() => undefined);
  }

  #succeed(batch: InFlight): void {
    this.#position = batch.end;
    this.#crc = batch.crc;
    this.#lastIndex = batch.lastIndex;
    this.#snapshotIndex = batch.snapshotIndex;
    this.#hardState = batch.hardState;
    if (this.#deferredState === batch.deferred) this.#deferredState = undefined;
    this.#layAhead();
    const { resolve } = this.#current as Batch;
    this.#current = undefined;
    if (this.#next !== undefined) this.#writeNext();
    resolve();
  }

  async #fail(error: unknown, batch: InFlight): Promise<void> {
    let failure: Error = new WalFullError(this.#tail.path, error);
    try {
      if (!isNoSpace(error)) throw error;
      // Whatever of the batch got into the file must not be found when it is opened again.
      if (!batch.cuts) {
        await this.#tail.erase(this.#position, Math.min(batch.end, this.#tail.zeroedTo));
      }
    } catch (cause) {
      this.#failure = new WalFailedError(this.#tail.path, cause);
      failure = this.#failure;
    }
    this.#stagedLastIndex = this.#lastIndex;
    this.#stagedSnapshotIndex = this.#snapshotIndex;
    this.#stagedState = undefined;
    this.#restage(batch.cuts);
    const current = this.#current as Batch;
    const next = this.#next;
    this.#current = undefined;
    this.#next = undefined;
    current.reject(failure);
    next?.reject(failure);
  }

  /** Starts staging anew behind what is durable. */
  #restage(cuts: boolean): void {
    this.#stageHead(this.#crc, cuts, this.#hardState);
  }

  #stageHead(crc: number, cuts: boolean, hardState: WalHardState | undefined): void {
    const staging = this.#staging;
    staging.reset(crc);
    this.#stagedCuts = cuts;
    if (!cuts) return;
    staging.openingCrc();
    staging.metadata(this.#metadata);
    if (hardState !== undefined) staging.hardState(hardState);
  }

  /**
   * Keeps zeros ahead of the log: a young segment grows by four as it fills, and the next segment is made when this
   * one is half full. A member that writes little costs the disk little.
   */
  #layAhead(): void {
    const { zeroedTo } = this.#tail;
    if (this.#position > zeroedTo / 2) {
      this.#tail.fillTo(Math.min(this.#segmentBytes, zeroedTo * 4));
    }
    if (this.#position < this.#segmentBytes / 2 || this.#closed) return;
    if (this.#spare !== undefined || this.#spareFailed) return;
    this.#spare = this.#makeSpare(this.#segmentBytes);
    this.#spare.catch(() => {
      this.#spare = undefined;
      this.#spareFailed = true; // tried again when it is needed
    });
  }

  async #takeSpare(): Promise<SegmentFile> {
    const ready = await this.#spare?.catch(() => undefined);
    this.#spare = undefined;
    this.#spareFailed = false;
    return ready ?? this.#makeSpare(firstFillBytes);
  }

  async #makeSpare(sizeBytes: number): Promise<SegmentFile> {
    const last = this.#segments[this.#segments.length - 1] as SegmentName;
    const path = join(this.#folder, `${(last.sequence + 1) % 2}.tmp`);
    await this.#disk.remove(path);
    return SegmentFile.create(this.#disk, path, sizeBytes);
  }
}

/** What will be true when the batch under way is durable. */
interface InFlight {
  readonly cuts: boolean;
  readonly end: number;
  readonly crc: number;
  readonly lastIndex: number;
  readonly snapshotIndex: number;
  readonly hardState: WalHardState | undefined;
  readonly deferred: WalHardState | undefined;
}

function makeBatch(): Batch {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const done = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { done, resolve, reject };
}
