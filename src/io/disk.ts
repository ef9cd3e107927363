// Files as an input: the few operations that the log and the snapshots need. A fake with torn writes,
// lost unsynced data and full disks implements the same interface for tests.

import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";

export type OpenMode = "read" | "read-write" | "create-exclusive";

/** One open file. Offsets and lengths are bytes. Failures reject with the operating system's error (its `code` kept). */
export interface DiskFile {
  /** Reads up to `buffer.length` bytes; resolves to how many were read, less only at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** Writes all of `buffers` one after another at `position`. Not durable until `datasync`. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** fdatasync. */
  datasync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Names in a folder, sorted; empty when the folder is missing. */
  list(folder: string): Promise<string[]>;
  exists(path: string): Promise<boolean>;
  /** Creates the folder and its parents, mode 0700. */
  makeFolder(folder: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** fsync of a folder, so that created, renamed and removed names are durable. */
  syncFolder(folder: string): Promise<void>;
}

/** The machine's file system. */
export const systemDisk: Disk = {
  async open(path, mode) {
    const flags = mode === "read" ? "r" : mode === "read-write" ? "r+" : "wx+";
    return new SystemFile(await open(path, flags, 0o600));
  },
  async list(folder) {
    try {
      return (await readdir(folder)).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  },
  async exists(path) {
    try {
      await stat(path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  },
  async makeFolder(folder) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { recursive: true, force: true }),
  async syncFolder(folder) {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

class SystemFile implements DiskFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await this.#handle.read(
        buffer,
        filled,
        buffer.length - filled,
        position + filled,
      );
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (const buffer of buffers) {
      let written = 0;
      while (written < buffer.length) {
        const { bytesWritten } = await this.#handle.write(
          buffer,
          written,
          buffer.length - written,
          at,
        );
        written += bytesWritten;
        at += bytesWritten;
      }
    }
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes);
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
