import { describe, expect, test } from "vitest";
import type { Clock } from "../io/clock.ts";
import { WatchHub } from "../mvcc/watch-hub.ts";
import { ArrayHistory } from "../mvcc/watch-testing.ts";
import { WatchRequest, WatchResponse } from "../wire/generated/rpc.ts";
import { FakeStreamCall, settle } from "./stream-testing.ts";
import { WatchService, type WatchServiceOptions } from "./watch.ts";
import type { WatchStream } from "./watch-stream.ts";

/** Time that stands still until the test moves it. */
class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  now = () => this.#nowMs;
  wallNow = () => this.#nowMs;

  setTimer(delayMs: number, callback: () => void) {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}

class Bench {
  readonly history = new ArrayHistory();
  readonly hub = new WatchHub(this.history);
  readonly clock = new ManualClock();
  readonly service: WatchService;

  constructor(options: WatchServiceOptions = {}) {
    this.history.onBatch = (batch) => this.hub.publish(batch);
    const header = () => ({
      clusterId: 11n,
      memberId: 22n,
      revision: this.history.currentRevision,
      raftTerm: 3,
    });
    this.hub.onWork = () => this.#queueWork();
    const replica = { clusterId: 11n, memberId: 22n, header, watchHub: this.hub };
    this.service = new WatchService(options, { replica, clock: this.clock });
  }

  #queueWork(): void {
    setImmediate(() => {
      this.hub.flush();
      if (this.hub.catchUp()) this.#queueWork();
    });
  }

  open(): Client {
    const call = new FakeStreamCall();
    return new Client(call, this.service.open(call));
  }
}

type Create = Partial<{
  key: string;
  rangeEnd: string;
  startRevision: number;
  watchId: number;
  progressNotify: boolean;
  prevKv: boolean;
  fragment: boolean;
  filters: (0 | 1)[];
}>;

class Client {
  readonly call: FakeStreamCall;
  readonly stream: WatchStream;

  constructor(call: FakeStreamCall, stream: WatchStream) {
    this.call = call;
    this.stream = stream;
  }

  create(fields: Create): void {
    const { key = "", rangeEnd = "", ...rest } = fields;
    const value = { ...rest, key: Buffer.from(key), rangeEnd: Buffer.from(rangeEnd) };
    this.#send(WatchRequest.fromPartial({ requestUnion: { $case: "createRequest", value } }));
  }

  cancel(watchId: number): void {
    const value = { watchId };
    this.#send(WatchRequest.fromPartial({ requestUnion: { $case: "cancelRequest", value } }));
  }

  progress(): void {
    this.#send(WatchRequest.fromPartial({ requestUnion: { $case: "progressRequest", value: {} } }));
  }

  /** What came since the last call, without the ids of the header. */
  async received(): Promise<Record<string, unknown>[]> {
    await settle();
    return this.call.messages.splice(0).map((message) => {
      const response = WatchResponse.decode(message);
      expect(message.equals(WatchResponse.encode(response).finish())).toBe(true);
      expect(response.header).toMatchObject({ clusterId: 11n, memberId: 22n, raftTerm: 3 });
      const short: Record<string, unknown> = {
        id: response.watchId,
        rev: response.header?.revision,
      };
      for (const name of ["created", "canceled", "compactRevision", "cancelReason", "fragment"]) {
        const value = response[name as "created"];
        if (value) short[name] = value;
      }
      if (response.events.length > 0) {
        short.events = response.events.map((event) => {
          const kv = event.kv;
          const was = event.prevKv ? ` was ${Buffer.from(event.prevKv.value)}` : "";
          const value = event.type === 1 ? " deleted" : `=${Buffer.from(kv?.value ?? [])}`;
          return `${kv?.modRevision} ${Buffer.from(kv?.key ?? [])}${value}${was}`;
        });
      }
      return short;
    });
  }

  #send(request: WatchRequest): void {
    const bytes = Buffer.from(WatchRequest.encode(request).finish());
    this.stream.onMessage(Buffer.concat([Buffer.alloc(3), bytes]), 3, 3 + bytes.length);
  }
}

describe("watch ids", () => {
  test("count from 0, skip those that clients chose, refuse duplicates", async () => {
    const client = new Bench().open();
    client.create({ key: "a" });
    client.create({ key: "a", watchId: 1 });
    client.create({ key: "a" });
    client.create({ key: "a", watchId: 1 });
    client.create({ key: "a", watchId: -7 });
    expect(await client.received()).toEqual([
      { id: 0, rev: 1, created: true },
      { id: 1, rev: 1, created: true },
      { id: 2, rev: 1, created: true },
      {
        id: -1,
        rev: 1,
        created: true,
        canceled: true,
        cancelReason: "mvcc: duplicate watch ID provided on the WatchStream",
      },
      { id: -7, rev: 1, created: true },
    ]);
    expect(client.call.writes).toBe(1);
  });

  test("cancel answers once, an unknown id not at all, and the id is free again", async () => {
    const bench = new Bench();
    const client = bench.open();
    client.create({ key: "a", watchId: 5 });
    client.cancel(5);
    client.cancel(5);
    client.cancel(9);
    client.create({ key: "a", watchId: 5 });
    expect(await client.received()).toEqual([
      { id: 5, rev: 1, created: true },
      { id: 5, rev: 1, canceled: true },
      { id: 5, rev: 1, created: true },
    ]);
    expect(bench.hub.watcherCount).toBe(1);
  });

  test("refused: empty range, negative start", async () => {
    const client = new Bench().open();
    client.create({ key: "b", rangeEnd: "a" });
    client.create({ key: "b", rangeEnd: "b" });
    client.create({ key: "a", startRevision: -1 });
    const refused = { id: -1, rev: 1, created: true, canceled: true };
    const compacted = "etcdserver: mvcc: required revision has been compacted";
    expect(await client.received()).toEqual([
      { ...refused, cancelReason: "mvcc: watcher range is empty" },
      { ...refused, cancelReason: "mvcc: watcher range is empty" },
      { ...refused, cancelReason: compacted },
    ]);
  });
});

describe("events", () => {
  test("a batch leaves in one write, one response a watcher", async () => {
    const bench = new Bench();
    const client = bench.open();
    client.create({ key: "a" });
    client.create({ key: "a", rangeEnd: "\0", prevKv: true });
    client.create({ key: "a", filters: [0] });
    await client.received();
    client.call.writes = 0;
    bench.history.put("a", "1");
    bench.history.put("b", "2");
    bench.history.put("a", "3");
    bench.history.delete("a");
    expect(await client.received()).toEqual([
      { id: 0, rev: 5, events: ["2 a=1", "4 a=3", "5 a deleted"] },
      { id: 1, rev: 5, events: ["2 a=1", "3 b=2", "4 a=3 was 1", "5 a deleted was 3"] },
      { id: 2, rev: 5, events: ["5 a deleted"] },
    ]);
    expect(client.call.writes).toBe(1);
  });

  test("no key and no end is the key zero; no key with an open end is everything", async () => {
    const bench = new Bench();
    const client = bench.open();
    client.create({});
    client.create({ rangeEnd: "\0" });
    bench.history.put("\0", "z");
    bench.history.put("x", "y");
    const events = (await client.received()).slice(2);
    expect(events).toEqual([
      { id: 0, rev: 3, events: ["2 \0=z"] },
      { id: 1, rev: 3, events: ["2 \0=z", "3 x=y"] },
    ]);
  });

  test("from the past: created first, then history, then live", async () => {
    const bench = new Bench();
    for (const value of ["2", "3", "4"]) bench.history.put("a", value);
    const client = bench.open();
    client.create({ key: "a", startRevision: 3 });
    expect(await client.received()).toEqual([
      { id: 0, rev: 4, created: true },
      { id: 0, rev: 4, events: ["3 a=3", "4 a=4"] },
    ]);
    bench.history.put("a", "5");
    expect(await client.received()).toEqual([{ id: 0, rev: 5, events: ["5 a=5"] }]);
  });

  test("compacted: created, then canceled with the revision", async () => {
    const bench = new Bench();
    for (const value of ["2", "3", "4"]) bench.history.put("a", value);
    bench.history.compact(4);
    const client = bench.open();
    client.create({ key: "a", startRevision: 2 });
    expect(await client.received()).toEqual([
      { id: 0, rev: 4, created: true },
      { id: 0, rev: 0, canceled: true, compactRevision: 4 },
    ]);
    expect(bench.hub.watcherCount).toBe(0);
  });

  test("fragments carry a large revision, whole for who did not ask", async () => {
    const bench = new Bench({ fragmentBytes: 800 });
    const client = bench.open();
    client.create({ key: "a", rangeEnd: "z", fragment: true });
    client.create({ key: "a", rangeEnd: "z" });
    await client.received();
    const value = "x".repeat(300);
    bench.history.apply(["a", "b", "c", "d", "e", "f"].map((key) => ({ key, value })));
    const responses = await client.received();
    const shape = responses.map(({ id, fragment, events }) => [
      id,
      fragment === true,
      (events as string[]).length,
    ]);
    expect(shape).toEqual([
      [0, true, 2],
      [0, true, 2],
      [0, false, 2],
      [1, false, 6],
    ]);
  });
});

describe("progress", () => {
  test("on request: one answer for the stream, none without watchers", async () => {
    const bench = new Bench();
    const client = bench.open();
    client.progress();
    expect(await client.received()).toEqual([]);
    client.create({ key: "a" });
    client.create({ key: "b" });
    await client.received();
    bench.history.put("c", "1");
    bench.history.put("a", "1");
    client.progress();
    expect(await client.received()).toEqual([
      { id: 0, rev: 3, events: ["3 a=1"] },
      { id: -1, rev: 3 },
    ]);
  });

  test("on request waits for those that are behind, not for those that have not begun", async () => {
    const bench = new Bench();
    for (const value of ["2", "3"]) bench.history.put("a", value);
    const client = bench.open();
    client.create({ key: "a", startRevision: 2 });
    client.progress();
    expect(await client.received()).toEqual([
      { id: 0, rev: 3, created: true },
      { id: 0, rev: 3, events: ["2 a=2", "3 a=3"] },
      { id: -1, rev: 3 },
    ]);
    client.create({ key: "a", startRevision: 9 });
    client.progress();
    expect(await client.received()).toEqual([{ id: 1, rev: 3, created: true }]);
  });

  test("on schedule: to quiet watchers that asked", async () => {
    const bench = new Bench({ progressIntervalMs: 1000 });
    const client = bench.open();
    client.create({ key: "a", progressNotify: true });
    client.create({ key: "b", progressNotify: true });
    client.create({ key: "c" });
    await client.received();
    bench.clock.advance(1100);
    expect(await client.received()).toEqual([]);
    bench.history.put("a", "1");
    await client.received();
    bench.clock.advance(1100);
    expect(await client.received()).toEqual([{ id: 1, rev: 2 }]);
    bench.clock.advance(1100);
    expect(await client.received()).toEqual([
      { id: 0, rev: 2 },
      { id: 1, rev: 2 },
    ]);
    client.stream.onCancel();
    bench.clock.advance(1100);
    expect(await client.received()).toEqual([]);
  });
});

describe("slow and gone clients", () => {
  test("a stalled stream holds a bounded amount and gets everything in order later", async () => {
    const bench = new Bench();
    const [slow, quick] = [bench.open(), bench.open()];
    for (const client of [slow, quick]) {
      client.create({ key: "a" });
      client.create({ key: "a" });
      await client.received();
    }
    slow.call.stalled = true;
    const value = "v".repeat(10_000);
    let quickEvents = 0;
    for (let i = 0; i < 1000; i++) {
      bench.history.put("a", value);
      if (i % 10 === 9) {
        for (const response of await quick.received()) {
          quickEvents += (response.events as string[]).length;
        }
      }
    }
    expect(quickEvents).toBe(2000);
    expect(slow.call.bufferedBytes).toBeLessThan(200_000);
    expect(bench.hub.slowWatcherCount).toBe(2);
    // Requests whose answers nobody reads are not taken for ever either.
    let requests = 0;
    while (!slow.call.isPaused && requests < 50_000) {
      slow.create({ key: "b", rangeEnd: "a" });
      requests++;
    }
    expect(slow.call.isPaused).toBe(true);
    expect(slow.call.bufferedBytes).toBeLessThan(1_200_000);
    slow.progress();
    slow.call.stalled = false;
    slow.call.bufferedBytes = 0;
    slow.stream.onDrain();
    await settle(300);
    const revisions = new Map<unknown, number[]>();
    let last: Record<string, unknown> = {};
    for (const response of await slow.received()) {
      last = response;
      const seen = revisions.get(response.id) ?? [];
      revisions.set(response.id, seen);
      for (const event of (response.events as string[] | undefined) ?? []) {
        seen.push(Number.parseInt(event, 10));
      }
    }
    const all = Array.from({ length: 1000 }, (_, i) => i + 2);
    expect(revisions.get(0)).toEqual(all);
    expect(revisions.get(1)).toEqual(all);
    expect(last).toEqual({ id: -1, rev: 1001 });
    expect(slow.call.isPaused).toBe(false);
  });

  test("a lost stream leaves nothing behind", async () => {
    const bench = new Bench();
    const client = bench.open();
    client.create({ key: "a" });
    client.create({ key: "a", startRevision: 100 });
    bench.history.put("a", "1");
    client.stream.onCancel();
    await settle();
    expect(bench.hub.watcherCount).toBe(0);
    expect(bench.service.streamCount).toBe(0);
  });

  test("closing the service ends its streams", async () => {
    const bench = new Bench();
    const client = bench.open();
    client.create({ key: "a" });
    bench.service.close();
    expect(client.call.status).toEqual({ code: 14, message: "etcdserver: server stopped" });
    expect(await client.received()).toEqual([{ id: 0, rev: 1, created: true }]);
  });
});
