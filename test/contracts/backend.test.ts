// What mvcc/ and lease/ may expect of any Backend. The same suite runs on LMDB and on the memory version.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Backend, backendKeyBytesMax, WriteBatch } from "../../src/storage/backend.ts";
import { LmdbBackend } from "../../src/storage/lmdb-backend.ts";
import { MemoryBackend } from "../../src/storage/memory-backend.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

function put(...pairs: [string, string][]): WriteBatch {
  const batch = new WriteBatch();
  for (const [key, value] of pairs) batch.put("current", bytes(key), bytes(value));
  return batch;
}

function rows(backend: Pick<Backend, "scan">, range = {}): string[] {
  const found: string[] = [];
  backend.scan("current", range, (key, value) => {
    found.push(`${key.toString("latin1")}=${value.toString("latin1")}`);
    return undefined;
  });
  return found;
}

describe.each(["lmdb", "memory"])("backend contract: %s", (kind) => {
  let folder: string;
  let backend: Backend;
  const open = async (): Promise<Backend> =>
    kind === "lmdb" ? LmdbBackend.open({ path: join(folder, "db", "data") }) : new MemoryBackend();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "backend-"));
    backend = await open();
  });
  afterEach(async () => {
    await backend.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("reads nothing from an empty database", () => {
    expect(backend.get("current", bytes("a"))).toBeUndefined();
    expect(backend.view("current", bytes("a"))).toBeUndefined();
    expect(backend.get("current", bytes(""))).toBeUndefined();
    expect(rows(backend)).toEqual([]);
  });

  it("shows a batch exactly from onVisible on, all of it at once", async () => {
    let seen = "";
    const done = backend.commit(put(["a", "1"], ["b", "2"]), () => {
      seen = rows(backend).join();
    });
    expect(rows(backend)).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (seen === "") expect(rows(backend)).toEqual([]);
    await done;
    expect(seen).toBe("a=1,b=2");
    expect(rows(backend)).toEqual(["a=1", "b=2"]);
  });

  it("does not show a commit of the writer thread before onVisible", async () => {
    let visible = false;
    const done = backend.commit(put(["a", "1"]), () => {
      visible = true;
    });
    // The writer works while this thread is busy; reads must not notice.
    const until = Date.now() + 30;
    while (Date.now() < until);
    expect(visible).toBe(false);
    expect(backend.get("current", bytes("a"))).toBeUndefined();
    await done;
    expect(backend.get("current", bytes("a"))).toEqual(bytes("1"));
  });

  it("commits batches in the order of the calls", async () => {
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        backend.commit(put(["key", String(i)]), () => {
          order.push(i);
          // A later batch may already be visible when both were committed in one go, an earlier one never is.
          const value = Number(backend.get("current", bytes("key"))?.toString("latin1"));
          expect(value).toBeGreaterThanOrEqual(i);
        }),
      ),
    );
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(backend.get("current", bytes("key"))).toEqual(bytes("19"));
  });

  it("applies puts and deletes of one batch in order", async () => {
    const batch = put(["a", "1"], ["b", "1"]);
    batch.put("current", bytes("a"), bytes("2"));
    batch.delete("current", bytes("b"));
    batch.delete("current", bytes("never there"));
    batch.put("meta", bytes("a"), bytes("other table"));
    await backend.commit(batch);
    expect(rows(backend)).toEqual(["a=2"]);
    expect(backend.get("meta", bytes("a"))).toEqual(bytes("other table"));
  });

  it("hands out copies with get", async () => {
    await backend.commit(put(["a", "1"]));
    const copy = backend.get("current", bytes("a")) as Buffer;
    await backend.commit(put(["a", "2"], ["b", "3"]));
    backend.get("current", bytes("b"));
    expect(copy).toEqual(bytes("1"));
    copy[0] = 0;
    expect(backend.get("current", bytes("a"))).toEqual(bytes("2"));
  });

  it("keeps empty values, large values and the longest keys", async () => {
    const longest = Buffer.alloc(backendKeyBytesMax, 0xff);
    const large = Buffer.alloc(2_000_000, 7);
    const batch = new WriteBatch();
    batch.put("current", bytes("empty"), Buffer.alloc(0));
    batch.put("current", bytes("large"), large);
    batch.put("current", longest, bytes("x"));
    batch.put("current", Buffer.from([0]), bytes("zero"));
    await backend.commit(batch);
    expect(backend.get("current", bytes("empty"))).toEqual(Buffer.alloc(0));
    expect(backend.get("current", bytes("large"))?.equals(large)).toBe(true);
    const view = backend.view("current", bytes("large")) as Buffer;
    expect(view.subarray(0, view.length).equals(large)).toBe(true);
    expect(backend.view("current", longest)).toHaveLength(1);
    expect(backend.get("current", Buffer.from([0]))).toEqual(bytes("zero"));
    const sizes: number[] = [];
    backend.scan("current", {}, (_, value) => {
      sizes.push(value.length);
      return undefined;
    });
    expect(sizes).toEqual([4, 0, 2_000_000, 1]);
  });

  it("holds a snapshot while commits go on", async () => {
    await backend.commit(put(["a", "1"], ["b", "1"]));
    const snapshot = backend.snapshot();
    const batch = put(["a", "2"], ["c", "2"]);
    batch.delete("current", bytes("b"));
    await backend.commit(batch);
    await backend.commit(put(["d", "3"]));
    expect(rows(snapshot)).toEqual(["a=1", "b=1"]);
    expect(snapshot.get("current", bytes("b"))).toEqual(bytes("1"));
    expect(rows(backend)).toEqual(["a=2", "c=2", "d=3"]);
    snapshot.close();
  });

  it("tells sizes that grow", async () => {
    const before = backend.size();
    await backend.commit(put(["a", "x".repeat(1_000_000)]));
    const after = backend.size();
    expect(after.totalBytes).toBeGreaterThan(before.totalBytes + 900_000);
    expect(after.inUseBytes).toBeGreaterThan(900_000);
    expect(after.inUseBytes).toBeLessThanOrEqual(after.totalBytes);
  });

  it("scans any range in both directions as a sorted list does", async () => {
    const key = fc.string({
      unit: fc.constantFrom("\0", "a", "b", "\xff"),
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 20 }),
        fc.option(key, { nil: undefined }),
        fc.option(key, { nil: undefined }),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
        async (keys, start, end, reverse, limit) => {
          const clear = new WriteBatch();
          backend.scanKeys("current", {}, (k) => {
            clear.delete("current", Buffer.from(k));
            return undefined;
          });
          for (const k of keys) clear.put("current", bytes(k), bytes("v"));
          await backend.commit(clear);
          let expected = keys
            .toSorted()
            .filter((k) => (start === undefined || k >= start) && (end === undefined || k < end));
          if (reverse) expected.reverse();
          expected = expected.slice(0, limit);
          const range = {
            ...(start !== undefined && { start: bytes(start) }),
            ...(end !== undefined && { end: bytes(end) }),
            ...(limit !== undefined && { limit }),
            reverse,
          };
          const found: string[] = [];
          backend.scanKeys("current", range, (k) => {
            found.push(k.toString("latin1"));
            return undefined;
          });
          expect(found).toEqual(expected);
          expect(rows(backend, range)).toEqual(expected.map((k) => `${k}=v`));
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  it("ends a scan when the visitor says so, and may be read from within it", async () => {
    await backend.commit(put(["a", "1"], ["b", "2"], ["c", "3"]));
    const found: string[] = [];
    backend.scan("current", {}, (key) => {
      found.push(`${key}${backend.get("current", bytes("c"))}`);
      return found.length < 2;
    });
    expect(found).toEqual(["a3", "b3"]);
  });

  it.runIf(kind === "lmdb")("keeps committed batches when opened again", async () => {
    await backend.commit(put(["a", "1"]));
    void backend.commit(put(["b", "2"]));
    await backend.close();
    backend = await open();
    expect(rows(backend)).toEqual(["a=1", "b=2"]);
  });
});
