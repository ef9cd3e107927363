// The Backend on LMDB. All reads go through one read transaction that is renewed at the moment a commit
// is reported, so that what reads see changes exactly when `onVisible` is called, never earlier. Commits are
// written and synced by LMDB's writer thread, one after another.
// Invariant: at most one transaction of ours reads the file, plus one per open snapshot.

import { statfsSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { type Database, open, type RootDatabase, type Transaction } from "lmdb";
import { assert } from "../base/assert.ts";
import { failpoints } from "../base/failpoint.ts";
import { Status, StatusError } from "../base/status.ts";
import {
  type Backend,
  type BackendSnapshot,
  backendKeyBytesMax,
  type ScanRange,
  type ScanVisitor,
  type TableName,
  tableNames,
  type WriteBatch,
} from "./backend.ts";

export interface LmdbOptions {
  /** The database file; its folder is made when missing. */
  readonly path: string;
  /** Address space reserved for the file: its size limit. Costs neither memory nor disk. */
  readonly mapBytes?: number;
  /** False: commits do not wait for the disk. For a database that is made durable as a whole once it is complete. */
  readonly isDurable?: boolean;
}

const mapBytesDefault = 2 ** 40;
/** With less than this left, a failed write is taken for a full disk. */
const diskFullBytes = 32 * 1024 * 1024;
/** Kept free beyond twice a batch's bytes, for the pages that LMDB copies on the way to a changed one. */
const commitReserveBytes = 8 * 1024 * 1024;

type Table = Database<Buffer, Buffer>;
/** How lmdb ends a transaction's use; its types lack it. */
type ReadTransaction = Transaction & { done(): void };

export class LmdbBackend implements Backend {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #tables: Record<TableName, Table>;
  /** Where the file lies now; whoever renames it says so. */
  path: string;
  #reading: { transaction: ReadTransaction };
  #last: Promise<void> = Promise.resolve();
  #closed = false;
  /** Measured at most once per commit: the quota asks for it on every put. */
  #size: { readonly totalBytes: number; readonly inUseBytes: number } | undefined;

  static async open(options: LmdbOptions): Promise<LmdbBackend> {
    await mkdir(dirname(options.path), { recursive: true });
    try {
      return new LmdbBackend(options);
    } catch (error) {
      throw diskError(error, options.path);
    }
  }

  private constructor(options: LmdbOptions) {
    this.path = options.path;
    const format = { encoding: "binary", keyEncoding: "binary" } as const;
    this.#root = open({
      ...format,
      path: options.path,
      noSubdir: true,
      maxDbs: tableNames.length + 1,
      mapSize: options.mapBytes ?? mapBytesDefault,
      // A commit counts as done when it is on the disk; the default would report it before.
      overlappingSync: false,
      noSync: options.isDurable === false,
      // Batches are ours to make; lmdb's own would leave a rejected promise that nobody can handle.
      eventTurnBatching: false,
      noMemInit: true,
    } as Parameters<typeof open>[0]) as RootDatabase<Buffer, Buffer>;
    const tables: Partial<Record<TableName, Table>> = {};
    for (const name of tableNames) {
      tables[name] = this.#root.openDB<Buffer, Buffer>(name, { ...format });
    }
    this.#tables = tables as Record<TableName, Table>;
    this.#reading = { transaction: this.#root.useReadTransaction() as ReadTransaction };
  }

  get(table: TableName, key: Uint8Array): Buffer | undefined {
    if (key.length === 0) return undefined;
    return getBinary(this.#tables[table], key, this.#reading);
  }

  view(table: TableName, key: Uint8Array): Buffer | undefined {
    if (key.length === 0) return undefined;
    return getBinaryFast(this.#tables[table], key, this.#reading);
  }

  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void {
    scanTable(this.#tables[table], this.#reading.transaction, range, visit);
  }

  scanKeys(table: TableName, range: ScanRange, visit: (key: Buffer) => boolean | undefined): void {
    const options = { ...boundsOf(range), transaction: this.#reading.transaction };
    for (const key of this.#tables[table].getKeys(options)) if (visit(key) === false) return;
  }

  commit(batch: WriteBatch, onVisible?: () => void): Promise<void> {
    for (const { key } of batch.operations) {
      assert(
        key.length > 0 && key.length <= backendKeyBytesMax,
        "a key of this length cannot be stored",
      );
    }
    const committed = this.#commit(batch, onVisible);
    this.#last = committed.catch(() => {});
    return committed;
  }

  async #commit(batch: WriteBatch, onVisible: (() => void) | undefined): Promise<void> {
    this.#requireSpace(batch.bytes);
    if (failpoints.beforeStartDBTxn !== undefined) await failpoints.beforeStartDBTxn.reach();
    try {
      await this.#root.batch(() => {
        failpoints.afterStartDBTxn?.reachNow();
        for (const { table, key, value } of batch.operations) {
          if (value) this.#tables[table].put(key as Buffer, value as Buffer);
          else this.#tables[table].remove(key as Buffer);
        }
        failpoints.beforeCommit?.reachNow();
      });
    } catch (error) {
      throw diskError(await causeOf(error), this.path);
    }
    if (failpoints.afterCommit !== undefined) await failpoints.afterCommit.reach();
    failpoints.beforeWritebackBuf?.reachNow();
    this.#renew();
    onVisible?.();
    failpoints.afterWritebackBuf?.reachNow();
  }

  /** Refuses before LMDB meets a full disk: its writer thread may corrupt its heap when a page write fails. */
  #requireSpace(batchBytes: number): void {
    const { bavail, bsize } = statfsSync(dirname(this.path));
    if (bavail * bsize >= 2 * batchBytes + commitReserveBytes) return;
    throw new StatusError(
      Status.RESOURCE_EXHAUSTED,
      `Cannot write to ${this.path}: no space left on the disk`,
    );
  }

  #renew(): void {
    if (this.#closed) return;
    this.#size = undefined;
    const old = this.#reading.transaction;
    this.#root.resetReadTxn();
    this.#reading = { transaction: this.#root.useReadTransaction() as ReadTransaction };
    old.done();
  }

  snapshot(): BackendSnapshot {
    // Shares our read transaction: renewing drops our use of it, and the last use ends it.
    const transaction = this.#reading.transaction as ReadTransaction & { use(): void };
    transaction.use();
    return new LmdbSnapshot(this.#tables, transaction);
  }

  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    this.#size ??= this.#measure();
    return this.#size;
  }

  #measure(): { readonly totalBytes: number; readonly inUseBytes: number } {
    let pages = 2; // the two meta pages
    let pageBytes = 4096;
    for (const name of tableNames) {
      const stats = this.#tables[name].getStats() as TableStats;
      pageBytes = stats.pageSize;
      pages += stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
    }
    return { totalBytes: statSync(this.path).size, inUseBytes: pages * pageBytes };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#last;
    this.#closed = true;
    this.#reading.transaction.done();
    await this.#root.close();
  }
}

interface TableStats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

class LmdbSnapshot implements BackendSnapshot {
  readonly #tables: Record<TableName, Table>;
  readonly #transaction: ReadTransaction;

  constructor(tables: Record<TableName, Table>, transaction: ReadTransaction) {
    this.#tables = tables;
    this.#transaction = transaction;
  }

  get(table: TableName, key: Uint8Array): Buffer | undefined {
    if (key.length === 0) return undefined;
    return getBinary(this.#tables[table], key, { transaction: this.#transaction });
  }

  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void {
    scanTable(this.#tables[table], this.#transaction, range, visit);
  }

  close(): void {
    this.#transaction.done();
  }
}

function scanTable(
  table: Table,
  transaction: ReadTransaction,
  range: ScanRange,
  visit: ScanVisitor,
): void {
  for (const { key, value } of table.getRange({ ...boundsOf(range), transaction })) {
    if (visit(key, value) === false) return;
  }
}

/** A ScanRange in lmdb's terms: there `start` is where a scan begins, whatever its direction. */
function boundsOf({ start, end, reverse, limit }: ScanRange): object {
  const from = start && start.length > 0 ? start : undefined;
  const bounds: Record<string, unknown> = {};
  if (limit !== undefined) bounds.limit = limit;
  if (reverse) {
    bounds.reverse = true;
    bounds.inclusiveEnd = true;
    if (end) {
      bounds.start = end;
      bounds.exclusiveStart = true;
    }
    if (from) bounds.end = from;
  } else {
    if (from) bounds.start = from;
    if (end) bounds.end = end;
  }
  return bounds;
}

type Reading = { transaction: ReadTransaction };
type Getter = (key: Uint8Array, options: Reading) => Buffer | undefined;

/** lmdb takes the transaction as a second argument that its types lack. */
function getBinary(table: Table, key: Uint8Array, reading: Reading): Buffer | undefined {
  return (table as unknown as { getBinary: Getter }).getBinary(key, reading);
}

function getBinaryFast(table: Table, key: Uint8Array, reading: Reading): Buffer | undefined {
  return (table as unknown as { getBinaryFast: Getter }).getBinaryFast(key, reading);
}

/** lmdb rejects with a wrapper that holds a promise of the real error. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> };
  if (!commitError) return error;
  return commitError.catch((cause: unknown) => cause);
}

function diskError(error: unknown, path: string): StatusError {
  const text = error instanceof Error ? error.message : String(error);
  const full = /no space|MAP_FULL|quota/i.test(text) || isDiskFull(path);
  const code = full ? Status.RESOURCE_EXHAUSTED : Status.INTERNAL;
  return new StatusError(code, `Cannot write the database ${path}: ${text}`, { cause: error });
}

/** LMDB reports the write that filled the disk, when it was cut short, as an input/output error. */
function isDiskFull(path: string): boolean {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize < diskFullBytes;
}
