// Random commands against the plain model: same replies, revisions and errors whatever is flushed, compacted,
// reopened or replayed in between, on both backends.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Backend } from "../storage/backend.ts";
import { LmdbBackend } from "../storage/lmdb-backend.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import {
  KeyValueView,
  keyValueSize,
  writeKeyValueEnd,
  writeKeyValueStart,
} from "../wire/key-value.ts";
import { HistoryHasher } from "./history-hash.ts";
import { type ModelKeyValue, type ModelOperation, type ModelRange, StoreModel } from "./model.ts";
import { Store } from "./store.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

function decode(encoded: Uint8Array): ModelKeyValue {
  const kv = new KeyValueView().read(encoded);
  const source = Buffer.from(encoded);
  return {
    key: source.toString("latin1", kv.keyStart, kv.keyEnd),
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
    version: kv.version,
    value: source.toString("latin1", kv.valueStart, kv.valueEnd),
    lease: kv.lease,
  };
}

type Command =
  | { kind: "txn"; operations: ModelOperation[] }
  | { kind: "range"; range: ModelRange }
  | { kind: "compact"; ago: number }
  | { kind: "steps"; count: number }
  | { kind: "events"; ago: number }
  | { kind: "hash"; ago: number }
  | { kind: "flush" }
  | { kind: "wait" }
  | { kind: "settle" }
  | { kind: "crash" };

// Few keys, so that they are overwritten and deleted often; zero bytes, 0xff and folded keys among them.
const long = "l".repeat(949);
const names = ["a", "a\0", "a\0\xff", "b", "b\xff", "c", "\xff", "\xff\xff", "\0"];
const longNames = ["", "m", "mm", "m\0", "m\xff", "n"].map((end) => long + end);
const key = fc.constantFrom(...names, ...longNames);
const end = fc.option(fc.oneof(key, fc.constant("\0")), { nil: undefined, freq: 2 });
const value = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: fc.constantFrom("x", "y"), maxLength: 3 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1000, max: 9000 }).map((n) => "v".repeat(n)) },
);
const lease = fc.constantFrom(0n, 0n, 7n, 2n ** 62n);
const put = fc.record({ kind: fc.constant("put" as const), key, value, lease });
const remove = fc
  .record({ kind: fc.constant("delete" as const), key, rangeEnd: end })
  .map(withoutUndefined);
const revisionBound = fc.integer({ min: 0, max: 12 });
const range = fc
  .record({
    key,
    rangeEnd: end,
    revision: fc.integer({ min: -12, max: 1 }),
    limit: fc.constantFrom(0, 0, 1, 2, 3, 5),
    countOnly: fc.boolean(),
    keysOnly: fc.boolean(),
    sortOrder: fc.constantFrom(0, 0, 1, 2),
    sortTarget: fc.constantFrom(0, 0, 1, 2, 3, 4),
    minModRevision: fc.oneof(fc.constant(0), revisionBound),
    maxModRevision: fc.oneof(fc.constant(0), revisionBound),
    minCreateRevision: fc.oneof(fc.constant(0), revisionBound),
    maxCreateRevision: fc.oneof(fc.constant(0), revisionBound),
  })
  .map(withoutUndefined);
const ago = fc.constantFrom(-1, 0, 0, 0, 1, 1, 2, 3, 5, 10);
const command = fc.oneof(
  { weight: 12, arbitrary: put.map((operation) => ({ kind: "txn", operations: [operation] })) },
  { weight: 4, arbitrary: remove.map((operation) => ({ kind: "txn", operations: [operation] })) },
  {
    weight: 3,
    arbitrary: fc
      .array(fc.oneof(put, remove), { minLength: 1, maxLength: 4 })
      .map((operations) => ({ kind: "txn", operations })),
  },
  { weight: 8, arbitrary: range.map((r) => ({ kind: "range", range: r })) },
  { weight: 3, arbitrary: ago.map((n) => ({ kind: "compact", ago: n })) },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 1, max: 4 }).map((count) => ({ kind: "steps", count })),
  },
  { weight: 2, arbitrary: ago.map((n) => ({ kind: "events", ago: n })) },
  { weight: 2, arbitrary: ago.map((n) => ({ kind: "hash", ago: n })) },
  { weight: 4, arbitrary: fc.constant({ kind: "flush" }) },
  { weight: 3, arbitrary: fc.constant({ kind: "wait" }) },
  { weight: 2, arbitrary: fc.constant({ kind: "settle" }) },
  { weight: 1, arbitrary: fc.constant({ kind: "crash" }) },
) as fc.Arbitrary<Command>;

function withoutUndefined<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, v]) => v !== undefined)) as T;
}

/** A store with a log beside it, as a member has: after a crash the commands since the last flush run again. */
class Subject {
  readonly log: Command[] = [];
  store: Store;
  readonly #open: () => Promise<Backend>;
  #flushed: Promise<unknown> = Promise.resolve();

  constructor(backend: Backend, open: () => Promise<Backend>) {
    this.#open = open;
    this.store = Store.open({ cacheBytes: 2_000 }, { backend });
  }

  apply(command: Command): unknown {
    this.log.push(command);
    return run(this.store, command);
  }

  flush(): void {
    this.#flushed = this.store.flush(this.log.length);
  }

  async wait(): Promise<void> {
    await this.#flushed;
  }

  async crash(): Promise<void> {
    // Flushes called for may or may not have reached the disk; with LMDB closing waits for them.
    await this.store.close();
    this.store = Store.open({ cacheBytes: 2_000 }, { backend: await this.#open() });
    for (const command of this.log.slice(this.store.consistentIndex)) run(this.store, command);
    this.#flushed = Promise.resolve(1);
  }
}

function run(store: Store, command: Command): unknown {
  if (command.kind === "compact") {
    return store.compact(Math.max(0, store.currentRevision - command.ago));
  }
  if (command.kind !== "txn") throw new Error("not a command");
  const txn = store.begin();
  const outcomes = command.operations.map((operation) => {
    if (operation.kind === "put") {
      const { key, value, lease } = operation;
      const previous = txn.put(bytes(key), bytes(value), lease, true);
      expect(txn.get(bytes(key)) && decode(txn.get(bytes(key)) as Buffer).value).toBe(value);
      return { deleted: 0, previous: previous ? [decode(previous)] : [] };
    }
    const rangeEnd = operation.rangeEnd === undefined ? undefined : bytes(operation.rangeEnd);
    const { deleted, previous } = txn.deleteRange(bytes(operation.key), rangeEnd, true);
    return { deleted, previous: previous.map(decode) };
  });
  return { revision: txn.end(), outcomes };
}

async function check(subject: Subject, model: StoreModel, command: Command): Promise<void> {
  const { store } = subject;
  const revisionOf = (n: number) => Math.max(0, model.currentRevision - n);
  switch (command.kind) {
    case "txn":
      expect(subject.apply(command)).toEqual(model.execute(command.operations));
      break;
    case "compact":
      expect(subject.apply(command)).toEqual(model.compact(revisionOf(command.ago)));
      break;
    case "range":
      checkRange(store, model, command.range);
      break;
    case "events":
      checkEvents(store, model, revisionOf(command.ago));
      break;
    case "hash":
      checkHash(store, model, revisionOf(command.ago));
      break;
    case "steps":
      for (let i = 0; i < command.count; i++) {
        store.compactionStep();
        if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      break;
    case "flush":
      subject.flush();
      break;
    case "wait":
      await subject.wait();
      break;
    case "settle":
      await checkEnd(subject, model);
      break;
    case "crash":
      await subject.crash();
      break;
  }
  expect(subject.store.currentRevision).toBe(model.currentRevision);
  expect(subject.store.compactRevision).toBe(model.compactRevision);
}

function checkRange(store: Store, model: StoreModel, asked: ModelRange): void {
  // Negative: so many revisions ago; 0: now; 1: the future.
  const back = asked.revision ?? 0;
  const revision =
    back === 0
      ? 0
      : back < 0
        ? Math.max(1, model.currentRevision + back)
        : model.currentRevision + 1;
  const range = { ...asked, revision };
  const { rangeEnd } = range;
  const result = store.range({
    ...range,
    key: bytes(range.key),
    ...(rangeEnd !== undefined && { rangeEnd: bytes(rangeEnd) }),
  } as Parameters<Store["range"]>[0]);
  const expected = model.range(range);
  expect("error" in result ? result : { ...result, kvs: result.kvs.map(decode) }).toEqual(expected);
  const current = store.getCurrent(bytes(range.key));
  const one = model.range({ key: range.key });
  expect(current ? [decode(current)] : []).toEqual("kvs" in one ? one.kvs : []);
}

function checkEvents(store: Store, model: StoreModel, revision: number): void {
  const expected = model.eventsSince(revision);
  if ("error" in expected) {
    expect(store.eventsSince(revision, 1)).toEqual(expected);
    return;
  }
  const found: unknown[] = [];
  for (let next = revision; next <= store.currentRevision; ) {
    const chunk = store.eventsSince(next, 40);
    if ("error" in chunk) throw new Error("compacted");
    for (const { type, keyText, key, main, kv, prevKv } of chunk.events) {
      expect(main).toBeGreaterThanOrEqual(next);
      expect(main).toBeLessThan(chunk.nextRevision);
      expect(key).toEqual(bytes(keyText));
      const decoded = decode(kv);
      if (type === 1)
        expect(decoded).toMatchObject({ key: keyText, modRevision: main, version: 0 });
      found.push({
        type,
        key: keyText,
        main,
        kv: type === 0 ? decoded : undefined,
        prevKv: prevKv && decode(prevKv),
      });
    }
    next = chunk.nextRevision;
  }
  // What a compaction has not freed yet may still show up to its own revision: only later ones are exact.
  const exact = (events: unknown[]) =>
    events.filter((event) => (event as { main: number }).main > model.compactRevision);
  const withoutFreed = (events: unknown[]) =>
    events.map((event) => {
      const { prevKv, ...rest } = event as { prevKv?: ModelKeyValue };
      return prevKv && prevKv.modRevision < model.compactRevision ? rest : { prevKv, ...rest };
    });
  expect(withoutFreed(exact(found))).toEqual(withoutFreed(exact(expected)));
}

function checkHash(store: Store, model: StoreModel, revision: number): void {
  const result = store.hashKv(revision);
  if (revision > 0 && revision < model.compactRevision) {
    if ("error" in result) expect(result.error).toBe("compacted");
    return;
  }
  if (revision > model.currentRevision) {
    expect(result).toEqual({ error: "future" });
    return;
  }
  if ("error" in result) throw new Error(result.error);
  // A hash taken by a compaction covers what was there before it.
  if (result.compactRevision !== model.compactRevision) return;
  const upTo = revision === 0 ? model.currentRevision : revision;
  expect(result).toEqual({
    hash: hashOf(model, upTo),
    revision: upTo,
    compactRevision: model.compactRevision,
  });
}

function hashOf(model: StoreModel, revision: number): number {
  const hasher = new HistoryHasher();
  for (const { main, sub, key, kv } of model.hashed(revision)) {
    const encoded = encode(key, kv);
    hasher.add(main, sub, kv === undefined, encoded, 0, encoded.length);
  }
  return hasher.finish();
}

function encode(key: string, kv: ModelKeyValue | undefined): Buffer {
  const { createRevision = 0, modRevision = 0, version = 0, value = "", lease = 0n } = kv ?? {};
  const numbers = [createRevision, modRevision, version] as const;
  const out = Buffer.alloc(keyValueSize(key.length, ...numbers, value.length, lease));
  let at = writeKeyValueStart(out, 0, key, ...numbers, value.length);
  at += out.latin1Write(value, at, value.length);
  writeKeyValueEnd(out, at, lease);
  return out;
}

async function drainCompaction(store: Store, index: number): Promise<void> {
  await store.flush(index);
  while (store.compactionStep()) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Nothing compacted may be left, and everything that is readable must still be there. */
async function checkEnd(subject: Subject, model: StoreModel): Promise<void> {
  const { store } = subject;
  await drainCompaction(store, subject.log.length);
  for (let revision = model.compactRevision; revision <= model.currentRevision; revision++) {
    checkRange(store, model, {
      key: "\0",
      rangeEnd: "\0",
      revision: revision - model.currentRevision,
    });
    checkHash(store, model, Math.max(0, revision));
  }
  const events = store.eventsSince(Math.max(0, model.compactRevision), Number.POSITIVE_INFINITY);
  if ("error" in events) throw new Error(events.error);
  const expected = model.eventsSince(Math.max(0, model.compactRevision));
  expect(events.events.map(({ type, keyText, main }) => ({ type, key: keyText, main }))).toEqual(
    (expected as { type: number; key: string; main: number }[]).map(({ type, key, main }) => ({
      type,
      key,
      main,
    })),
  );
  expect(store.keyCount).toBe(
    (model.range({ key: "\0", rangeEnd: "\0" }) as { count: number }).count,
  );
}

describe.each(["memory", "lmdb"])("store against its model: %s", (kind) => {
  it("answers every sequence of commands as the model does", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 80 }), async (commands) => {
        const folder = await mkdtemp(join(tmpdir(), "store-"));
        const memory = new MemoryBackend();
        const open = async () =>
          kind === "memory" ? memory : LmdbBackend.open({ path: join(folder, "data") });
        const subject = new Subject(await open(), open);
        const model = new StoreModel();
        try {
          for (const next of commands) await check(subject, model, next);
          await checkEnd(subject, model);
          await subject.crash();
          await checkEnd(subject, model);
        } finally {
          await subject.store.close();
          await rm(folder, { recursive: true, force: true });
        }
      }),
      {
        numRuns: Number(process.env.STORE_RUNS ?? (kind === "memory" ? 150 : 40)),
        seed: Number(process.env.STORE_SEED ?? 7),
      },
    );
  });
});
