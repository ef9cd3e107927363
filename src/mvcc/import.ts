// Builds a database from the rows of etcd's bucket `key`, given in revision order: the same tables, row for row in
// the same formats, as if every change had been applied and flushed. Memory is bounded by the keys of one group of
// rows; each group's keys are written in key order, in small commits.
// Refuses rows that etcd would not have written: out of order, or not fitting their revision.
// Invariant: what is half built is of no use; whoever builds gives it its name only after `finish`.

import { readUint32, readUint64 } from "../base/bytes.ts";
import { Status, StatusError } from "../base/status.ts";
import { type Backend, type TableName, WriteBatch } from "../storage/backend.ts";
import { KeyValueView } from "../wire/key-value.ts";
import { CurrentTable, encodeFolded, encodeMeta } from "./current-table.ts";
import { exportedKeyBytes, type StoreMarks, tombstoneMark, underscore } from "./export.ts";
import { metaKeys, uint64 } from "./flush.ts";
import { isFolded, rowNameOf } from "./folded-keys.ts";
import { ChunkWriter } from "./import-chunks.ts";
import { ImportedKey, ImportedKeys } from "./import-keys.ts";
import { CountsBuilder } from "./key-counts.ts";
import { compareRevisions, type KeyMeta, RowArena } from "./row-codec.ts";
import { type VersionSection, VersionsTable } from "./versions-table.ts";

/** Rows whose keys are written together. */
const groupRowsDefault = 65_536;
/** What goes with one commit: some milliseconds for handing it over, which is why there are not fewer, larger ones. */
const commitOperationsMax = 4000;
const commitBytesMax = 2 * 1024 * 1024;
const keysPerStep = 256;
const chunkBytesPerWrite = 256 * 1024;
const commitsUnderWayMax = 2;
const countedKeysPerStep = 1024;

export interface ImporterOptions {
  readonly groupRows?: number;
  /** Says how table `leaseKeys` names keys on leases. */
  readonly leaseKeys: LeaseKeyNames;
  /** Lets others have a turn. */
  readonly pause: () => Promise<void>;
}

export interface LeaseKeyNames {
  has(lease: bigint): boolean;
  /** The row for a key (latin1) that comes to a lease that exists. */
  add(lease: bigint, key: string): { readonly name: Buffer; readonly value: Buffer };
  /** The name of the row of a key that leaves it. */
  remove(lease: bigint, key: string): Buffer;
}

export class StoreImporter {
  readonly #backend: Backend;
  readonly #options: ImporterOptions;
  readonly #groupRows: number;
  readonly #current: CurrentTable;
  readonly #versions: VersionsTable;
  readonly #chunks = new ChunkWriter();
  readonly #keys = new ImportedKeys();
  readonly #view = new KeyValueView();
  #rowsInGroup = 0;
  #main = 0;
  #sub = -1;
  #batch = new WriteBatch();
  #arena = new RowArena();
  readonly #underWay: Promise<void>[] = [];

  /** `backend` is empty. */
  constructor(backend: Backend, options: ImporterOptions) {
    this.#backend = backend;
    this.#options = options;
    this.#groupRows = options.groupRows ?? groupRowsDefault;
    this.#current = new CurrentTable(backend);
    this.#versions = new VersionsTable(backend);
  }

  /**
   * Takes the next row: its revision key and its KeyValue at source[start, end), which are copied. True when `write`
   * must be called, and waited for, before the next row comes. Throws a StatusError on a row that can not be.
   */
  add(key: Uint8Array, source: Buffer, start: number, end: number): boolean {
    this.#readRevision(key);
    const isTombstone = key.length > exportedKeyBytes;
    const view = this.#readKeyValue(source, start, end, isTombstone);
    const text = source.latin1Slice(view.keyStart, view.keyEnd);
    const chunks = this.#chunks;
    if (text.length === 0) {
      // How etcdutl marks a revision that restored data is raised to: history, but nobody's key.
      chunks.add(source, start, end, this.#main, this.#sub, isTombstone, undefined);
    } else {
      let imported = this.#keys.get(text);
      const replaced = imported ? liveOf(imported) : this.#flushed(text, view, isTombstone);
      chunks.add(source, start, end, this.#main, this.#sub, isTombstone, replaced);
      if (imported) {
        imported.replace();
      } else {
        imported = new ImportedKey(text, replaced);
        this.#keys.add(imported);
      }
      this.#note(imported, view, isTombstone);
    }
    this.#rowsInGroup++;
    return chunks.sizeBytes >= chunkBytesPerWrite || this.#rowsInGroup >= this.#groupRows;
  }

  /** Hands on what has gathered. Waits only as long as too much is on its way to the disk. */
  async write(): Promise<void> {
    for (const { key, value } of this.#chunks.take()) this.#batch.put("history", key, value);
    if (this.#isFull) await this.#commit();
    else await this.#options.pause();
    if (this.#rowsInGroup >= this.#groupRows) await this.#writeKeys();
  }

  /** A row of another table, as it is to be stored. */
  async put(table: TableName, key: Uint8Array, value: Uint8Array): Promise<void> {
    this.#batch.put(table, key, value);
    await this.#commitWhenFull();
  }

  /** Writes all that is left and the marks; resolves when everything is in the database. */
  async finish(marks: StoreMarks): Promise<void> {
    this.#chunks.close();
    await this.write();
    await this.#writeKeys();
    await this.#writeCounts();
    const { scheduledCompaction: scheduled, finishedCompaction: finished } = marks;
    const batch = this.#batch;
    batch.put("meta", metaKeys.consistentIndex, uint64(marks.consistentIndex));
    batch.put("meta", metaKeys.revision, uint64(revisionOf(marks, this.#main)));
    if (scheduled >= 0) batch.put("meta", metaKeys.scheduledCompaction, uint64(scheduled));
    if (finished >= 0) batch.put("meta", metaKeys.finishedCompaction, uint64(finished));
    await this.#commit();
    await this.#settle();
  }

  #readRevision(key: Uint8Array): void {
    const isMarked = key.length === exportedKeyBytes + 1 && key[exportedKeyBytes] === tombstoneMark;
    const isWhole = key.length === exportedKeyBytes || isMarked;
    // Beyond these bounds no number is exact, or fits our rows.
    if (!isWhole || key[8] !== underscore || readUint32(key, 0) >= 0x10_0000) throw badKey(key);
    const main = readUint64(key, 0);
    if (main === 0 || readUint32(key, 9) !== 0) throw badKey(key);
    const sub = readUint32(key, 13);
    if (compareRevisions(main, sub, this.#main, this.#sub) <= 0) throw badKey(key, "out of order");
    this.#main = main;
    this.#sub = sub;
  }

  #readKeyValue(source: Buffer, start: number, end: number, isTombstone: boolean): KeyValueView {
    let view: KeyValueView;
    try {
      view = this.#view.read(source, start, end);
    } catch {
      throw badRow(this.#main, this.#sub, "its value can not be read");
    }
    if (view.keyEnd === view.keyStart && start === end) return view;
    const { modRevision, createRevision, version } = view;
    const fits =
      view.keyEnd > view.keyStart &&
      (isTombstone ||
        (modRevision === this.#main &&
          createRevision > 0 &&
          createRevision <= modRevision &&
          version > 0 &&
          Number.isSafeInteger(version)));
    if (!fits) throw badRow(this.#main, this.#sub, "its value does not fit its revision");
    return view;
  }

  /** The live version that the database holds of a key: none can be there for a key at its first version. */
  #flushed(text: string, view: KeyValueView, isTombstone: boolean): KeyMeta | undefined {
    return isTombstone || view.version > 1 ? this.#current.get(text) : undefined;
  }

  #note(imported: ImportedKey, view: KeyValueView, isTombstone: boolean): void {
    imported.main = this.#main;
    imported.sub = this.#sub;
    imported.chunkMain = this.#chunks.chunkMain;
    imported.chunkSub = this.#chunks.chunkSub;
    imported.isTombstone = isTombstone;
    imported.create = view.createRevision;
    imported.version = view.version;
    imported.lease = view.lease;
  }

  /** Writes the rows of the group's keys, in key order, and forgets them. */
  async #writeKeys(): Promise<void> {
    this.#rowsInGroup = 0;
    // Keys that share a row are neighbours; they are written once all of them are there.
    let folded: ImportedKey[] = [];
    let foldedName = "";
    let keys = 0;
    for (const key of this.#keys.sorted()) {
      const name = rowNameOf(key.text);
      if (name !== foldedName && folded.length > 0) {
        this.#writeFolded(foldedName, folded);
        folded = [];
      }
      this.#writeLease(key);
      if (isFolded(name)) {
        foldedName = name;
        folded.push(key);
        continue;
      }
      if (!key.isTombstone) {
        this.#batch.put("current", this.#arena.text(key.text), encodeMeta(this.#arena, key));
      } else if (key.flushed) {
        this.#batch.delete("current", this.#arena.text(key.text));
      }
      const versions = key.takeEarlier();
      if (versions.length > 0) {
        this.#versions.add(this.#batch, this.#arena, key.text, [{ key: key.text, versions }]);
      }
      if (this.#isFull) await this.#commit();
      else if (++keys % keysPerStep === 0) await this.#options.pause();
    }
    if (folded.length > 0) this.#writeFolded(foldedName, folded);
    this.#keys.clear();
    await this.#commit();
    // The next group looks up what this one wrote.
    await this.#settle();
  }

  #writeFolded(name: string, keys: readonly ImportedKey[]): void {
    const row = this.#current.folded(name);
    const sections: VersionSection[] = [];
    for (const key of keys) {
      if (key.isTombstone) row.delete(key.text);
      else row.set(key.text, key);
      const versions = key.takeEarlier();
      if (versions.length > 0) sections.push({ key: key.text, versions });
    }
    const live = [...row].sort(([a], [b]) => (a < b ? -1 : 1));
    const rowKey = this.#arena.text(name);
    if (live.length > 0) this.#batch.put("current", rowKey, encodeFolded(this.#arena, live));
    else this.#batch.delete("current", rowKey);
    if (sections.length > 0) this.#versions.add(this.#batch, this.#arena, name, sections);
  }

  #writeLease(key: ImportedKey): void {
    const was = key.flushed ? key.flushed.lease : 0n;
    const is = key.isTombstone ? 0n : key.lease;
    if (was === is) return;
    const { leaseKeys } = this.#options;
    if (was !== 0n && leaseKeys.has(was)) {
      this.#batch.delete("leaseKeys", leaseKeys.remove(was, key.text));
    }
    if (is === 0n || !leaseKeys.has(is)) return;
    const { name, value } = leaseKeys.add(is, key.text);
    this.#batch.put("leaseKeys", name, value);
  }

  async #writeCounts(): Promise<void> {
    const counts = new CountsBuilder();
    let start: Buffer | undefined = Buffer.alloc(0);
    while (start) {
      const range: { start: Buffer; limit: number } = { start, limit: countedKeysPerStep };
      let names = 0;
      let last: string | undefined;
      this.#backend.scanKeys("current", range, (row) => {
        names++;
        last = row.latin1Slice(0, row.length);
        if (!isFolded(last)) counts.add(last);
        else for (const text of this.#current.folded(last).keys()) counts.add(text);
        return undefined;
      });
      start = names < countedKeysPerStep ? undefined : Buffer.from(`${last}\0`, "latin1");
      await this.#options.pause();
    }
    for (const { table, key, value } of counts.finish()) {
      await this.put(table, key, value as Uint8Array);
    }
  }

  get #isFull(): boolean {
    const { operations, bytes } = this.#batch;
    return operations.length >= commitOperationsMax || bytes >= commitBytesMax;
  }

  async #commitWhenFull(): Promise<void> {
    if (this.#isFull) await this.#commit();
  }

  async #commit(): Promise<void> {
    if (this.#batch.operations.length > 0) {
      const committed = this.#backend.commit(this.#batch);
      committed.catch(() => {}); // whoever waits for it is told
      this.#underWay.push(committed);
      this.#batch = new WriteBatch();
      this.#arena = new RowArena();
    }
    while (this.#underWay.length >= commitsUnderWayMax) await this.#underWay.shift();
    await this.#options.pause();
  }

  async #settle(): Promise<void> {
    for (let oldest = this.#underWay.shift(); oldest; oldest = this.#underWay.shift()) await oldest;
  }
}

function liveOf(key: ImportedKey): ImportedKey | undefined {
  return key.isTombstone ? undefined : key;
}

/** A compaction may have taken the last revision's rows; a revision is never given twice all the same. */
function revisionOf(marks: StoreMarks, lastMain: number): number {
  return Math.max(1, marks.revision, lastMain, marks.scheduledCompaction, marks.finishedCompaction);
}

function badKey(key: Uint8Array, problem = "not a revision"): StatusError {
  const text = Buffer.from(key.subarray(0, 32)).toString("hex");
  return new StatusError(Status.DATA_LOSS, `The bucket "key" holds the row ${text}: ${problem}`);
}

function badRow(main: number, sub: number, problem: string): StatusError {
  return new StatusError(
    Status.DATA_LOSS,
    `The bucket "key" holds a row of revision ${main}, ${sub}: ${problem}`,
  );
}
