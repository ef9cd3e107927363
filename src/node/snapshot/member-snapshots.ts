// A running member's state as a database file, written and taken over. Files are written from snapshots of the
// database, at most a few at a time; taking over another state goes through install-database.ts and leaves the
// member's parts (store, leases, watch hub) in place.
// Invariant: a database is closed only after everyone who reads a snapshot of it has ended.

import { join } from "node:path";
import type { Histogram } from "../../base/instruments.ts";
import { Status, StatusError } from "../../base/status.ts";
import type { Clock } from "../../io/clock.ts";
import type { Disk } from "../../io/disk.ts";
import type { Store } from "../../mvcc/store.ts";
import type { Backend } from "../../storage/backend.ts";
import type { DatabaseFiles } from "../../storage/database-files.ts";
import { EtcdErrors, toStatusError } from "../../wire/errors.ts";
import { DatabaseInstaller } from "./database-installer.ts";
import type { SnapshotFiles, SnapshotPoint } from "./snapshot-files.ts";
import { FileSnapshotReader, type SnapshotReader } from "./snapshot-reader.ts";
import { type DatabaseFileFacts, writeDatabaseFile } from "./write-database-file.ts";

/** Each holds on to a state of the database, whose pages can not be used again meanwhile. */
const writesMax = 2;
const waitingMax = 16;
/** Files that are being read: each takes as much of the disk as the database. */
const readersMax = 4;

/** Left on the disk for the log and the database: four files of the log. */
const reservedBytes = 256 * 1024 * 1024;

export interface MemberSnapshotsParts {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly databases: DatabaseFiles;
  /** Where `db` lies. */
  readonly memberFolder: string;
  /** For files that someone reads; made when it is missing. */
  readonly tempFolder: string;
  readonly store: Store;
  /** The last entry of the log that the store has applied. */
  readonly appliedIndex: () => number;
  /** Gets how long each file took to write. */
  readonly writeSeconds?: Histogram;
}

export class MemberSnapshots implements SnapshotFiles {
  readonly #parts: MemberSnapshotsParts;
  readonly #installer: DatabaseInstaller;
  #writes = 0;
  readonly #waiting: { start(): void; fail(error: StatusError): void }[] = [];
  readonly #writing = new Map<Promise<unknown>, { backend: Backend; abort: AbortController }>();
  /** Databases that are not used any more, until they are closed. */
  readonly #closing = new Set<Promise<void>>();
  #readers = 0;
  #sequence = 0;
  #isClosed = false;

  constructor(parts: MemberSnapshotsParts) {
    this.#parts = parts;
    this.#installer = new DatabaseInstaller({
      ...parts,
      onReplaced: (old) => this.#closeUnused(old),
    });
  }

  /**
   * Writes all that is applied now to a new file at `path`. The file is removed again when it can not be completed;
   * rejects with a StatusError also when `signal` is aborted, when too many are waiting, or when the member closes.
   */
  async write(path: string, signal?: AbortSignal): Promise<DatabaseFileFacts> {
    await this.#takeTurn(signal);
    try {
      const { store, appliedIndex } = this.#parts;
      await store.flush(appliedIndex());
      await this.#requireSpace();
      return await this.#write(path, signal);
    } finally {
      this.#writes--;
      this.#waiting.shift()?.start();
    }
  }

  /** As `write`, to a temporary file that is the reader's. */
  async open(signal: AbortSignal): Promise<SnapshotReader> {
    if (this.#readers >= readersMax) throw toStatusError(EtcdErrors.tooManyRequests);
    this.#readers++;
    const { disk, tempFolder } = this.#parts;
    const path = join(tempFolder, `client-${this.#sequence++}.db.tmp`);
    try {
      await disk.makeFolder(tempFolder);
      await disk.remove(path);
      const facts = await this.write(path, signal);
      const reader = await FileSnapshotReader.open(facts, disk, path);
      const close = async () => {
        this.#readers--;
        await reader.close();
      };
      const { sizeBytes, revision } = facts;
      return { sizeBytes, revision, read: (buffer, at) => reader.read(buffer, at), close };
    } catch (error) {
      this.#readers--;
      await disk.remove(path).catch(() => {}); // the next start tries again
      throw error;
    }
  }

  async #write(path: string, signal: AbortSignal | undefined): Promise<DatabaseFileFacts> {
    if (this.#isClosed) throw toStatusError(EtcdErrors.stopped);
    const { store, disk, clock, writeSeconds } = this.#parts;
    const startedMs = clock.now();
    const abort = new AbortController();
    const pass = () => abort.abort(signal?.reason);
    signal?.addEventListener("abort", pass);
    if (signal?.aborted) pass();
    const { backend } = store;
    const snapshot = store.snapshot();
    const written = writeDatabaseFile({ snapshot, disk, path, clock, signal: abort.signal })
      // Whoever waits for it to end must find the snapshot closed.
      .finally(() => snapshot.close());
    this.#writing.set(written, { backend, abort });
    try {
      const facts = await written;
      writeSeconds?.observe((clock.now() - startedMs) / 1000);
      return facts;
    } finally {
      signal?.removeEventListener("abort", pass);
      this.#writing.delete(written);
    }
  }

  async prepare(path: string, point: SnapshotPoint): Promise<void> {
    // The core does not go back: it will not ask for this one.
    if (point.index <= this.#parts.appliedIndex()) return;
    await this.#installer.prepare(path, point);
  }

  install(path: string, point: SnapshotPoint, note: () => Promise<void>): Promise<void> {
    return this.#installer.install(path, point, note);
  }

  /** Gives up what is being written and built; resolves when only the store's own database is open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const stopped = toStatusError(EtcdErrors.stopped);
    for (const { fail } of this.#waiting.splice(0)) fail(stopped);
    for (const { abort } of this.#writing.values()) abort.abort(stopped);
    await this.#installer.close();
    await Promise.allSettled([...this.#writing.keys(), ...this.#closing]);
  }

  /** A snapshot must not take the space that the log needs to go on. */
  async #requireSpace(): Promise<void> {
    const { store, databases, memberFolder } = this.#parts;
    const needed = store.size().inUseBytes + reservedBytes;
    const free = await databases.freeBytes(memberFolder);
    if (free >= needed) return;
    throw new StatusError(
      Status.RESOURCE_EXHAUSTED,
      `Cannot write a snapshot to ${memberFolder}: it takes about ${mebibytes(needed)} MiB, and the disk has ${mebibytes(free)} MiB left`,
    );
  }

  #closeUnused(backend: Backend): void {
    const readers = [...this.#writing].filter(([, writing]) => writing.backend === backend);
    const closed = Promise.allSettled(readers.map(([written]) => written))
      .then(() => backend.close())
      // Nothing is lost with it: its state is not the member's any more.
      .catch(() => {})
      .finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }

  async #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#isClosed) throw toStatusError(EtcdErrors.stopped);
    if (this.#writes < writesMax) {
      this.#writes++;
      return;
    }
    if (this.#waiting.length >= waitingMax) throw toStatusError(EtcdErrors.tooManyRequests);
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        waiter.fail(new StatusError(Status.CANCELLED, "the snapshot was cancelled"));
      };
      const waiter = {
        start: () => {
          signal?.removeEventListener("abort", leave);
          this.#writes++;
          resolve();
        },
        fail: (error: StatusError) => {
          signal?.removeEventListener("abort", leave);
          reject(error);
        },
      };
      this.#waiting.push(waiter);
      signal?.addEventListener("abort", leave);
    });
  }
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / (1024 * 1024));
}
