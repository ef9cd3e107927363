// A database goes out as rows and comes back as another one: both answer every question alike, also those about
// the past, and both go on alike.

import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { HistoryExport, readMarks } from "./export.ts";
import { StoreImporter } from "./import.ts";
import { StoreModel } from "./model.ts";
import { Store } from "./store.ts";
import { WatchHub } from "./watch-hub.ts";
import { RecordingSink, runHub } from "./watch-testing.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A store with the model beside it and all it was told. */
class Subject {
  backend = new MemoryBackend();
  readonly model = new StoreModel();
  readonly store = Store.open({}, { backend: this.backend });
  index = 0;

  apply(command: Command): void {
    this.index++;
    if (command.kind === "compact") {
      const revision = Math.max(0, this.model.currentRevision - command.ago);
      expect(this.store.compact(revision)).toEqual(this.model.compact(revision));
      return;
    }
    if (command.kind !== "txn") return;
    applyTo(this.store, command.operations);
    this.model.execute(command.operations);
  }

  async flush(): Promise<void> {
    await this.store.flush(this.index);
  }
}

type Operation =
  | { kind: "put"; key: string; value: string; lease: bigint }
  | { kind: "delete"; key: string; rangeEnd?: string };
type Command =
  | { kind: "txn"; operations: Operation[] }
  | { kind: "compact"; ago: number }
  | { kind: "flush" }
  | { kind: "steps"; count: number };

function applyTo(store: Store, operations: readonly Operation[]): void {
  const txn = store.begin();
  for (const operation of operations) {
    if (operation.kind === "put") {
      txn.put(bytes(operation.key), bytes(operation.value), operation.lease, false);
    } else {
      const { rangeEnd } = operation;
      txn.deleteRange(
        bytes(operation.key),
        rangeEnd === undefined ? undefined : bytes(rangeEnd),
        false,
      );
    }
  }
  txn.end();
}

/** All that a store says of itself. */
function describeStore(store: Store): unknown {
  const { currentRevision, compactRevision, keyCount } = store;
  const first = Math.max(1, compactRevision);
  const states: unknown[] = [];
  for (let revision = first; revision <= currentRevision; revision++) {
    const options = { key: bytes("\0"), rangeEnd: bytes("\0"), revision };
    states.push(store.range(options as never), store.hashKv(revision));
  }
  const events = store.eventsSince(first, Number.MAX_SAFE_INTEGER);
  const past =
    "error" in events
      ? events
      : events.events.map(({ kv, prevKv, main, type }) => ({
          main,
          type,
          kv: Buffer.from(kv).toString("latin1"),
          prevKv: prevKv && Buffer.from(prevKv).toString("latin1"),
        }));
  return { currentRevision, compactRevision, keyCount, states, past, hash: store.hash() };
}

async function copy(
  subject: Subject,
  groupRows: number,
  limitBytes: number,
): Promise<MemoryBackend> {
  const snapshot = subject.backend.snapshot();
  const target = new MemoryBackend();
  const importer = new StoreImporter(target, {
    groupRows,
    pause: turn,
    leaseKeys: {
      has: (lease) => lease === 7n,
      add: (lease, key) => ({ name: bytes(`${lease}/${key}`), value: Buffer.alloc(0) }),
      remove: (lease, key) => bytes(`${lease}/${key}`),
    },
  });
  const history = new HistoryExport(snapshot);
  const rows: [Buffer, Buffer][] = [];
  let hasMore = true;
  while (hasMore) {
    hasMore = history.next(limitBytes, (key, source, start, end) => {
      rows.push([Buffer.from(key), Buffer.from(source.subarray(start, end))]);
    });
  }
  for (const [key, value] of rows) {
    if (importer.add(key, value, 0, value.length)) await importer.write();
  }
  await importer.finish(readMarks(snapshot));
  snapshot.close();
  return target;
}

const long = "l".repeat(949);
const key = fc.constantFrom(
  "a",
  "a\0",
  "b",
  "b\xff",
  "c",
  "\xff",
  ...["", "m", "mm", "n"].map((end) => long + end),
);
const value = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: fc.constantFrom("x", "y"), maxLength: 3 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1000, max: 9000 }).map((n) => "v".repeat(n)) },
);
const put = fc.record({
  kind: fc.constant("put" as const),
  key,
  value,
  lease: fc.constantFrom(0n, 0n, 7n, 9n),
});
const remove = fc
  .record({
    kind: fc.constant("delete" as const),
    key,
    rangeEnd: fc.option(fc.constantFrom("c", "\0"), { nil: undefined, freq: 3 }),
  })
  .map(({ rangeEnd, ...rest }) => (rangeEnd === undefined ? rest : { ...rest, rangeEnd }));
const txn = fc
  .array(fc.oneof({ weight: 3, arbitrary: put }, remove), { minLength: 1, maxLength: 3 })
  .map((operations) => ({ kind: "txn" as const, operations }));
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: txn },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("compact" as const), ago: fc.nat({ max: 5 }) }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "flush" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("steps" as const),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
);

async function run(subject: Subject, commands: readonly Command[]): Promise<void> {
  for (const one of commands) {
    subject.apply(one);
    if (one.kind === "flush") await subject.flush();
    if (one.kind !== "steps") continue;
    for (let i = 0; i < one.count; i++) {
      subject.store.compactionStep();
      await turn();
    }
  }
}

async function finishCompaction(store: Store, index: number): Promise<void> {
  await store.flush(index);
  while (store.compactionStep()) await turn();
}

test("a database made of exported rows answers as the one they came from", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 40 }),
      fc.array(command, { maxLength: 15 }),
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom(1, 200, 100_000),
      async (before, after, groupRows, limitBytes) => {
        const subject = new Subject();
        await run(subject, before);
        await subject.flush();
        const backend = await copy(subject, groupRows, limitBytes);
        const copied = Store.open({}, { backend });
        // Opened anew: hashes taken by compactions are remembered in memory only.
        const original = Store.open({}, { backend: subject.backend });
        expect(describeStore(copied)).toEqual(describeStore(original));
        expect(copied.consistentIndex).toBe(subject.index);
        // Both go on, compact and end alike.
        let index = subject.index;
        for (const one of after) {
          index++;
          if (one.kind === "txn") {
            applyTo(copied, one.operations);
            applyTo(original, one.operations);
          } else if (one.kind === "compact") {
            const revision = Math.max(0, copied.currentRevision - one.ago);
            expect(copied.compact(revision)).toEqual(original.compact(revision));
          } else if (one.kind === "flush") {
            await copied.flush(index);
            await original.flush(index);
          }
        }
        await finishCompaction(copied, index);
        await finishCompaction(original, index);
        expect(describeStore(copied)).toEqual(describeStore(original));
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);

test("rows of leases name the live keys on leases that exist", async () => {
  const subject = new Subject();
  const put = (key: string, lease: bigint): Command => ({
    kind: "txn",
    operations: [{ kind: "put", key, value: "v", lease }],
  });
  const commands = [
    put("a", 7n),
    put("b", 7n),
    put("c", 9n),
    put("b", 0n),
    put("d", 7n),
    put("a", 7n),
  ];
  await run(subject, [...commands, { kind: "txn", operations: [{ kind: "delete", key: "d" }] }]);
  await subject.flush();
  for (const groupRows of [1, 3, 100]) {
    const backend = await copy(subject, groupRows, 1000);
    const rows: string[] = [];
    backend.scanKeys("leaseKeys", {}, (row) => {
      rows.push(row.toString());
      return undefined;
    });
    expect(rows).toEqual(["7/a"]);
  }
});

test("watchers get every event once when the store goes on from another database", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(txn, { minLength: 1, maxLength: 12 }),
      fc.array(txn, { maxLength: 12 }),
      fc.array(txn, { maxLength: 6 }),
      fc.array(
        fc.record({
          back: fc.integer({ min: -8, max: 8 }),
          isNow: fc.boolean(),
          stalls: fc.boolean(),
        }),
        {
          minLength: 1,
          maxLength: 6,
        },
      ),
      fc.option(fc.nat({ max: 20 }), { nil: undefined }),
      async (shared, missed, later, watches, compactAgo) => {
        const leader = new Subject();
        const all = new RecordingSink();
        const leaderHub = new WatchHub(leader.store);
        leader.store.onEvents = (batch) => leaderHub.publish(batch);
        leaderHub.watch({ key: bytes("\0"), rangeEnd: Buffer.alloc(0), startRevision: 0 }, all);
        await run(leader, shared);
        await leader.flush();
        const follower = Store.open({}, { backend: await copy(leader, 5, 500) });
        const hub = new WatchHub(follower, {
          runBytesMax: 60,
          chunkBytes: 80,
          cohortWatchersMax: 3,
        });
        follower.onEvents = (batch) => hub.publish(batch);
        const watchers = watches.map(({ back, isNow, stalls }) => {
          const sink = new RecordingSink();
          const startRevision = isNow ? 0 : Math.max(1, follower.currentRevision + 1 - back);
          const from = isNow ? follower.currentRevision + 1 : startRevision;
          const watcher = hub.watch(
            { key: bytes("\0"), rangeEnd: Buffer.alloc(0), startRevision },
            sink,
          );
          return { sink, watcher, from, stalls };
        });
        runHub(hub);
        for (const watched of watchers) watched.sink.full = watched.stalls;
        // Not flushed, not delivered: the other database holds it too.
        await run(leader, missed);
        if (missed[0]) applyTo(follower, missed[0].operations);
        if (compactAgo !== undefined) leader.apply({ kind: "compact", ago: compactAgo });
        await finishCompaction(leader.store, leader.index);
        follower.adopt(await copy(leader, 5, 500));
        hub.adopt();
        runHub(hub);
        for (const { operations } of later) {
          applyTo(follower, operations);
          applyTo(leader.store, operations);
        }
        for (const { sink, watcher } of watchers) {
          sink.full = false;
          watcher.resume();
        }
        runHub(hub);
        expect(follower.hash()).toEqual(leader.store.hash());
        leaderHub.flush();
        const compacted = leader.store.compactRevision;
        for (const { sink, from } of watchers) checkWatched(all.events, sink, from, compacted);
        await Promise.all([follower.close(), leader.store.close()]);
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);

/** What a watcher got of all events: those from its start on, or, once it ended as compacted, the first of them. */
function checkWatched(
  all: readonly string[],
  sink: RecordingSink,
  from: number,
  compacted: number,
): void {
  const revisionOf = (line: string) => Number(line.split(" ")[0]);
  const expected = all.filter((line) => revisionOf(line) >= from);
  if (sink.compactedAt !== undefined) {
    expect(sink.compactedAt).toBe(compacted);
    expect(sink.events).toEqual(expected.slice(0, sink.events.length));
    expect(revisionOf(expected[sink.events.length] as string)).toBeLessThan(compacted);
    return;
  }
  // Of the compacted revision itself, what it replaced of its own may be gone.
  const isSure = (line: string) => revisionOf(line) !== compacted;
  expect(sink.events.filter(isSure)).toEqual(expected.filter(isSure));
}

const noLeases = {
  has: () => false,
  add: () => ({ name: bytes("x"), value: Buffer.alloc(0) }),
  remove: () => bytes("x"),
};

test("refuses rows that can not be", async () => {
  const importer = () =>
    new StoreImporter(new MemoryBackend(), { pause: turn, leaseKeys: noLeases });
  const revision = (main: number, sub: number) => {
    const row = Buffer.alloc(17);
    row.writeBigUInt64BE(BigInt(main), 0);
    row[8] = 0x5f;
    row.writeBigUInt64BE(BigInt(sub), 9);
    return row;
  };
  const kv = Buffer.from([0x0a, 1, 0x61, 0x10, 2, 0x18, 2, 0x20, 1]);
  const good = importer();
  expect(() => good.add(revision(2, 0), kv, 0, kv.length)).not.toThrow();
  expect(() => good.add(revision(2, 0), kv, 0, kv.length)).toThrow(/out of order/);
  expect(() => good.add(revision(1, 0), kv, 0, kv.length)).toThrow(/out of order/);
  expect(() => importer().add(revision(3, 0), kv, 0, kv.length)).toThrow(/does not fit/);
  expect(() => importer().add(revision(2, 0), kv, 0, 2)).toThrow(/can not be read/);
  expect(() => importer().add(Buffer.alloc(17), kv, 0, kv.length)).toThrow(/not a revision/);
  expect(() => importer().add(Buffer.alloc(3), kv, 0, kv.length)).toThrow(/not a revision/);
  const marked = Buffer.concat([revision(2, 0), Buffer.from("x")]);
  expect(() => importer().add(marked, kv, 0, kv.length)).toThrow(/not a revision/);
  const huge = Buffer.alloc(17, 0xff);
  huge[8] = 0x5f;
  expect(() => importer().add(huge, kv, 0, kv.length)).toThrow(/not a revision/);
});

test("a row without a key raises the revision and nothing else", async () => {
  const backend = new MemoryBackend();
  const importer = new StoreImporter(backend, { pause: turn, leaseKeys: noLeases });
  const row = Buffer.alloc(17);
  row.writeBigUInt64BE(1_000_000n, 0);
  row[8] = 0x5f;
  importer.add(row, Buffer.alloc(0), 0, 0);
  await importer.finish({
    consistentIndex: 4,
    revision: 1,
    scheduledCompaction: 1_000_000,
    finishedCompaction: -1,
  });
  const store = Store.open({}, { backend });
  expect(store.currentRevision).toBe(1_000_000);
  expect(store.keyCount).toBe(0);
  expect(store.compactRevision).toBe(1_000_000);
  await finishCompaction(store, 5);
  applyTo(store, [{ kind: "put", key: "a", value: "b", lease: 0n }]);
  expect(store.currentRevision).toBe(1_000_001);
});
