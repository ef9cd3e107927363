// Entries that an earlier leader left behind, and that a later one or a snapshot has replaced: none of them may
// come back, or a member would vote as if it had a log that it does not have.

import { expect, test } from "vitest";
import { MemoryDisk } from "../io/disk-memory.ts";
import { Wal, type WalEntry } from "./wal.ts";

const folder = "/data/wal";
const confState = Buffer.from([8, 7]);

function entries(from: number, to: number, term: number): WalEntry[] {
  const list: WalEntry[] = [];
  for (let index = from; index <= to; index++) {
    list.push({ term, index, type: 0, data: Buffer.from(`${index}`) });
  }
  return list;
}

async function create(): Promise<{ disk: MemoryDisk; wal: Wal }> {
  const disk = new MemoryDisk(1);
  const wal = await Wal.create({ folder, nodeId: 7n, clusterId: 8n }, { disk });
  return { disk, wal };
}

async function reopen(disk: MemoryDisk, wal: Wal, index: number, term: number) {
  await wal.close();
  const opened = await Wal.open({ folder, from: { index, term } }, { disk });
  return opened;
}

test("what a later leader replaced up to the start does not come back behind it", async () => {
  const { disk, wal } = await create();
  await wal.append(entries(1, 50, 2), { term: 2, vote: 7n, commit: 20 }, true);
  await wal.append(entries(21, 30, 3), { term: 3, vote: 7n, commit: 30 }, true);
  const { recovered } = await reopen(disk, wal, 30, 3);
  expect(recovered.entries).toEqual([]);
  expect(recovered.lastIndex).toBe(30);
});

test("a snapshot of another member ends the log that it came in place of", async () => {
  const { disk, wal } = await create();
  await wal.append(entries(1, 50, 2), { term: 2, vote: 7n, commit: 10 }, true);
  void wal.append([], { term: 5, vote: 0n, commit: 40 }, false);
  await wal.saveSnapshot({ index: 40, term: 5, confState });
  const first = await reopen(disk, wal, 40, 5);
  expect(first.recovered).toMatchObject({ entries: [], lastIndex: 40, snapshot: { index: 40 } });
  await first.wal.append(entries(41, 43, 5), { term: 5, vote: 0n, commit: 43 }, true);
  const second = await reopen(disk, first.wal, 40, 5);
  expect(second.recovered.entries.map(({ index, term }) => [index, term])).toEqual([
    [41, 5],
    [42, 5],
    [43, 5],
  ]);
});

test("a note on what the database holds leaves the entries behind it", async () => {
  const { disk, wal } = await create();
  await wal.append(entries(1, 50, 2), { term: 2, vote: 7n, commit: 45 }, true);
  await wal.saveSnapshot({ index: 40, term: 2, confState });
  const { recovered } = await reopen(disk, wal, 40, 2);
  expect(recovered.entries.map(({ index }) => index)).toEqual([
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
  ]);
});

test("noting the same snapshot again keeps what came after the first note", async () => {
  const { disk, wal } = await create();
  await wal.append(entries(1, 50, 2), { term: 2, vote: 7n, commit: 10 }, true);
  void wal.append([], { term: 5, vote: 0n, commit: 60 }, false);
  await wal.saveSnapshot({ index: 60, term: 5, confState });
  await wal.append(entries(61, 63, 5), { term: 5, vote: 0n, commit: 60 }, true);
  await wal.saveSnapshot({ index: 60, term: 5, confState });
  const { recovered } = await reopen(disk, wal, 60, 5);
  expect(recovered.entries.map(({ index }) => index)).toEqual([61, 62, 63]);
});
