// A member's state goes into a database file and comes back as a database; databases take each other's place
// whatever crashes in between.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../io/clock.ts";
import { systemDisk } from "../../io/disk.ts";
import { MemoryDisk } from "../../io/disk-memory.ts";
import { Lessor } from "../../lease/lessor.ts";
import { readMarks } from "../../mvcc/export.ts";
import { Store } from "../../mvcc/store.ts";
import type { Backend } from "../../storage/backend.ts";
import { BboltFile } from "../../storage/bbolt/bbolt-file.ts";
import { BboltWriter } from "../../storage/bbolt/bbolt-writer.ts";
import { LmdbFiles } from "../../storage/database-files.ts";
import { MemoryBackend } from "../../storage/memory-backend.ts";
import { MemoryDatabaseFiles } from "../../storage/memory-database-files.ts";
import { AlarmSet } from "../apply/alarm-set.ts";
import { MetaKey } from "../apply/state-machine.ts";
import { encodeConfState } from "../members/conf-state.ts";
import { Membership } from "../members/membership.ts";
import { buildDatabase } from "./build-database.ts";
import { finishInstall } from "./install-database.ts";
import { MemberSnapshots } from "./member-snapshots.ts";
import { confStateJson, parseConfState } from "./schema.ts";
import type { SnapshotPoint } from "./snapshot-files.ts";
import { removeLeftovers } from "./snapshot-reader.ts";
import { writeDatabaseFile } from "./write-database-file.ts";

const clock = systemClock;
const bytes = (text: string) => Buffer.from(text);
const confState = {
  voters: [2n, 0xffff_ffff_ffff_fff0n],
  learners: [3n],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "portal-snapshot-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A state with something in every bucket. */
async function filledStore(backend: Backend, puts = 50): Promise<Store> {
  const store = Store.open({}, { backend });
  const lessor = Lessor.open({ minTtlSeconds: 1 }, { rows: store, backend });
  store.onLeaseChange = (key, from, to) => {
    if (from !== 0n) lessor.detach(from, key);
    if (to !== 0n) lessor.attach(to, key);
  };
  lessor.grant(77n, 600, 0);
  lessor.grant(-1n, 600, 0);
  lessor.checkpoint(77n, 300, 0);
  for (let i = 0; i < puts; i++) {
    const txn = store.begin();
    const key = i % 20;
    if (i % 7 === 6) txn.deleteRange(bytes(`key${key}`), bytes(`key${key}0`), false);
    else
      txn.put(
        bytes(`key${key}`),
        bytes(`value ${i} ${"x".repeat(i * 3)}`),
        key === 5 ? 77n : 0n,
        false,
      );
    txn.end();
  }
  const long = (end: string) => Buffer.alloc(3000, end);
  const txn = store.begin();
  for (const end of ["a", "b", "c"]) txn.put(long(end), bytes("long"), 77n, false);
  txn.put(long("b"), bytes("off"), 0n, false);
  txn.end();
  store.compact(20);
  const membership = new Membership(undefined);
  const unstarted = { name: "", clientURLs: [], isLearner: false };
  membership.restore({
    members: [
      {
        ID: confState.voters[1] as bigint,
        name: 'na"me',
        peerURLs: ["http://a:1", "http://b<>:2"],
        clientURLs: ["http://c:3"],
        isLearner: false,
      },
      { ...unstarted, ID: 2n, peerURLs: ["http://d:1"] },
      { ...unstarted, ID: 3n, peerURLs: ["http://e:1"], isLearner: true },
    ],
    removed: [9n, 0xabcdn],
  });
  membership.setClusterVersion("3.7.0");
  const alarms = new AlarmSet(undefined);
  alarms.activate(2n, 1);
  store.setMeta(MetaKey.members, membership.encode());
  store.setMeta(MetaKey.alarms, alarms.encode());
  store.setMeta(MetaKey.term, bytes("7"));
  store.setMeta(MetaKey.confState, encodeConfState(confState));
  store.stage("auth", bytes("authRevision"), Buffer.from([0, 0, 0, 0, 0, 0, 0, 9]));
  store.stage("authUsers", bytes("root"), bytes("opaque"));
  store.stage("authRoles", bytes("root"), bytes("also opaque"));
  await store.flush(100 + puts);
  while (store.compactionStep()) await new Promise((resolve) => setImmediate(resolve));
  return store;
}

function rowsOf(backend: Backend, table: Parameters<Backend["scan"]>[0]): [string, string][] {
  const rows: [string, string][] = [];
  backend.scan(table, {}, (key, value) => {
    rows.push([key.toString("latin1"), value.toString("latin1")]);
    return undefined;
  });
  return rows;
}

function leasesOf(backend: Backend): unknown {
  const lessor = Lessor.open({ minTtlSeconds: 1 }, { rows: { stage: () => {} }, backend });
  return [lessor.size, lessor.timeToLive(77n, 0, true), lessor.timeToLive(-1n, 0, true)];
}

/** Tables that must come out as they went in; where history lies in its chunks may differ. */
const equalTables = ["lease", "auth", "authUsers", "authRoles", "meta"] as const;

function expectEqualStates(actual: Backend, expected: Backend): void {
  const a = Store.open({}, { backend: actual });
  const b = Store.open({}, { backend: expected });
  expect(a.hash()).toBe(b.hash());
  expect(a.currentRevision).toBe(b.currentRevision);
  for (let r = Math.max(1, b.compactRevision); r <= b.currentRevision; r++) {
    expect(a.hashKv(r)).toEqual(b.hashKv(r));
    const range = { key: bytes("\0"), rangeEnd: bytes("\0"), revision: r } as never;
    expect(a.range(range)).toEqual(b.range(range));
  }
  expect(leasesOf(actual)).toEqual(leasesOf(expected));
  for (const table of equalTables) expect(rowsOf(actual, table)).toEqual(rowsOf(expected, table));
}

async function copyThroughFile(store: Store, folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const snapshot = store.snapshot();
  await writeDatabaseFile({ snapshot, disk: systemDisk, path, clock });
  snapshot.close();
  return path;
}

test("a state goes into a file and comes back", async () => {
  const folder = await makeFolder();
  const source = new MemoryBackend();
  const store = await filledStore(source);
  const snapshot = store.snapshot();
  const path = join(folder, "file");
  const facts = await writeDatabaseFile({ snapshot, disk: systemDisk, path, clock });
  expect(facts).toMatchObject({ index: 150, term: 7, confState, revision: store.currentRevision });
  const file = await BboltFile.open({ disk: systemDisk, path });
  await file.check();
  expect(facts.sizeBytes).toBe(file.sizeBytes);
  expect(file.bucketNames().map(String)).toEqual([
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "key",
    "lease",
    "members",
    "members_removed",
    "meta",
  ]);
  const row = async (bucket: string, key: string) => String(await file.get(bucket, bytes(key)));
  expect(await row("members", "fffffffffffffff0")).toBe(
    '{"id":18446744073709551600,"peerURLs":["http://a:1","http://b\\u003c\\u003e:2"],"name":"na\\"me","clientURLs":["http://c:3"]}',
  );
  expect(await row("members", "3")).toBe('{"id":3,"peerURLs":["http://e:1"],"isLearner":true}');
  expect(await row("members_removed", "abcd")).toBe("removed");
  expect(await row("cluster", "clusterVersion")).toBe("3.7.0");
  expect(await row("meta", "storageVersion")).toBe("3.7.0");
  expect(await row("meta", "confState")).toBe(
    '{"voters":[2,18446744073709551600],"learners":[3],"auto_leave":false}',
  );
  await file.close();
  const target = new MemoryBackend();
  const point = await buildDatabase({ disk: systemDisk, path, backend: target, clock });
  expect(point).toEqual({ index: 150, term: 7, confState: { ...confState } });
  expectEqualStates(target, source);
});

test("conf states keep all digits of their ids", () => {
  for (const state of [
    confState,
    { ...confState, votersOutgoing: [5n], learnersNext: [2n ** 63n], autoLeave: true },
  ]) {
    expect(parseConfState(confStateJson(state))).toEqual(state);
  }
  expect(() => parseConfState("{")).toThrow(/confState/);
  expect(() => parseConfState('{"voters":[-1]}')).toThrow(/confState/);
});

test("the place that a snapshot was sent for counts, and a file must not be ahead of it", async () => {
  const folder = await makeFolder();
  const store = await filledStore(new MemoryBackend());
  const path = await copyThroughFile(store, folder, "file");
  const backend = new MemoryBackend();
  const point: SnapshotPoint = { index: 160, term: 8, confState: { ...confState, voters: [1n] } };
  await buildDatabase({ disk: systemDisk, path, backend, clock, point });
  expect(readMarks(backend).consistentIndex).toBe(160);
  expect(String(backend.get("meta", bytes(MetaKey.term)))).toBe("8");
  const early = buildDatabase({
    disk: systemDisk,
    path,
    backend: new MemoryBackend(),
    clock,
    point: { ...point, index: 140 },
  });
  await expect(early).rejects.toThrow(/of entry 150/);
});

test("a damaged file is refused, whichever bucket is wrong", async () => {
  const folder = await makeFolder();
  const bad: [bucket: string, key: Buffer, value: Buffer][] = [
    ["key", bytes("short"), bytes("")],
    ["lease", bytes("12345678"), bytes("")],
    ["lease", bytes("1"), bytes("")],
    ["members", bytes("xyz"), bytes("{}")],
    ["members", bytes("1"), bytes("not json")],
    ["alarm", Buffer.from([0xff]), bytes("")],
    ["meta", bytes("consistent_index"), bytes("x")],
    ["meta", bytes("scheduledCompactRev"), bytes("x")],
    ["meta", bytes("confState"), bytes("[")],
    ["cluster", bytes("downgrade"), bytes("[")],
  ];
  for (const [i, [bucket, key, value]] of bad.entries()) {
    const path = join(folder, `bad${i}`);
    const writer = await BboltWriter.create({ disk: systemDisk, path });
    writer.bucket(bucket).add(key, value);
    await writer.finish();
    const built = buildDatabase({ disk: systemDisk, path, backend: new MemoryBackend(), clock });
    await expect(built, bucket).rejects.toMatchObject({ code: 15 });
  }
});

test("a member goes over to another state while it is read, on LMDB", async () => {
  const folder = await makeFolder();
  const databases = new LmdbFiles();
  const store = Store.open({}, { backend: await databases.open(join(folder, "db")) });
  let index = 0;
  const snapshots = new MemberSnapshots({
    clock,
    disk: systemDisk,
    databases,
    memberFolder: folder,
    tempFolder: join(folder, "snap"),
    store,
    appliedIndex: () => index,
  });
  cleanups.push(async () => {
    await snapshots.close();
    await store.close();
  });
  const adopted: Backend[] = [];
  store.onAdopted = (backend) => adopted.push(backend);
  for (let round = 1; round <= 2; round++) {
    const source = new MemoryBackend();
    const leader = await filledStore(source, 30 * round);
    const path = await copyThroughFile(leader, folder, `received${round}`);
    // Someone still reads the old state.
    const writing = snapshots.write(join(folder, `sent${round}`));
    let noted = false;
    const before = index;
    if (round === 2) {
      // Built beforehand, twice, and another one in between that the member does not go over to.
      const point = { index: 160, term: 7, confState };
      const other = snapshots.prepare(path, { ...point, index: 161 });
      await Promise.all([snapshots.prepare(path, point), other, snapshots.prepare(path, point)]);
      await expect(snapshots.prepare(path, { ...point, index: 159 })).rejects.toThrow(/of entry/);
      // Too late to be wanted.
      await snapshots.prepare("/nowhere", { ...point, index: before });
      await snapshots.prepare(path, point);
    }
    index = 100 + 30 * round;
    await snapshots.install(path, { index, term: 7, confState }, async () => {
      expect(await readdir(folder)).toContain("db.next");
      noted = true;
    });
    expect(noted).toBe(true);
    expect(adopted).toHaveLength(round);
    expectEqualStates(store.backend, source);
    await writing;
    // And it goes on: with writes, sizes and snapshots of its own.
    const txn = store.begin();
    txn.put(bytes("new"), bytes("x"), 0n, false);
    txn.end();
    index++;
    await store.flush(index);
    expect(store.size().totalBytes).toBeGreaterThan(0);
    expect(await snapshots.write(join(folder, `own${round}`))).toMatchObject({
      index,
      revision: store.currentRevision,
    });
    const names = (await readdir(folder)).filter((name) => name.startsWith("db"));
    expect(names).toEqual(["db", "db-lock"]);
  }
  await snapshots.close();
  const { currentRevision } = store;
  await store.close();
  const again = Store.open({}, { backend: await databases.open(join(folder, "db")) });
  expect(again.currentRevision).toBe(currentRevision);
  expect(again.consistentIndex).toBe(index);
  await again.close();
});

test("a crash at any step of an installation leaves the old state or the new one", async () => {
  const disk = new MemoryDisk(1);
  await disk.makeFolder("/m");
  const leader = new MemoryBackend();
  const path = "/m/received";
  const snapshot = (await filledStore(leader)).snapshot();
  await writeDatabaseFile({ snapshot, disk, path, clock });
  const point: SnapshotPoint = { index: 150, term: 7, confState };
  const outcomes: string[] = [];
  for (let crashAt = 0; ; crashAt++) {
    const databases = new MemoryDatabaseFiles();
    const store = Store.open({}, { backend: await databases.open("/m/db") });
    const txn = store.begin();
    txn.put(bytes("old"), bytes("state"), 0n, false);
    txn.end();
    await store.flush(40);
    let step = 0;
    let loggedIndex = 0;
    const crash = () => {
      if (step++ === crashAt) throw new Error("crash");
    };
    databases.onStep = crash;
    const snapshots = new MemberSnapshots({
      clock,
      disk,
      databases,
      memberFolder: "/m",
      tempFolder: "/m/snap",
      store,
      appliedIndex: () => 40,
    });
    const note = async () => {
      crash();
      loggedIndex = point.index;
      crash();
    };
    const isPrepared = crashAt % 2 === 1;
    const installed = isPrepared
      ? snapshots.prepare(path, point).then(() => snapshots.install(path, point, note))
      : snapshots.install(path, point, note);
    const isDone = await installed.then(
      () => true,
      () => false,
    );
    databases.crash();
    databases.onStep = () => {};
    // Also the start that mends it may crash, at each of its steps.
    for (let again = 0; ; again++) {
      let startStep = 0;
      databases.onStep = () => {
        if (startStep++ === again) throw new Error("crash");
      };
      const isMended = await finishInstall(databases, "/m", loggedIndex).then(
        () => true,
        (error: Error) => {
          expect(error.message).toBe("crash");
          return false;
        },
      );
      databases.crash();
      if (isMended) break;
    }
    databases.onStep = () => {};
    expect(databases.names()).toEqual(["/m/db"]);
    const backend = await databases.open("/m/db");
    if (loggedIndex > 0) expectEqualStates(backend, leader);
    else expect(readMarks(backend)).toMatchObject({ consistentIndex: 40, revision: 2 });
    outcomes.push(loggedIndex > 0 ? "new" : "old");
    await snapshots.close();
    if (isDone) break;
  }
  expect(outcomes.length).toBeGreaterThan(6);
  expect(new Set(outcomes)).toEqual(new Set(["old", "new"]));
});

test("a log that relies on a database that is gone refuses to start", async () => {
  const databases = new MemoryDatabaseFiles();
  await filledStore(await databases.open("/m/db"));
  await expect(finishInstall(databases, "/m", 151)).rejects.toMatchObject({ code: 15 });
  await finishInstall(databases, "/m", 150);
});

test("writes are few at a time, can be cancelled, and end when the member closes", async () => {
  const disk = new MemoryDisk(1);
  await disk.makeFolder("/m");
  const databases = new MemoryDatabaseFiles();
  const store = await filledStore(await databases.open("/m/db"));
  const snapshots = new MemberSnapshots({
    clock,
    disk,
    databases,
    memberFolder: "/m",
    tempFolder: "/m/snap",
    store,
    appliedIndex: () => 150,
  });
  const cancel = new AbortController();
  const write = (name: string, signal?: AbortSignal) =>
    snapshots.write(`/m/${name}`, signal).then(
      () => "written",
      (error: Error) => error.message,
    );
  const outcomes = Array.from({ length: 20 }, (_, i) =>
    write(`file${i}`, i === 5 || i === 1 ? cancel.signal : undefined),
  );
  cancel.abort();
  const all = await Promise.all(outcomes);
  for (const i of [1, 5]) expect(all[i]).toMatch(/cancelled/);
  for (const i of [18, 19]) expect(all[i]).toMatch(/too many requests/);
  expect(all.filter((outcome) => outcome === "written")).toHaveLength(16);
  const late = Promise.all(Array.from({ length: 5 }, (_, i) => write(`late${i}`)));
  await snapshots.close();
  for (const outcome of await late) expect(outcome).toMatch(/stopped/);
  const left = (await disk.list("/m")).filter((name) => name !== "snap");
  expect(left).toHaveLength(16);
});

test("a reader has its file for itself, and leaves nothing", async () => {
  const disk = new MemoryDisk(1);
  await disk.makeFolder("/m");
  const databases = new MemoryDatabaseFiles();
  const store = await filledStore(await databases.open("/m/db"));
  const snapshots = new MemberSnapshots({
    clock,
    disk,
    databases,
    memberFolder: "/m",
    tempFolder: "/m/snap",
    store,
    appliedIndex: () => 150,
  });
  const { signal } = new AbortController();
  const readers = await Promise.all([1, 2, 3, 4].map(() => snapshots.open(signal)));
  await expect(snapshots.open(signal)).rejects.toThrow(/too many requests/);
  const contents = await Promise.all(
    readers.map(async (reader) => {
      const content = Buffer.alloc(reader.sizeBytes + 1);
      expect(await reader.read(content, 0)).toBe(reader.sizeBytes);
      return content;
    }),
  );
  for (const content of contents) expect(content.equals(contents[0] as Buffer)).toBe(true);
  expect(await disk.list("/m/snap")).toHaveLength(4);
  await readers[0]?.close();
  expect(await disk.list("/m/snap")).toHaveLength(3);
  databases.free = 1024 * 1024;
  await expect(snapshots.open(signal)).rejects.toMatchObject({ code: 8 });
  databases.free = Number.POSITIVE_INFINITY;
  const cancelled = new AbortController();
  cancelled.abort();
  await expect(snapshots.open(cancelled.signal)).rejects.toThrow(/cancelled/);
  expect(await disk.list("/m/snap")).toHaveLength(3);
  // The other readers' process dies; a received file was not taken over either.
  for (const name of ["0000000000000010.snap.db", "0000000000000011.snap.db.1e1c.part", "kept"]) {
    await (await disk.open(`/m/snap/${name}`, "create-exclusive")).close();
  }
  await removeLeftovers(disk, "/m/snap");
  expect(await disk.list("/m/snap")).toEqual(["kept"]);
});
