import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Disk, systemDisk } from "./disk.ts";
import { diskWithoutSync } from "./disk-without-sync.ts";

test("files work as ever, but nothing is opened durable and nothing is synced", async () => {
  const folder = await mkdtemp(join(tmpdir(), "portal-unsynced-"));
  const modes: string[] = [];
  const watched: Disk = {
    ...systemDisk,
    open(path, mode) {
      modes.push(mode);
      return systemDisk.open(path, mode);
    },
    syncFolder: () => Promise.reject(new Error("synced")),
  };
  try {
    const disk = diskWithoutSync(watched);
    const file = await disk.open(join(folder, "a"), "create-exclusive-durable");
    await file.write(Buffer.from("xhellox"), 1, 6, 0);
    await file.datasync();
    await disk.syncFolder(folder);
    const back = Buffer.alloc(8);
    expect(await file.read(back, 0)).toBe(5);
    expect(await file.size()).toBe(5);
    await file.truncate(2);
    expect(await file.size()).toBe(2);
    await file.close();
    expect(modes).toEqual(["create-exclusive"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
