// What every Disk must do, on the system's and on the fake that tests use in its place.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Disk, systemDisk } from "../../src/io/disk.ts";
import { MemoryDisk, systemError } from "../../src/io/disk-memory.ts";

const kinds: [string, () => Disk][] = [
  ["system", () => systemDisk],
  ["memory", () => new MemoryDisk(1)],
];

describe.each(kinds)("%s disk", (kind, make) => {
  let root = "";
  let disk: Disk;
  beforeEach(async () => {
    disk = make();
    root = kind === "system" ? await mkdtemp(join(tmpdir(), "portal-disk-")) : "/root";
    await disk.makeFolder(root);
  });
  afterEach(() => (kind === "system" ? rm(root, { recursive: true }) : undefined));

  test.each(["create-exclusive", "create-exclusive-durable"] as const)(
    "%s: reads what was written, at any offset",
    async (mode) => {
      const path = join(root, "a");
      const file = await disk.open(path, mode);
      await file.write(Buffer.from("-hello-"), 1, 6, 0);
      await file.write(Buffer.from("world"), 0, 5, 8);
      await file.datasync();
      expect(await file.size()).toBe(13);
      const all = Buffer.alloc(20, 1);
      expect(await file.read(all, 0)).toBe(13);
      expect(all.subarray(0, 13)).toEqual(Buffer.from("hello\0\0\0world"));
      expect(await file.read(all, 11)).toBe(2);
      expect(await file.read(all, 13)).toBe(0);
      expect(await file.read(all, 99)).toBe(0);
      await file.close();
      await expect(disk.open(path, mode)).rejects.toMatchObject({ code: "EEXIST" });
      const again = await disk.open(path, "read");
      expect(await again.read(all, 8)).toBe(5);
      await expect(again.write(all, 0, 1, 0)).rejects.toMatchObject({ code: "EBADF" });
      await again.close();
    },
  );

  test("truncate cuts and extends with zeros", async () => {
    const file = await disk.open(join(root, "a"), "create-exclusive");
    await file.write(Buffer.from("abcdef"), 0, 6, 0);
    await file.truncate(3);
    await file.truncate(5);
    const all = Buffer.alloc(9, 1);
    expect(await file.read(all, 0)).toBe(5);
    expect(all.subarray(0, 5)).toEqual(Buffer.from("abc\0\0"));
    await file.close();
  });

  test("names: list, exists, rename over, remove", async () => {
    expect(await disk.list(join(root, "nothing"))).toEqual([]);
    await disk.makeFolder(join(root, "d/e"));
    for (const name of ["d/b", "d/a"]) {
      await (await disk.open(join(root, name), "create-exclusive")).close();
    }
    expect(await disk.list(join(root, "d"))).toEqual(["a", "b", "e"]);
    await disk.rename(join(root, "d/a"), join(root, "d/b"));
    await disk.rename(join(root, "d"), join(root, "f"));
    await disk.syncFolder(root);
    expect(await disk.list(join(root, "f"))).toEqual(["b", "e"]);
    expect(await disk.exists(join(root, "d"))).toBe(false);
    expect(await disk.exists(join(root, "f/b"))).toBe(true);
    await disk.remove(join(root, "f"));
    await disk.remove(join(root, "f"));
    expect(await disk.exists(join(root, "f/b"))).toBe(false);
  });

  test("missing files and folders say ENOENT", async () => {
    const missing = { code: "ENOENT" };
    await expect(disk.open(join(root, "x"), "read")).rejects.toMatchObject(missing);
    await expect(disk.open(join(root, "x"), "read-write-durable")).rejects.toMatchObject(missing);
    await expect(disk.open(join(root, "x/y"), "create-exclusive")).rejects.toMatchObject(missing);
    await expect(disk.rename(join(root, "x"), join(root, "y"))).rejects.toMatchObject(missing);
    await expect(disk.syncFolder(join(root, "x"))).rejects.toMatchObject(missing);
  });
});

describe("memory disk, misbehaving", () => {
  test("a crash keeps what was synced and may lose the rest", async () => {
    const kept = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const disk = new MemoryDisk(seed);
      const file = await disk.open("/a", "create-exclusive");
      await file.write(Buffer.alloc(2048, 1), 0, 2048, 0);
      await file.datasync();
      await disk.syncFolder("/");
      await file.write(Buffer.alloc(1024, 2), 0, 1024, 512);
      await (await disk.open("/b", "create-exclusive")).close();
      disk.crash();
      await expect(file.size()).rejects.toMatchObject({ code: "EIO" });
      const bytes = disk.bytesOf("/a");
      const sectors = [0, 512, 1024, 1536].map((at) => bytes[at]).join("");
      expect(sectors).toMatch(/^1[12][12]1$/);
      kept.add(`${sectors} ${await disk.exists("/b")}`);
    }
    expect(kept.size).toBeGreaterThan(4);
  });

  test("a full disk writes what fits; faults are injected", async () => {
    const disk = new MemoryDisk(1);
    disk.capacityBytes = 10;
    const file = await disk.open("/a", "create-exclusive");
    await expect(file.write(Buffer.alloc(16), 0, 16, 0)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(await file.size()).toBe(10);
    await file.write(Buffer.alloc(10), 0, 10, 0);
    disk.fault = (operation, path) =>
      operation === "datasync" ? systemError("EIO", path) : undefined;
    await expect(file.datasync()).rejects.toMatchObject({ code: "EIO" });
  });
});
