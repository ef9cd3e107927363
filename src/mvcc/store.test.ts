import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status, StatusError } from "../base/status.ts";
import type { WriteBatch } from "../storage/backend.ts";
import { LmdbBackend } from "../storage/lmdb-backend.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { KeyValueView } from "../wire/key-value.ts";
import type { EventBatch } from "./change.ts";
import { bucketKeysMax } from "./key-counts.ts";
import { Store } from "./store.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const all = { key: bytes("\0"), rangeEnd: bytes("\0") };

function put(store: Store, key: string, value = "v", lease = 0n): number {
  const txn = store.begin();
  txn.put(bytes(key), bytes(value), lease, false);
  return txn.end();
}

function remove(store: Store, key: string, rangeEnd?: string): number {
  const txn = store.begin();
  txn.deleteRange(bytes(key), rangeEnd === undefined ? undefined : bytes(rangeEnd), false);
  return txn.end();
}

function textOf(store: Store, key: string): string | undefined {
  const kv = store.getCurrent(bytes(key));
  if (!kv) return undefined;
  const { valueStart, valueEnd } = new KeyValueView().read(kv);
  return Buffer.from(kv.subarray(valueStart, valueEnd)).toString("latin1");
}

function countOf(store: Store, key: string, rangeEnd: string): number {
  const result = store.range({ key: bytes(key), rangeEnd: bytes(rangeEnd), countOnly: true });
  return "error" in result ? -1 : result.count;
}

/** A backend whose disk can be full. */
class FullBackend extends MemoryBackend {
  isFull = false;

  override commit(batch: WriteBatch, onVisible?: () => void): Promise<void> {
    if (this.isFull) return Promise.reject(new StatusError(Status.RESOURCE_EXHAUSTED, "full"));
    return super.commit(batch, onVisible);
  }
}

describe("Store", () => {
  it("starts at revision 1 and takes a revision with the first change only", () => {
    const store = Store.open({}, { backend: new MemoryBackend() });
    expect(store.currentRevision).toBe(1);
    expect(store.compactRevision).toBe(-1);
    expect(remove(store, "missing")).toBe(1);
    expect(put(store, "a")).toBe(2);
    const txn = store.begin();
    txn.put(bytes("b"), bytes("1"), 0n, false);
    txn.put(bytes("c"), bytes("1"), 0n, false);
    expect(txn.revision).toBe(3);
    expect(txn.end()).toBe(3);
    expect(store.currentRevision).toBe(3);
  });

  it("tells watchers of a command once, with what was there before", () => {
    const store = Store.open({}, { backend: new MemoryBackend() });
    const batches: EventBatch[] = [];
    store.onEvents = (batch) => batches.push(batch);
    put(store, "a", "1");
    remove(store, "a");
    remove(store, "a");
    expect(batches.map(({ revision }) => revision)).toEqual([2, 3]);
    const deleted = batches[1]?.events[0];
    expect(deleted?.type).toBe(1);
    expect(deleted?.key).toEqual(bytes("a"));
    const kv = new KeyValueView().read(deleted?.kv as Uint8Array);
    expect([kv.modRevision, kv.version]).toEqual([3, 0]);
    expect(new KeyValueView().read(deleted?.prevKv as Uint8Array).modRevision).toBe(2);
    expect(batches[0]?.events[0]?.prevKv).toBeUndefined();
  });

  it("tells when a key changes its lease, and only then", () => {
    const store = Store.open({}, { backend: new MemoryBackend() });
    const changes: string[] = [];
    store.onLeaseChange = (key, from, to) => changes.push(`${key} ${from} ${to}`);
    put(store, "a", "1", 5n);
    put(store, "a", "2", 5n);
    put(store, "a", "3", 6n);
    put(store, "a", "4");
    put(store, "b", "1", 6n);
    remove(store, "a", "c");
    expect(changes).toEqual(["a 0 5", "a 5 6", "a 6 0", "b 0 6", "b 6 0"]);
  });

  it("writes staged rows and marks with the changes they belong to, and not those that came later", async () => {
    const backend = new MemoryBackend();
    const store = Store.open({}, { backend });
    put(store, "a");
    store.setMeta("mark", bytes("1"));
    const flushed = store.flush(10);
    put(store, "b");
    store.setMeta("mark", bytes("2"));
    expect(store.getMeta("mark")).toEqual(bytes("2"));
    expect(await flushed).toBe(10);
    const other = Store.open({}, { backend });
    expect(other.getMeta("mark")).toEqual(bytes("1"));
    expect(other.consistentIndex).toBe(10);
    expect(other.currentRevision).toBe(2);
    expect(textOf(other, "b")).toBeUndefined();
    expect(other.keyCount).toBe(1);
    expect(textOf(store, "b")).toBe("v");
  });

  it("keeps everything when a flush fails, and writes it with the next", async () => {
    const backend = new FullBackend();
    const store = Store.open({}, { backend });
    put(store, "a", "1");
    backend.isFull = true;
    await expect(store.flush(1)).rejects.toThrow(StatusError);
    put(store, "a", "2");
    put(store, "b", "2");
    expect([textOf(store, "a"), textOf(store, "b")]).toEqual(["2", "2"]);
    expect(store.consistentIndex).toBe(0);
    await expect(store.flush(3)).rejects.toThrow(StatusError);
    backend.isFull = false;
    expect(await store.flush(3)).toBe(3);
    expect(store.overlayBytes).toBe(0);
    const other = Store.open({}, { backend });
    expect([textOf(other, "a"), textOf(other, "b")]).toEqual(["2", "2"]);
    expect(other.range({ key: bytes("a"), revision: 2 })).toMatchObject({ count: 1 });
    expect(other.keyCount).toBe(2);
  });

  it("resumes a compaction that a restart interrupted", async () => {
    const backend = new MemoryBackend();
    const store = Store.open({}, { backend });
    for (let i = 0; i < 3000; i++) put(store, `k${i % 10}`, "x".repeat(100));
    store.compact(store.currentRevision);
    await store.flush(1);
    store.compactionStep();
    const again = Store.open({}, { backend });
    expect(again.compactRevision).toBe(store.currentRevision);
    while (again.compactionStep()) await new Promise((resolve) => setTimeout(resolve, 0));
    let chunks = 0;
    let bytesKept = 0;
    backend.scan("history", {}, (_, value) => {
      chunks++;
      bytesKept += value.length;
      return undefined;
    });
    expect(chunks).toBeLessThanOrEqual(10);
    expect(bytesKept).toBeLessThan(10 * 200);
    expect(again.range(all)).toMatchObject({ count: 10 });
  });

  it("frees nothing before the database knows that it was compacted", async () => {
    const backend = new MemoryBackend();
    const store = Store.open({}, { backend });
    for (let i = 0; i < 5; i++) put(store, "a", `${i}`);
    await store.flush(1);
    store.compact(5);
    const steps = async () => {
      for (let i = 0; i < 20; i++) {
        store.compactionStep();
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await steps();
    const reopened = Store.open({}, { backend });
    expect(reopened.range({ key: bytes("a"), revision: 3 })).toMatchObject({ count: 1 });
    await store.flush(2);
    await steps();
    const compacted = Store.open({}, { backend });
    expect(compacted.range({ key: bytes("a"), revision: 3 })).toEqual({ error: "compacted" });
    expect(store.compactionStep()).toBe(false);
  });

  it("keeps keys far longer than the database takes, in order", async () => {
    const folder = await mkdtemp(join(tmpdir(), "store-"));
    const open = () => LmdbBackend.open({ path: join(folder, "data") });
    let store = Store.open({}, { backend: await open() });
    const long = "l".repeat(1_500_000);
    const keys = ["a", long, `${long}\0`, `${long}a`, `${"l".repeat(949)}z`, "m"];
    try {
      for (const key of [...keys].reverse()) put(store, key, "1");
      await store.flush(1);
      put(store, keys[2] as string, "2");
      remove(store, keys[1] as string);
      await store.flush(2);
      await store.close();
      store = Store.open({}, { backend: await open() });
      const listed: string[] = [];
      const list = (revision: number) => {
        listed.length = 0;
        const view = new KeyValueView();
        store.visitRange({ ...all, revision, keysOnly: true }, (source, start, end) => {
          const { keyStart, keyEnd } = view.read(source, start, end);
          listed.push(source.latin1Slice(keyStart, keyEnd));
        });
        return listed.map((key) => keys.indexOf(key));
      };
      expect(list(0)).toEqual([0, 2, 3, 4, 5]);
      expect(list(7)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(textOf(store, keys[2] as string)).toBe("2");
      expect(countOf(store, long, "m")).toBe(3);
    } finally {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("counts any range exactly while buckets split and join", async () => {
    const store = Store.open({}, { backend: new MemoryBackend() });
    const live = new Set<string>();
    const keyOf = (n: number) => `key${String((n * 7919) % 100_000).padStart(5, "0")}`;
    let index = 0;
    const check = () => {
      const bounds = fc.sample(fc.tuple(fc.nat(100_000), fc.nat(100_000)), {
        numRuns: 8,
        seed: index,
      });
      for (const [a, b] of bounds) {
        const start = keyOf(a);
        const end = keyOf(b);
        const expected = [...live].filter((key) => key >= start && key < end).length;
        expect(countOf(store, start, end)).toBe(expected);
      }
      expect(countOf(store, "\0", "\0")).toBe(live.size);
    };
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < bucketKeysMax * 2; i++) {
        const key = keyOf(round * bucketKeysMax * 2 + i);
        put(store, key);
        live.add(key);
      }
      check();
      await store.flush(++index);
      check();
    }
    const txn = store.begin();
    txn.deleteRange(bytes("key2"), bytes("key9"), false);
    txn.end();
    for (const key of live) if (key >= "key2" && key < "key9") live.delete(key);
    check();
    await store.flush(++index);
    for (const key of [...live].slice(0, live.size - 5)) {
      remove(store, key);
      live.delete(key);
    }
    await store.flush(++index);
    check();
  });
});
