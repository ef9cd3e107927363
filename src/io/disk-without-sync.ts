// A disk that never waits for the platter, for --unsafe-no-fsync: as fast as memory, and a crash of
// the machine (not of the process) loses what was not yet written back.

import type { Disk, DiskFile, OpenMode } from "./disk.ts";

const plainModes: Readonly<Partial<Record<OpenMode, OpenMode>>> = {
  "read-write-durable": "read-write",
  "create-exclusive-durable": "create-exclusive",
};

/** The same files as `disk`, without durability. */
export function diskWithoutSync(disk: Disk): Disk {
  return {
    ...disk,
    async open(path, mode) {
      return new UnsyncedFile(await disk.open(path, plainModes[mode] ?? mode));
    },
    async syncFolder() {},
  };
}

class UnsyncedFile implements DiskFile {
  readonly #file: DiskFile;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    return this.#file.read(buffer, position);
  }

  write(source: Uint8Array, start: number, end: number, position: number): Promise<void> {
    return this.#file.write(source, start, end, position);
  }

  async datasync(): Promise<void> {}

  truncate(sizeBytes: number): Promise<void> {
    return this.#file.truncate(sizeBytes);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
