// Takes over a state that came as a database file: builds a database from it while everything goes on, and changes
// to that one once the log says so. A file that can not be used is refused while it is built, before anyone relies
// on it.

import { assert } from "../../base/assert.ts";
import type { Clock } from "../../io/clock.ts";
import type { Disk } from "../../io/disk.ts";
import type { Store } from "../../mvcc/store.ts";
import type { Backend } from "../../storage/backend.ts";
import type { DatabaseFiles } from "../../storage/database-files.ts";
import { EtcdErrors, toStatusError } from "../../wire/errors.ts";
import { buildDatabase } from "./build-database.ts";
import {
  buildDatabasePart,
  completeDatabasePart,
  installNextDatabase,
  openNextDatabase,
} from "./install-database.ts";
import type { SnapshotPoint } from "./snapshot-files.ts";

export interface DatabaseInstallerParts {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly databases: DatabaseFiles;
  /** Where `db` lies. */
  readonly memberFolder: string;
  readonly store: Store;
  /** Gets the database that the store has left; it is open, and nobody's. */
  readonly onReplaced: (old: Backend) => void;
}

export class DatabaseInstaller {
  readonly #parts: DatabaseInstallerParts;
  readonly #abort = new AbortController();
  #building: Promise<void> | undefined;
  /** What the built database was sent for. */
  #built: SnapshotPoint | undefined;
  #isInstalling = false;

  constructor(parts: DatabaseInstallerParts) {
    this.#parts = parts;
  }

  /** Builds a database, so that `install` finds it done; the one that was built before is given up. */
  async prepare(path: string, point: SnapshotPoint): Promise<void> {
    while (this.#building) await this.#building.catch(() => {}); // told to whoever asked for it
    if (!isSame(this.#built, point)) await this.#alone(this.#build(path, point));
  }

  /** As SnapshotFiles has it. One at a time; nothing may be applied from the call of `note` on. */
  async install(path: string, point: SnapshotPoint, note: () => Promise<void>): Promise<void> {
    assert(!this.#isInstalling, "two snapshots are installed at once");
    this.#isInstalling = true;
    try {
      const { databases, memberFolder, store, onReplaced } = this.#parts;
      while (this.#building || !isSame(this.#built, point)) await this.prepare(path, point);
      this.#built = undefined;
      await this.#alone(completeDatabasePart(databases, memberFolder));
      await note();
      const next = await openNextDatabase(databases, memberFolder);
      while (store.isFlushing) await store.whenFlushed();
      const old = store.backend;
      store.adopt(next);
      onReplaced(old);
      await installNextDatabase(databases, memberFolder);
    } finally {
      this.#isInstalling = false;
    }
  }

  /** Gives up what is being built. */
  async close(): Promise<void> {
    this.#abort.abort(toStatusError(EtcdErrors.stopped));
    await this.#building?.catch(() => {}); // told to whoever asked for it
  }

  async #build(path: string, point: SnapshotPoint): Promise<void> {
    const { clock, disk, databases, memberFolder } = this.#parts;
    const { signal } = this.#abort;
    this.#built = undefined;
    await buildDatabasePart(databases, memberFolder, (backend) =>
      buildDatabase({ disk, path, backend, clock, point, signal }),
    );
    this.#built = point;
  }

  /** Keeps others from the database that is being built. */
  #alone(work: Promise<void>): Promise<void> {
    const done = work.finally(() => {
      this.#building = undefined;
    });
    this.#building = done;
    return done;
  }
}

function isSame(a: SnapshotPoint | undefined, b: SnapshotPoint): boolean {
  return a !== undefined && a.index === b.index && a.term === b.term;
}
