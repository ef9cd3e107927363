import { expect, test } from "vitest";
import { Store } from "../mvcc/store.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import type { EtcdError } from "../wire/errors.ts";
import { RangeResponse } from "../wire/generated/rpc.ts";
import { HeaderEncoder, ReplyWriter } from "../wire/reply-writer.ts";
import { sendRange } from "./range-reply.ts";

const header = new HeaderEncoder(1n, 2n);
const all = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]) };

function storeWith(keys: number, valueBytes: number): Store {
  const store = Store.open({}, { backend: new MemoryBackend() });
  for (let i = 0; i < keys; i++) put(store, `key-${String(i).padStart(6, "0")}`, valueBytes);
  return store;
}

function put(store: Store, key: string, valueBytes: number): void {
  const txn = store.begin();
  txn.put(Buffer.from(key), Buffer.alloc(valueBytes, key), 0n, false);
  txn.end();
}

function ask(
  store: Store,
  options: Parameters<typeof sendRange>[3],
  writer = new ReplyWriter(),
): Promise<RangeResponse> {
  return new Promise((resolve, reject) => {
    sendRange(store, header, 7, options, writer, {
      cancelled: false,
      reply: (source, start, end) => resolve(RangeResponse.decode(source.subarray(start, end))),
      replyParts: (parts) => resolve(RangeResponse.decode(Buffer.concat(parts))),
      refuse: (error: EtcdError) => reject(new Error(error.message)),
    });
  });
}

test("a long range comes in pages and is what stood when it began", async () => {
  const store = storeWith(5000, 300);
  const revision = store.currentRevision;
  const reply = ask(store, all);
  // Between the pages the store goes on.
  for (let i = 0; i < 5000; i += 7) put(store, `key-${String(i).padStart(6, "0")}`, 10);
  put(store, "key-zzz", 10);
  const { kvs, count, more, header: head } = await reply;
  expect(head?.revision).toBe(revision);
  expect([kvs.length, count, more]).toEqual([5000, 5000, false]);
  expect(kvs.every((kv) => kv.value.length === 300 && kv.modRevision <= revision)).toBe(true);
  expect(new Set(kvs.map((kv) => Buffer.from(kv.key).toString())).size).toBe(5000);
});

test("a limit cuts off a paged range and still counts all", async () => {
  const store = storeWith(4000, 10);
  const { kvs, count, more } = await ask(store, { ...all, limit: 2500 });
  expect([kvs.length, count, more]).toEqual([2500, 4000, true]);
  const whole = await ask(store, { ...all, limit: 4000 });
  expect([whole.kvs.length, whole.count, whole.more]).toEqual([4000, 4000, false]);
});

test("answers that share a writer do not touch one another", async () => {
  const store = storeWith(3000, 50);
  const writer = new ReplyWriter();
  const long = ask(store, all, writer);
  const short = await Promise.all(
    Array.from({ length: 100 }, () => ask(store, { key: Buffer.from("key-000042") }, writer)),
  );
  expect(short.every(({ kvs }) => kvs.length === 1 && kvs[0]?.value.length === 50)).toBe(true);
  expect((await long).kvs.length).toBe(3000);
});

test("orders, filters and counts are answered in one piece", async () => {
  const store = storeWith(2500, 5);
  const newest = await ask(store, { ...all, sortOrder: 2, sortTarget: 3, limit: 2 });
  expect(newest.kvs.map((kv) => kv.modRevision)).toEqual([2501, 2500]);
  expect((await ask(store, { ...all, countOnly: true })).count).toBe(2500);
  expect((await ask(store, { ...all, minModRevision: 2400 })).kvs.length).toBe(102);
});

test("a revision that is gone or yet to come is refused", async () => {
  const store = storeWith(10, 5);
  await expect(ask(store, { ...all, revision: 99 })).rejects.toThrow("future revision");
  store.compact(5);
  await expect(ask(store, { ...all, revision: 3 })).rejects.toThrow("compacted");
});
