import { expect, test } from "vitest";
import { Random } from "../base/random.ts";
import { MemoryDisk, systemError } from "../io/disk-memory.ts";
import { segmentFileName } from "./format.ts";
import { Wal, WalCorruptError, type WalEntry, WalFailedError, WalFullError } from "./wal.ts";

const folder = "/data/wal";
const segmentBytes = 20_000;
const ids = { nodeId: 7n, clusterId: 0xcdf8_1819_4e3a_8c32n };
const first = `${folder}/${segmentFileName(0, 0)}`;

const create = (disk: MemoryDisk) => Wal.create({ folder, segmentBytes, ...ids }, { disk });
const open = (disk: MemoryDisk, index?: number) =>
  Wal.open({ folder, segmentBytes, from: index === undefined ? undefined : { index } }, { disk });

function entry(index: number, random: Random, lengthMax = 900): WalEntry {
  const data = random.bytes(random.below(lengthMax));
  if (random.chance(0.1)) data.fill(0);
  return { term: 1, index, type: 0, data };
}

/** Appends a batch whose hard state commits what went before, as a lone member does. */
async function appendBatch(wal: Wal, random: Random, log: WalEntry[], count: number) {
  const batch: WalEntry[] = [];
  for (let i = 0; i < count; i++) batch.push(entry(log.length + i + 1, random));
  await wal.append(batch, { term: 1, vote: 7n, commit: log.length }, true);
  log.push(...batch);
}

function expectSame(found: readonly WalEntry[], expected: readonly WalEntry[]) {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++) {
    expect(found[i]?.index).toBe(expected[i]?.index);
    if (!found[i]?.data || Buffer.compare(found[i]!.data, expected[i]!.data) !== 0) {
      throw new Error(`entry ${i + 1} differs`);
    }
  }
}

test("what was appended is there after opening, across segments", async () => {
  const disk = new MemoryDisk(1);
  const random = new Random(1);
  const log: WalEntry[] = [];
  const wal = await create(disk);
  for (let i = 0; i < 100; i++) await appendBatch(wal, random, log, random.below(8));
  expect(wal.segmentCount).toBeGreaterThan(3);
  await wal.close();
  const { wal: again, recovered } = await open(disk);
  expectSame(recovered.entries, log);
  expect(recovered).toMatchObject({ ...ids, tornBytes: 0, lastIndex: log.length });
  await appendBatch(again, random, log, 3);
  await again.saveSnapshot({ index: 150, term: 1, confState: Buffer.from([8, 7]) });
  const before = again.segmentCount;
  await again.release(200);
  expect(again.segmentCount).toBeLessThan(before);
  await again.close();
  const tail = await open(disk, 160);
  expectSame(tail.recovered.entries, log.slice(160));
  expect(tail.recovered.snapshot.index).toBe(150);
  await tail.wal.close();
  await expect(open(disk, 3)).rejects.toThrow(WalCorruptError);
  await expect(open(disk, log.length + 1)).rejects.toThrow("which the database holds");
});

test("as many segments stay as were asked for", async () => {
  const disk = new MemoryDisk(3);
  const random = new Random(3);
  const log: WalEntry[] = [];
  const written = await create(disk);
  for (let i = 0; i < 100; i++) await appendBatch(written, random, log, random.below(8));
  expect(written.segmentCount).toBeGreaterThan(3);
  await written.close();
  for (const keptSegments of [0, 4, 2]) {
    const from = { index: log.length, term: 1 };
    const { wal } = await Wal.open({ folder, segmentBytes, keptSegments, from }, { disk });
    await wal.saveSnapshot({ index: log.length, term: 1, confState: Buffer.from([8, 7]) });
    const { segmentCount } = wal;
    await wal.release(log.length);
    expect(wal.segmentCount).toBe(keptSegments || segmentCount);
    await wal.close();
  }
});

test("later entries replace earlier ones; concurrent appends share a write", async () => {
  const disk = new MemoryDisk(2);
  const wal = await create(disk);
  const data = Buffer.from("x");
  const at = (term: number, index: number) => ({ term, index, type: 0, data });
  await Promise.all([
    wal.append([at(1, 1), at(1, 2)], undefined, true),
    wal.append([at(1, 3)], { term: 1, vote: 7n, commit: 1 }, true),
    wal.append([at(2, 2)], { term: 2, vote: 9n, commit: 1 }, true),
  ]);
  await wal.append([], { term: 2, vote: 9n, commit: 2 }, false);
  await wal.close();
  const { recovered, wal: again } = await open(disk);
  expect(recovered.entries.map((e) => [e.term, e.index])).toEqual([
    [1, 1],
    [2, 2],
  ]);
  expect(recovered.hardState).toEqual({ term: 2, vote: 9n, commit: 2 });
  await again.close();
});

test("power loss at any write: everything acknowledged is there, and nothing out of order", async () => {
  for (let seed = 0; seed < 150; seed++) {
    const disk = new MemoryDisk(seed);
    const random = new Random(seed + 1000);
    const log: WalEntry[] = [];
    let wal = await create(disk);
    for (let life = 0; life < 3; life++) {
      disk.writesUntilCrash = random.below(40);
      const attempted = [...log];
      try {
        for (;;) {
          const count = random.below(6) + 1;
          const base = attempted.length;
          for (let i = 0; i < count; i++) attempted.push(entry(base + i + 1, random));
          await wal.append(attempted.slice(base), { term: 1, vote: 7n, commit: base }, true);
          log.push(...attempted.slice(base));
        }
      } catch (error) {
        expect(error).toBeInstanceOf(WalFailedError);
      }
      disk.crash();
      const opened = await open(disk);
      const found = opened.recovered.entries;
      expect(found.length).toBeGreaterThanOrEqual(log.length);
      expectSame(found, attempted.slice(0, found.length));
      log.splice(0, log.length, ...found);
      wal = opened.wal;
    }
    await wal.close();
  }
});

test("a flipped byte before the last two appends is always found", async () => {
  const disk = new MemoryDisk(3);
  const random = new Random(3);
  const log: WalEntry[] = [];
  const wal = await create(disk);
  while (wal.segmentCount < 3) await appendBatch(wal, random, log, 1 + random.below(4));
  for (let i = 0; i < 4; i++) await appendBatch(wal, random, log, 2);
  const names = (await disk.list(folder)).filter((name) => name.endsWith(".wal"));
  const lastStart = wal.sizeBytes - 2 * segmentBytes;
  await appendBatch(wal, random, log, 2);
  await appendBatch(wal, random, log, 2);
  await wal.close();
  for (let i = 0; i < 600; i++) {
    const place = random.below(names.length);
    const path = `${folder}/${names[place]}`;
    const bytes = disk.bytesOf(path);
    const at = random.below(place === names.length - 1 ? lastStart : bytes.length);
    const old = bytes[at] as number;
    bytes[at] = random.chance(0.3) && old !== 0 ? 0 : old ^ (1 << random.below(8));
    const error = await open(disk).then(
      () => `flip at ${at} of ${names[place]} (${old}) not found`,
      (failure: unknown) => failure,
    );
    expect(error).toBeInstanceOf(WalCorruptError);
    bytes[at] = old;
  }
  const { wal: whole, recovered } = await open(disk);
  expectSame(recovered.entries, log);
  await whole.close();
});

test("a cut or missing segment is named", async () => {
  const disk = new MemoryDisk(4);
  const random = new Random(4);
  const wal = await create(disk);
  const log: WalEntry[] = [];
  while (wal.segmentCount < 4) await appendBatch(wal, random, log, 3);
  await appendBatch(wal, random, log, 5);
  await wal.close();
  const names = (await disk.list(folder)).filter((name) => name.endsWith(".wal"));
  for (const [place, name] of names.entries()) {
    const path = `${folder}/${name}`;
    const bytes = Buffer.from(disk.bytesOf(path));
    disk.replace(path, Buffer.from(bytes.subarray(0, place === 3 ? 1501 : bytes.length - 100)));
    await expect(open(disk)).rejects.toMatchObject({ file: path });
    disk.replace(path, bytes);
    if (place === 0 || place === 3) continue;
    await disk.remove(path);
    await expect(open(disk)).rejects.toThrow("missing");
    disk.replace(path, bytes);
  }
  await disk.remove(first);
  await expect(open(disk, 0)).rejects.toThrow(WalCorruptError);
});

test("a full disk refuses, loses nothing, and takes appends again when space returns", async () => {
  const disk = new MemoryDisk(5);
  const random = new Random(5);
  const log: WalEntry[] = [];
  const wal = await create(disk);
  disk.capacityBytes = 300_000;
  let refused = 0;
  for (let i = 0; i < 1500; i++) {
    if (i % 300 === 299) disk.capacityBytes += 300_000;
    try {
      await appendBatch(wal, random, log, 1 + random.below(3));
    } catch (error) {
      expect(error).toBeInstanceOf(WalFullError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(10);
  disk.crash();
  const { wal: again, recovered } = await open(disk);
  expectSame(recovered.entries, log);
  await again.close();
});

test("a failed write ends the log until it is opened again", async () => {
  const disk = new MemoryDisk(6);
  const random = new Random(6);
  const log: WalEntry[] = [];
  const wal = await create(disk);
  await appendBatch(wal, random, log, 2);
  disk.fault = (operation, path) => (operation === "write" ? systemError("EIO", path) : undefined);
  await expect(appendBatch(wal, random, [...log], 2)).rejects.toThrow(WalFailedError);
  disk.fault = () => undefined;
  await expect(appendBatch(wal, random, [...log], 2)).rejects.toThrow(WalFailedError);
  await wal.close();
  const { wal: again, recovered } = await open(disk);
  expectSame(recovered.entries, log);
  await again.close();
});

test("a segment may begin with a note of a snapshot that trails the log", async () => {
  const disk = new MemoryDisk(5);
  const random = new Random(5);
  const log: WalEntry[] = [];
  const wal = await create(disk);
  while (wal.segmentCount === 1 && wal.sizeBytes < segmentBytes) {
    await appendBatch(wal, random, log, 3);
  }
  // The note cuts the log; the entries that it speaks of lie in the segment before.
  await wal.saveSnapshot({ index: log.length - 2, term: 1, confState: Buffer.from([8, 7]) });
  expect(wal.segmentCount).toBe(2);
  const cutAt = log.length;
  await wal.close();
  const { wal: again } = await open(disk, cutAt);
  await appendBatch(again, random, log, 2);
  await again.close();
  const reopened = await open(disk, cutAt + 1);
  expectSame(reopened.recovered.entries, log.slice(cutAt + 1));
  await reopened.wal.close();
});
