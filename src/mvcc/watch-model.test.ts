// Random histories against a plain model: whatever happens, each watcher gets exactly the events of its range
// from its start on, in order, once, whole revisions together; or a prefix of them and then "compacted".

import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { Store } from "./store.ts";
import { type Watcher, WatchHub } from "./watch-hub.ts";
import { ArrayHistory, type Change, RecordingSink, runHub } from "./watch-testing.ts";

/** What the test needs of a store. */
interface Subject {
  readonly hub: WatchHub;
  readonly currentRevision: number;
  readonly compactRevision: number;
  apply(changes: readonly Change[]): void;
  compact(revision: number): void;
  /** Moves data to where older data lies. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const limits = { runBytesMax: 60, chunkBytes: 80, cohortWatchersMax: 3 };

function arraySubject(): Subject {
  const history = new ArrayHistory();
  const hub = new WatchHub(history, limits);
  history.onBatch = (batch) => hub.publish(batch);
  return Object.assign(history, { hub, settle: async () => {}, close: async () => {} });
}

function storeSubject(): Subject {
  const backend = new MemoryBackend();
  const store = Store.open({}, { backend });
  const hub = new WatchHub(store, limits);
  store.onEvents = (batch) => hub.publish(batch);
  let index = 0;
  return {
    hub,
    get currentRevision() {
      return store.currentRevision;
    },
    get compactRevision() {
      return store.compactRevision;
    },
    apply(changes) {
      const txn = store.begin();
      for (const { key, value } of changes) {
        if (value === undefined) txn.deleteRange(Buffer.from(key), undefined, false);
        else txn.put(Buffer.from(key), Buffer.from(value), 0n, false);
      }
      txn.end();
    },
    compact: (revision) => void store.compact(revision),
    async settle() {
      await store.flush(++index);
      for (let i = 0; i < 5; i++) store.compactionStep();
    },
    async close() {
      await store.close();
      await backend.close();
    },
  };
}

const keyName = fc.constantFrom("a", "b", "c", "d");
const slot = fc.nat({ max: 7 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("txn" as const),
      keys: fc.uniqueArray(keyName, { minLength: 1, maxLength: 3 }),
      deletes: fc.nat({ max: 7 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("watch" as const),
      range: fc.constantFrom(["a"], ["b"], ["a", "c"], ["b", "d"], ["a", ""], ["c", ""]),
      back: fc.integer({ min: -3, max: 8 }),
      isNow: fc.boolean(),
      filter: fc.constantFrom("none", "noPut", "noDelete"),
      prevKv: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), slot }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("stall" as const), slot }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("drain" as const), slot }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("catchUp" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("compact" as const), back: fc.nat({ max: 6 }) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface ModelEvent {
  readonly revision: number;
  readonly key: string;
  readonly isDelete: boolean;
  readonly line: string;
  readonly was: string | undefined;
}

/** A watcher, what it should get, and whether it was ever slow. */
interface Watched {
  readonly watcher: Watcher;
  readonly sink: RecordingSink;
  readonly from: number;
  readonly matches: (event: ModelEvent) => boolean;
  readonly prevKv: boolean;
  isCancelled: boolean;
}

class Model {
  readonly events: ModelEvent[] = [];
  readonly #live = new Map<string, string>();

  apply(changes: readonly Change[], revision: number): void {
    for (const { key, value } of changes) {
      const was = this.#live.get(key);
      const isDelete = value === undefined;
      if (isDelete && was === undefined) continue;
      if (isDelete) this.#live.delete(key);
      else this.#live.set(key, value);
      const line = isDelete ? `${revision} delete ${key}` : `${revision} put ${key}=${value}`;
      this.events.push({ revision, key, isDelete, line, was });
    }
  }
}

class Run {
  readonly subject: Subject;
  readonly model = new Model();
  readonly watched: Watched[] = [];
  #values = 0;

  constructor(subject: Subject) {
    this.subject = subject;
  }

  async take(action: Step): Promise<void> {
    const { subject } = this;
    switch (action.kind) {
      case "txn":
        this.#txn(action.keys, action.deletes);
        break;
      case "watch":
        this.#watch(action);
        break;
      case "cancel":
        this.#cancel(this.watched[action.slot]);
        break;
      case "stall": {
        const chosen = this.watched[action.slot];
        if (chosen) chosen.sink.full = true;
        break;
      }
      case "drain":
        this.#drain(this.watched[action.slot]);
        break;
      case "flush":
        subject.hub.flush();
        break;
      case "catchUp":
        subject.hub.catchUp();
        break;
      case "settle":
        await subject.settle();
        break;
      case "compact": {
        const revision = subject.currentRevision - action.back;
        if (revision > subject.compactRevision) subject.compact(revision);
        break;
      }
    }
  }

  /** Lets everyone catch up and compares with the model. */
  check(): void {
    for (const watched of this.watched) this.#drain(watched);
    runHub(this.subject.hub);
    for (const watched of this.watched) this.#checkOne(watched);
    const open = this.watched.filter(
      (watched) => !watched.isCancelled && watched.sink.compactedAt === undefined,
    );
    expect(this.subject.hub.watcherCount).toBe(open.length);
    expect(this.subject.hub.slowWatcherCount).toBe(0);
    for (const { watcher, from } of open) {
      const { currentRevision, hub } = this.subject;
      expect(hub.progressRevision([watcher])).toBe(
        from <= currentRevision || watcher.startRevision === 0 ? currentRevision : undefined,
      );
    }
  }

  #txn(keys: readonly string[], deletes: number): void {
    const changes = keys.map((key, i): Change => {
      if ((deletes >> i) & 1) return { key };
      return { key, value: `v${this.#values++}` };
    });
    this.model.apply(changes, this.subject.currentRevision + 1);
    this.subject.apply(changes);
  }

  #watch(action: Extract<Step, { kind: "watch" }>): void {
    const { subject } = this;
    const [start = "", end] = action.range;
    const startRevision = action.isNow ? 0 : Math.max(1, subject.currentRevision - action.back);
    const noPut = action.filter === "noPut";
    const noDelete = action.filter === "noDelete";
    const sink = new RecordingSink();
    const rangeEnd = end === undefined ? undefined : Buffer.from(end);
    const spec = { key: Buffer.from(start), rangeEnd, startRevision, noPut, noDelete };
    const watcher = subject.hub.watch({ ...spec, prevKv: action.prevKv }, sink);
    const isInRange = (key: string) =>
      end === undefined ? key === start : key >= start && (end === "" || key < end);
    this.watched.push({
      watcher,
      sink,
      from: startRevision === 0 ? subject.currentRevision + 1 : startRevision,
      matches: (event) => isInRange(event.key) && !(event.isDelete ? noDelete : noPut),
      prevKv: action.prevKv,
      isCancelled: false,
    });
  }

  #cancel(watched: Watched | undefined): void {
    if (!watched) return;
    watched.watcher.cancel();
    watched.isCancelled = true;
  }

  #drain(watched: Watched | undefined): void {
    if (!watched) return;
    watched.sink.full = false;
    watched.watcher.resume();
  }

  #checkOne(watched: Watched): void {
    const { sink, from } = watched;
    const wanted = this.model.events.filter(
      (event) => event.revision >= from && watched.matches(event),
    );
    const got = sink.events.map((text) => text.split(" was ") as [string, string?]);
    const isWhole = !watched.isCancelled && sink.compactedAt === undefined;
    expect(got.map(([line]) => line)).toEqual(
      wanted.slice(0, isWhole ? wanted.length : got.length).map((event) => event.line),
    );
    for (const [i, [, was]] of got.entries()) {
      // A value that is compacted by the time it is read is left out, as etcd does.
      if (was !== undefined) expect(was).toBe((wanted[i] as ModelEvent).was);
      else if (watched.prevKv && this.subject.compactRevision <= 0) {
        expect((wanted[i] as ModelEvent).was).toBeUndefined();
      }
    }
    if (sink.compactedAt !== undefined) expect(from).toBeLessThan(sink.compactedAt);
    // No revision is spread over two deliveries, and a prefix ends between revisions.
    const firsts = sink.revisionRuns.map((run) => run[0] as number);
    const lasts = sink.revisionRuns.map((run) => run[run.length - 1] as number);
    for (let i = 1; i < firsts.length; i++) {
      expect(firsts[i]).toBeGreaterThan(lasts[i - 1] as number);
    }
    const following = wanted[got.length];
    if (following !== undefined && got.length > 0) {
      expect(following.revision).toBeGreaterThan(lasts[lasts.length - 1] as number);
    }
  }
}

async function play(subject: Subject, steps: readonly Step[]): Promise<void> {
  const run = new Run(subject);
  for (const action of steps) await run.take(action);
  run.check();
  await subject.close();
}

const steps = fc.array(step, { maxLength: 80, size: "max" });

test("over an array", async () => {
  await fc.assert(
    fc.asyncProperty(steps, (actions) => play(arraySubject(), actions)),
    { seed: 11, numRuns: 400 },
  );
});

test("over the store", async () => {
  await fc.assert(
    fc.asyncProperty(steps, (actions) => play(storeSubject(), actions)),
    { seed: 12, numRuns: 250 },
  );
});
