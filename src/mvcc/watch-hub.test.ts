import { describe, expect, test } from "vitest";
import { WatchHub } from "./watch-hub.ts";
import { ArrayHistory, RecordingSink, runHub } from "./watch-testing.ts";

const b = (text: string) => Buffer.from(text);

function setUp() {
  const history = new ArrayHistory();
  const hub = new WatchHub(history);
  history.onBatch = (batch) => hub.publish(batch);
  return { history, hub };
}

describe("live events", () => {
  test("a key's watcher gets that key and nothing else", () => {
    const { history, hub } = setUp();
    const sink = new RecordingSink();
    hub.watch({ key: b("a"), rangeEnd: undefined, startRevision: 0 }, sink);
    history.put("a", "1");
    history.put("b", "2");
    history.delete("a");
    expect(sink.events).toEqual([]);
    hub.flush();
    expect(sink.events).toEqual(["2 put a=1", "4 delete a"]);
    expect(sink.deliveries).toBe(1);
  });

  test("ranges are half open, from-key is open", () => {
    const { history, hub } = setUp();
    const range = new RecordingSink();
    const open = new RecordingSink();
    hub.watch({ key: b("b"), rangeEnd: b("d"), startRevision: 0 }, range);
    hub.watch({ key: b("c"), rangeEnd: b(""), startRevision: 0 }, open);
    for (const key of ["a", "b", "c", "d", "z"]) history.put(key, "v");
    hub.flush();
    expect(range.keys()).toEqual(["b", "c"]);
    expect(open.keys()).toEqual(["c", "d", "z"]);
  });

  test("filters and previous values", () => {
    const { history, hub } = setUp();
    const [noPut, noDelete, previous] = [
      new RecordingSink(),
      new RecordingSink(),
      new RecordingSink(),
    ];
    const key = { key: b("k"), rangeEnd: undefined, startRevision: 0 };
    hub.watch({ ...key, noPut: true }, noPut);
    hub.watch({ ...key, noDelete: true }, noDelete);
    hub.watch({ ...key, prevKv: true }, previous);
    history.put("k", "1");
    history.put("k", "2");
    history.delete("k");
    hub.flush();
    expect(noPut.events).toEqual(["4 delete k"]);
    expect(noDelete.events).toEqual(["2 put k=1", "3 put k=2"]);
    expect(previous.events).toEqual(["2 put k=1", "3 put k=2 was 1", "4 delete k was 2"]);
  });

  test("a newcomer does not get what is pending for others", () => {
    const { history, hub } = setUp();
    const [early, late] = [new RecordingSink(), new RecordingSink()];
    const spec = { key: b("k"), rangeEnd: undefined, startRevision: 0 };
    hub.watch(spec, early);
    history.put("k", "1");
    hub.watch(spec, late);
    history.put("k", "2");
    hub.flush();
    expect(early.events).toEqual(["2 put k=1", "3 put k=2"]);
    expect(late.events).toEqual(["3 put k=2"]);
  });

  test("a start in the future waits for its revision", () => {
    const { history, hub } = setUp();
    const sink = new RecordingSink();
    const watcher = hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 4 }, sink);
    expect(hub.progressRevision([watcher])).toBeUndefined();
    for (const value of ["2", "3", "4", "5"]) history.put("k", value);
    hub.flush();
    expect(sink.events).toEqual(["4 put k=4", "5 put k=5"]);
    expect(hub.progressRevision([watcher])).toBe(5);
    const gone = hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 9 }, sink);
    gone.cancel();
    expect(hub.watcherCount).toBe(1);
  });

  test("a large burst is delivered without waiting for flush", () => {
    const { history, hub } = setUp();
    const sink = new RecordingSink();
    hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 0 }, sink);
    const value = "x".repeat(100_000);
    for (let i = 0; i < 10; i++) history.put("k", value);
    expect(sink.deliveries).toBeGreaterThan(1);
    hub.flush();
    expect(sink.events).toHaveLength(10);
  });

  test("a revision's events stay together", () => {
    const { history, hub } = setUp();
    const sink = new RecordingSink();
    hub.watch({ key: b("a"), rangeEnd: b("z"), startRevision: 0 }, sink);
    const value = "x".repeat(200_000);
    history.apply(["a", "b", "c", "d", "e"].map((key) => ({ key, value })));
    history.put("f", "1");
    hub.flush();
    expect(sink.revisionRuns).toEqual([[2, 2, 2, 2, 2], [3]]);
  });
});

describe("behind", () => {
  test("a start in the past reads history, then goes on live", () => {
    const { history, hub } = setUp();
    for (const value of ["2", "3", "4"]) history.put("k", value);
    history.put("other", "x");
    const sink = new RecordingSink();
    hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 3 }, sink);
    expect(hub.slowWatcherCount).toBe(1);
    runHub(hub);
    expect(hub.slowWatcherCount).toBe(0);
    expect(sink.caughtUpCalls).toBe(1);
    history.put("k", "6");
    hub.flush();
    expect(sink.events).toEqual(["3 put k=3", "4 put k=4", "6 put k=6"]);
  });

  test("a full sink falls behind alone and gets everything later", () => {
    const { history, hub } = setUp();
    const [slow, quick] = [new RecordingSink(), new RecordingSink()];
    const spec = { key: b("k"), rangeEnd: undefined, startRevision: 0 };
    const watcher = hub.watch(spec, slow);
    hub.watch(spec, quick);
    slow.full = true;
    history.put("k", "2");
    hub.flush();
    history.put("k", "3");
    hub.flush();
    expect(slow.events).toEqual([]);
    expect(quick.events).toHaveLength(2);
    expect(hub.progressRevision([watcher])).toBeUndefined();
    slow.full = false;
    watcher.resume();
    runHub(hub);
    expect(slow.events).toEqual(["2 put k=2", "3 put k=3"]);
    expect(hub.progressRevision([watcher])).toBe(3);
  });

  test("compacted history ends the watcher, once the sink takes it", () => {
    const { history, hub } = setUp();
    for (const value of ["2", "3", "4"]) history.put("k", value);
    history.compact(4);
    const sink = new RecordingSink();
    sink.full = true;
    const watcher = hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 3 }, sink);
    runHub(hub);
    expect(sink.compactedAt).toBeUndefined();
    sink.full = false;
    watcher.resume();
    runHub(hub);
    expect(sink.compactedAt).toBe(4);
    expect(hub.watcherCount).toBe(0);
    const exact = new RecordingSink();
    hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 4 }, exact);
    runHub(hub);
    expect(exact.events).toEqual(["4 put k=4"]);
  });

  test("many watchers from many revisions share the reading", () => {
    const { history, hub } = setUp();
    for (let i = 0; i < 500; i++) history.put("k", String(i));
    const sinks = Array.from({ length: 400 }, () => new RecordingSink());
    sinks.forEach((sink, i) => {
      hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 2 + i }, sink);
    });
    history.reads = 0;
    runHub(hub);
    expect(history.reads).toBeLessThanOrEqual(400);
    sinks.forEach((sink, i) => {
      expect(sink.events).toHaveLength(500 - i);
    });
  });
});

describe("cancel", () => {
  test("from inside a delivery, of itself and of a neighbour", () => {
    const { history, hub } = setUp();
    const spec = { key: b("k"), rangeEnd: undefined, startRevision: 0 };
    const sinks = [new RecordingSink(), new RecordingSink(), new RecordingSink()];
    const watchers = sinks.map((sink) => hub.watch(spec, sink));
    (sinks[1] as RecordingSink).onDeliver = () => {
      watchers[0]?.cancel();
      watchers[1]?.cancel();
      watchers[2]?.cancel();
    };
    history.put("k", "1");
    hub.flush();
    history.put("k", "2");
    hub.flush();
    expect(sinks.map((sink) => sink.events.length)).toEqual([1, 1, 0]);
    expect(hub.watcherCount).toBe(0);
  });

  test("work is signalled once until it is done", () => {
    const { history, hub } = setUp();
    let signals = 0;
    hub.onWork = () => signals++;
    history.put("k", "1");
    expect(signals).toBe(0);
    hub.watch({ key: b("k"), rangeEnd: undefined, startRevision: 0 }, new RecordingSink());
    history.put("k", "2");
    history.put("k", "3");
    expect(signals).toBe(1);
    hub.flush();
    history.put("k", "4");
    expect(signals).toBe(2);
  });
});
