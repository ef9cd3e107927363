// What one life of a simulated process sees of its machine's disk: writes take effect at once and are durable
// some time later, as with a page cache; after the life's end nothing is answered. Faults come from the disk itself.

import type { Random } from "../../src/base/random.ts";
import type { Disk, DiskFile, OpenMode } from "../../src/io/disk.ts";
import type { EventQueue } from "./event-queue.ts";
import type { ProcessLife } from "./process-life.ts";

/** How long the machine's disk takes for what it writes. Changes while it runs. */
export interface DiskSpeed {
  minMs: number;
  maxMs: number;
}

export interface MemberDiskParts {
  readonly disk: Disk;
  readonly queue: EventQueue;
  readonly life: ProcessLife;
  readonly speed: DiskSpeed;
  readonly random: Random;
}

export function memberDisk(parts: MemberDiskParts): Disk {
  const { disk, queue, life, speed, random } = parts;
  const never = new Promise<never>(() => {});
  /** Resolves when the disk is done with what was begun now. */
  const delay = (): Promise<void> =>
    new Promise((resolve) => {
      const ms = speed.minMs + random.float() * (speed.maxMs - speed.minMs);
      queue.schedule(ms, () => life.deliver(resolve));
    });
  const alive = async <Result>(action: () => Promise<Result>): Promise<Result> => {
    if (life.isOver) return never;
    const result = await action();
    return life.isOver ? never : result;
  };
  const slow = async <Result>(action: () => Promise<Result>): Promise<Result> => {
    if (life.isOver) return never;
    const result = await action();
    await delay();
    return result;
  };
  const wrap = (file: DiskFile, isDurable: boolean): DiskFile => ({
    read: (buffer, position) => alive(() => file.read(buffer, position)),
    write: async (source, start, end, position) => {
      if (life.isOver) return never;
      await file.write(source, start, end, position);
      await delay();
      if (isDurable) await alive(() => file.datasync());
    },
    datasync: async () => {
      await delay();
      await alive(() => file.datasync());
    },
    truncate: (sizeBytes) => slow(() => file.truncate(sizeBytes)),
    size: () => alive(() => file.size()),
    close: () => alive(() => file.close()),
  });
  return {
    open: (path, mode) =>
      alive(async () => wrap(await disk.open(path, cachedMode(mode)), mode.endsWith("durable"))),
    list: (folder) => alive(() => disk.list(folder)),
    exists: (path) => alive(() => disk.exists(path)),
    makeFolder: (folder) => alive(() => disk.makeFolder(folder)),
    rename: (from, to) => slow(() => disk.rename(from, to)),
    remove: (path) => alive(() => disk.remove(path)),
    syncFolder: (folder) => slow(() => disk.syncFolder(folder)),
  };
}

/** Written to the page cache first: what makes it durable comes apart from it. */
function cachedMode(mode: OpenMode): OpenMode {
  return mode === "read" ? mode : mode.startsWith("create") ? "create-exclusive" : "read-write";
}
