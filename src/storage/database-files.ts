// Databases as files in a folder: opened, made durable, renamed and removed as a whole. A running member builds a
// second one beside its own this way, and puts it in the first one's place.

import { open, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Backend } from "./backend.ts";
import { LmdbBackend } from "./lmdb-backend.ts";

export interface OpenDatabaseOptions {
  /** False: commits do not wait for the disk; `makeDurable` does it for all of them. */
  readonly isDurable?: boolean;
}

/** Paths name databases. Failures reject with a StatusError or the operating system's error. */
export interface DatabaseFiles {
  /** Opens a database, or makes an empty one. It must not be open. */
  open(path: string, options?: OpenDatabaseOptions): Promise<Backend>;
  exists(path: string): Promise<boolean>;
  /** Everything in a closed database has reached the disk when it resolves. */
  makeDurable(path: string): Promise<void>;
  /**
   * Gives a database, open or not, another name, durably and in one step. What had that name is gone; whoever has it
   * open may go on to read until it is closed.
   */
  rename(from: string, to: string): Promise<void>;
  /** Removes a closed database; nothing happens when it is missing. */
  remove(path: string): Promise<void>;
  /** What the disk under a folder has left for new files. */
  freeBytes(folder: string): Promise<number>;
}

/** LMDB keeps its table of readers in a file beside the data. */
const lockOf = (path: string) => `${path}-lock`;

export class LmdbFiles implements DatabaseFiles {
  readonly #open = new Map<string, LmdbBackend>();

  async open(path: string, options: OpenDatabaseOptions = {}): Promise<Backend> {
    const backend = await LmdbBackend.open({ path, ...options });
    this.#open.set(path, backend);
    return backend;
  }

  async exists(path: string): Promise<boolean> {
    return exists(path);
  }

  async makeDurable(path: string): Promise<void> {
    const file = await open(path, "r+");
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    await syncFolder(dirname(path));
  }

  async rename(from: string, to: string): Promise<void> {
    // A lock file belongs to its database as long as that is open; afterwards it does not matter.
    if (await exists(lockOf(from))) await rename(lockOf(from), lockOf(to));
    await rename(from, to);
    await syncFolder(dirname(to));
    const backend = this.#open.get(from);
    this.#open.delete(from);
    this.#open.delete(to);
    if (!backend) return;
    backend.path = to;
    this.#open.set(to, backend);
  }

  async remove(path: string): Promise<void> {
    this.#open.delete(path);
    await rm(path, { force: true });
    await rm(lockOf(path), { force: true });
  }

  async freeBytes(folder: string): Promise<number> {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return; // folders can not be opened there
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
