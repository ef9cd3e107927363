// A member's state in a temporary file, for someone who reads it at leisure. The file is gone when the reader is
// closed; what a crash leaves is removed at the next start.

import { join } from "node:path";
import type { Disk, DiskFile } from "../../io/disk.ts";

/** Closed once by whoever was given it. */
export interface SnapshotReader {
  readonly sizeBytes: number;
  /** The store's revision in it. */
  readonly revision: number;
  /** Fills `buffer` from `position` on; resolves to how many bytes there were. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

/** What ends in this is of no use to the next life of a member. */
const leftover = /\.(tmp|part|snap\.db)$/;

/** Removes temporary files, and files received for snapshots that were not taken over: they are sent again. */
export async function removeLeftovers(disk: Disk, folder: string): Promise<void> {
  for (const name of await disk.list(folder)) {
    if (leftover.test(name)) await disk.remove(join(folder, name));
  }
}

export class FileSnapshotReader implements SnapshotReader {
  readonly sizeBytes: number;
  readonly revision: number;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #file: DiskFile;

  private constructor(
    facts: { readonly sizeBytes: number; readonly revision: number },
    disk: Disk,
    path: string,
    file: DiskFile,
  ) {
    this.sizeBytes = facts.sizeBytes;
    this.revision = facts.revision;
    this.#disk = disk;
    this.#path = path;
    this.#file = file;
  }

  /** Takes over a complete file. */
  static async open(
    facts: { readonly sizeBytes: number; readonly revision: number },
    disk: Disk,
    path: string,
  ): Promise<FileSnapshotReader> {
    return new FileSnapshotReader(facts, disk, path, await disk.open(path, "read"));
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    return this.#file.read(buffer, position);
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#disk.remove(this.#path);
  }
}
