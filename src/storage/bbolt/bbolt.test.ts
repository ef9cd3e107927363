import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareBytes } from "../../base/bytes.ts";
import { Random } from "../../base/random.ts";
import { Status, StatusError } from "../../base/status.ts";
import { systemDisk } from "../../io/disk.ts";
import { MemoryDisk } from "../../io/disk-memory.ts";
import { BboltFile } from "./bbolt-file.ts";
import { BboltWriter } from "./bbolt-writer.ts";
import { decodeMetaPage, encodeMetaPage } from "./format.ts";

type Rows = readonly (readonly [key: Buffer, value: Buffer])[];
type Content = Readonly<Record<string, Rows>>;

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portal-bbolt-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `${++files}.db`);

async function write(content: Content, path = newPath(), disk = systemDisk): Promise<string> {
  const writer = await BboltWriter.create({ disk, path, chunkBytes: 16_384 });
  for (const [name, rows] of Object.entries(content)) {
    const bucket = writer.bucket(name);
    for (const [key, value] of rows) if (!bucket.add(key, value)) await writer.drained();
  }
  await writer.finish();
  return path;
}

async function readBucket(file: BboltFile, name: string, start?: Buffer): Promise<Rows> {
  const rows: [Buffer, Buffer][] = [];
  for await (const batch of file.scan(name, start)) {
    expect(batch.count).toBeGreaterThan(0);
    for (let i = 0; i < batch.count; i++) {
      rows.push([Buffer.from(batch.key(i)), Buffer.from(batch.value(i))]);
    }
  }
  return rows;
}

/** As toEqual, which takes milliseconds for each of thousands of buffers. */
function expectRows(found: Rows, wanted: Rows): void {
  expect(found.length).toBe(wanted.length);
  const isEqual = ([key, value]: Rows[number], i: number) =>
    (wanted[i] as Rows[number])[0].equals(key) && (wanted[i] as Rows[number])[1].equals(value);
  expect(found.findIndex((row, i) => !isEqual(row, i))).toBe(-1);
}

function numbered(count: number, valueBytes: number): Rows {
  return Array.from({ length: count }, (_, i) => {
    const key = Buffer.alloc(17, 0x5f);
    key.writeBigUInt64BE(BigInt(i + 2), 0);
    key.writeBigUInt64BE(0n, 9);
    return [key, Buffer.alloc(valueBytes, i)] as const;
  });
}

describe("a database file", () => {
  it("gives back what was written, however large", async () => {
    const content = {
      key: numbered(20_000, 100),
      big: [
        [Buffer.from("a"), Buffer.alloc(1_600_000, 7)],
        [Buffer.from("b"), Buffer.alloc(0)],
        [Buffer.from("c"), Buffer.alloc(4096, 1)],
      ] as const,
      empty: [],
      meta: [[Buffer.from("consistent_index"), Buffer.alloc(8, 3)]] as const,
    };
    const file = await BboltFile.open({ disk: systemDisk, path: await write(content) });
    expect(file.bucketNames().map(String)).toEqual(["big", "empty", "key", "meta"]);
    for (const [name, rows] of Object.entries(content)) {
      expectRows(await readBucket(file, name), rows);
    }
    expect(await file.get("key", numbered(20_000, 100)[12_345]?.[0] as Buffer)).toEqual(
      Buffer.alloc(100, 12_345),
    );
    expect(await file.get("big", Buffer.from("aa"))).toBeUndefined();
    expect(await file.get("missing", Buffer.from("a"))).toBeUndefined();
    expect(await readBucket(file, "missing")).toEqual([]);
    expect((await file.check()).records).toBe(20_004);
    await file.close();
  });

  it("scans from any key", async () => {
    const rows = numbered(3_000, 300);
    const file = await BboltFile.open({ disk: systemDisk, path: await write({ key: rows }) });
    for (const index of [0, 1, 13, 1_499, 2_998, 2_999]) {
      const [key] = rows[index] as Rows[number];
      expectRows(await readBucket(file, "key", key), rows.slice(index));
      const after = Buffer.concat([key, Buffer.from([0])]);
      expectRows(await readBucket(file, "key", after), rows.slice(index + 1));
    }
    expect(await readBucket(file, "key", Buffer.alloc(0))).toHaveLength(3_000);
    await file.close();
  });

  it("holds any records", { timeout: 30_000 }, async () => {
    const size = fc.oneof(
      { weight: 8, arbitrary: fc.nat(60) },
      { weight: 3, arbitrary: fc.nat(5_000) },
      { weight: 1, arbitrary: fc.nat(70_000) },
    );
    const record = fc.record({
      key: fc.oneof(
        { weight: 9, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }) },
        {
          weight: 1,
          arbitrary: fc
            .tuple(fc.uint8Array({ minLength: 1, maxLength: 4 }), fc.nat(9_000))
            .map(([head, more]) => Buffer.concat([head, Buffer.alloc(more, head[0])])),
        },
      ),
      size,
    });
    const buckets = fc.dictionary(
      fc.string({ minLength: 1, maxLength: 8 }),
      fc.array(record, { maxLength: 300 }),
      { maxKeys: 5, noNullPrototype: true },
    );
    await fc.assert(
      fc.asyncProperty(buckets, async (drawn) => {
        const content: Record<string, Rows> = {};
        for (const [name, records] of Object.entries(drawn)) {
          const byKey = new Map(
            records.map(({ key, size: bytes }) => [
              Buffer.from(key).toString("latin1"),
              [Buffer.from(key), Buffer.alloc(bytes, key[0])] as const,
            ]),
          );
          content[name] = [...byKey.values()].sort((a, b) => compareBytes(a[0], b[0]));
        }
        const path = await write(content);
        const file = await BboltFile.open({ disk: systemDisk, path });
        expect(file.bucketNames().map(String).sort()).toEqual(Object.keys(content).sort());
        for (const [name, rows] of Object.entries(content)) {
          expectRows(await readBucket(file, name), rows);
          for (const [key, value] of rows.slice(0, 20)) {
            expect((await file.get(name, key))?.equals(value)).toBe(true);
          }
        }
        await file.check();
        await file.close();
        await rm(path);
      }),
      { numRuns: 60, seed: 4 },
    );
  });

  it("ignores what follows the last page", async () => {
    const disk = new MemoryDisk(1);
    await disk.makeFolder("/d");
    const path = await write({ key: numbered(50, 50) }, "/d/a", disk);
    const raw = await disk.open(path, "read-write");
    const size = await raw.size();
    await raw.write(Buffer.alloc(32, 9), 0, 32, size);
    const file = await BboltFile.open({ disk, path });
    expect(file.sizeBytes).toBe(size);
    expect(await readBucket(file, "key")).toHaveLength(50);
  });

  it("reports a full disk and leaves nothing behind", async () => {
    const disk = new MemoryDisk(1);
    await disk.makeFolder("/d");
    disk.capacityBytes = 200_000;
    const writer = await BboltWriter.create({ disk, path: "/d/a", chunkBytes: 16_384 });
    const bucket = writer.bucket("key");
    const fill = async () => {
      for (const [key, value] of numbered(5_000, 300)) {
        if (!bucket.add(key, value)) await writer.drained();
      }
      await writer.finish();
    };
    await expect(fill()).rejects.toMatchObject({ code: "ENOSPC" });
    await writer.abort();
    expect(await disk.list("/d")).toEqual([]);
  });

  it("is no database before it is finished", async () => {
    const path = newPath();
    const writer = await BboltWriter.create({ disk: systemDisk, path, chunkBytes: 4096 });
    const bucket = writer.bucket("key");
    for (const [key, value] of numbered(500, 100)) {
      if (!bucket.add(key, value)) await writer.drained();
    }
    await expect(BboltFile.open({ disk: systemDisk, path })).rejects.toMatchObject({
      code: Status.DATA_LOSS,
    });
    await writer.abort();
    await expect(BboltFile.open({ disk: systemDisk, path })).rejects.toMatchObject({
      code: Status.NOT_FOUND,
    });
  });

  it("refuses keys out of order and buckets written twice", async () => {
    const writer = await BboltWriter.create({ disk: systemDisk, path: newPath() });
    const bucket = writer.bucket("key");
    bucket.add(Buffer.from("b"), Buffer.alloc(1));
    expect(() => bucket.add(Buffer.from("b"), Buffer.alloc(1))).toThrow("ascend");
    expect(() => bucket.add(Buffer.from("a"), Buffer.alloc(1))).toThrow("ascend");
    expect(() => bucket.add(Buffer.alloc(0), Buffer.alloc(1))).toThrow("1 to 32768");
    writer.bucket("other");
    expect(() => bucket.add(Buffer.from("c"), Buffer.alloc(1))).toThrow("another bucket");
    expect(() => writer.bucket("key")).toThrow("twice");
    await writer.abort();
  });
});

describe("a damaged file", () => {
  it("gives an error that says so, or what was written", { timeout: 60_000 }, async () => {
    const disk = new MemoryDisk(1);
    await disk.makeFolder("/d");
    const long = Buffer.alloc(6_000, 0x61);
    const content = {
      key: numbered(700, 60),
      // Long keys make a deep tree.
      deep: numbered(80, 10).map(
        ([key, value]) => [Buffer.concat([Buffer.alloc(900, 1), key]), value] as const,
      ),
      big: [
        [Buffer.from("a"), Buffer.alloc(20_000, 7)],
        [long, Buffer.alloc(9_000, 7)],
      ] as const,
      meta: [[Buffer.from("term"), Buffer.alloc(8, 3)]] as const,
    };
    const intact = await contentOf(disk, await write(content, "/d/a", disk));
    const random = new Random(9);
    let refused = 0;
    const rounds = 500;
    for (let round = 0; round < rounds; round++) {
      const bytes = damage(Buffer.from(intact), random);
      const path = "/d/b";
      await disk.remove(path);
      await disk.syncFolder("/d");
      const raw = await disk.open(path, "create-exclusive");
      await raw.write(bytes, 0, bytes.length, 0);
      try {
        const file = await BboltFile.open({ disk, path });
        await file.get("key", Buffer.from("x"));
        for (const name of file.bucketNames()) {
          for await (const batch of file.scan(name)) expect(batch.count).toBeGreaterThan(0);
        }
        await file.check();
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        expect(error.code).toBe(Status.DATA_LOSS);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(rounds / 2);
  });
});

async function contentOf(disk: MemoryDisk, path: string): Promise<Buffer> {
  const raw = await disk.open(path, "read");
  const bytes = Buffer.alloc(await raw.size());
  await raw.read(bytes, 0);
  return bytes;
}

/** Flips, copies or cuts; mostly in page headers and tables, where it matters. */
function damage(bytes: Buffer, random: Random): Buffer {
  const pages = bytes.length / 4096;
  const page = 2 + random.below(pages - 2);
  switch (random.below(7)) {
    case 0:
      bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    case 1: {
      const at = page * 4096 + 8 + random.below(120);
      bytes[at] = random.below(256);
      return bytes;
    }
    case 2: {
      const at = page * 4096 + 4 * random.below(40);
      bytes.writeUInt32LE(random.pick([0, 1, 0xffff, 0xffff_ffff, 0x7fff_ffff, page]), at);
      return bytes;
    }
    case 3: {
      // A page led to twice, or a cycle: one table copied over another, the id kept.
      const from = 2 + random.below(pages - 2);
      bytes.copy(bytes, page * 4096 + 8, from * 4096 + 8, (from + 1) * 4096);
      return bytes;
    }
    case 4:
      return bytes.subarray(0, random.below(bytes.length));
    case 5:
      return damageMeta(bytes, random, pages);
    default:
      bytes.writeUInt8(random.below(256), random.below(8192));
      bytes.writeUInt8(random.below(256), page * 4096 + 16 + random.below(60));
      return bytes;
  }
}

/** Numbers that make no sense, under a checksum that is right. */
function damageMeta(bytes: Buffer, random: Random, pages: number): Buffer {
  const meta = decodeMetaPage(bytes);
  if (typeof meta === "string") return bytes;
  const field = random.pick(["rootPage", "freelistPage", "pageEnd"] as const);
  const numbers = [0, 1, 2, 3, random.below(pages), pages, pages + 1, 2 ** 40, 2 ** 53 - 1];
  encodeMetaPage({ ...meta, [field]: random.pick(numbers) }).copy(bytes);
  return bytes;
}
