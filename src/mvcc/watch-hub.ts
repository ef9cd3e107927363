// The watch hub: takes every committed batch of events and hands each watcher those of its range, in order,
// complete and once, from its start revision on. Pure and synchronous; whoever owns it calls `flush` after a
// round of `publish` calls and `catchUp` while there is something to catch up (`onWork` tells).
// No watcher has a queue: one whose sink is full falls behind and reads again from history, so that
// publishing costs the same however slow the consumers are.

import { assert } from "../base/assert.ts";
import type { EventHistory, WatchableBatch, WatchableEvent } from "./watch-event.ts";
import { FutureWatchers } from "./watch-future.ts";
import { type WatchGroup, WatchIndex, type WatchRange } from "./watch-index.ts";
import { openEnd } from "./watch-intervals.ts";
import { EventRun } from "./watch-run.ts";

/** All runs together; beyond it everything is delivered at once. */
const pendingBytesMax = 4 * 1024 * 1024;
/** A catch-up step stops delivering beyond this; the rest of its watchers come in a later step. */
const stepBytesMax = 4 * 1024 * 1024;
const idleRunsMax = 64;

/** Sizes of the hub's steps; what they are changes nothing but speed. */
export interface WatchHubLimits {
  /** Events of one range beyond this size are delivered before the next revision is added. */
  readonly runBytesMax: number;
  /** History read in one catch-up step. */
  readonly chunkBytes: number;
  /** Watchers served in one catch-up step. */
  readonly cohortWatchersMax: number;
}

const defaultLimits: WatchHubLimits = {
  runBytesMax: 64 * 1024,
  chunkBytes: 64 * 1024,
  cohortWatchersMax: 512,
};

/** What a watcher asks for. */
export interface WatchSpec {
  readonly key: Uint8Array;
  /** Exclusive. undefined: the one key; empty: every key from `key` on. */
  readonly rangeEnd: Uint8Array | undefined;
  /** First revision wanted; 0 or less: from now on. */
  readonly startRevision: number;
  readonly prevKv?: boolean;
  readonly noPut?: boolean;
  readonly noDelete?: boolean;
}

/** Where a watcher's events go. Called from `flush` and `catchUp` only; must not call the hub back except `cancel`. */
export interface WatchSink {
  /**
   * Events [from, to) of `run`, whole revisions, at least one event. Returns false when it is full: then nothing
   * was taken, and the watcher gets nothing more until `resume`. The run's buffer is valid during the call.
   * A sink may refuse what is live sooner than what was caught up, which comes in larger pieces.
   */
  deliver(run: EventRun, from: number, to: number, isLive: boolean): boolean;
  /** History before `compactRevision` is gone and with it what comes next: the watcher has ended. False: full, as above. */
  compacted(compactRevision: number): boolean;
  /** The watcher was behind and has now seen everything up to the current revision. */
  caughtUp(): void;
}

type WatcherState = "synced" | "future" | "ready" | "blocked" | "ended";

/** One watch. `state`: synced; future (starts later); ready to be caught up; blocked (behind, sink full); ended. */
export class Watcher {
  readonly sink: WatchSink;
  readonly startRevision: number;
  /** For the hub. */
  readonly group: WatchGroup;
  state: WatcherState = "ready";
  /** The first revision not yet delivered; kept only while behind. */
  nextRevision: number;
  /** Where it stands in `group.synced`. */
  slot = -1;
  readonly #hub: WatchHub;

  constructor(hub: WatchHub, group: WatchGroup, startRevision: number, sink: WatchSink) {
    this.#hub = hub;
    this.group = group;
    this.startRevision = startRevision;
    this.nextRevision = startRevision;
    this.sink = sink;
  }

  /** Ends the watcher; its sink is not called again. */
  cancel(): void {
    this.#hub.cancel(this);
  }

  /** The sink has room again. */
  resume(): void {
    this.#hub.resume(this);
  }
}

export class WatchHub {
  /** Called when `flush` or `catchUp` has something to do, once until it has been done. */
  onWork: (() => void) | undefined;
  /** Events handed to sinks since the start. */
  deliveredEvents = 0;
  /** Responses handed to sinks by `flush` since the start: what consumers pay for. */
  liveResponses = 0;

  readonly #history: EventHistory;
  readonly #limits: WatchHubLimits;
  readonly #index = new WatchIndex();
  readonly #future = new FutureWatchers();
  readonly #ready = new Set<Watcher>();
  readonly #dirty: WatchGroup[] = [];
  readonly #idleRuns: EventRun[] = [];
  readonly #hits: WatchRange[] = [];
  #revision: number;
  #pendingBytes = 0;
  #watchers = 0;
  #blocked = 0;
  #workSignalled = false;
  /** Set while members of a group are being called: those that leave it are taken out afterwards. */
  #delivering: WatchGroup | undefined;
  #sweepNeeded = false;

  constructor(history: EventHistory, limits: WatchHubLimits = defaultLimits) {
    this.#history = history;
    this.#limits = limits;
    this.#revision = history.currentRevision;
  }

  /** The revision of the last published batch. */
  get revision(): number {
    return this.#revision;
  }

  /** The revision of the store. */
  get currentRevision(): number {
    return this.#history.currentRevision;
  }

  get watcherCount(): number {
    return this.#watchers;
  }

  /** Watchers that are behind, whether they are being caught up or their sink is full. */
  get slowWatcherCount(): number {
    return this.#ready.size + this.#blocked;
  }

  /** True when `flush` has something to deliver. */
  get needsFlush(): boolean {
    return this.#dirty.length > 0;
  }

  /** True when `catchUp` has something to do. */
  get needsCatchUp(): boolean {
    return this.#ready.size > 0;
  }

  /** True when [key, rangeEnd) holds nothing and can not be watched. */
  isEmptyRange(key: Uint8Array, rangeEnd: Uint8Array | undefined): boolean {
    if (rangeEnd === undefined || rangeEnd.length === 0) return false;
    return Buffer.compare(key, rangeEnd) >= 0;
  }

  /** Begins a watch; the range must not be empty (`isEmptyRange`). Never calls `sink` before it returns. */
  watch(spec: WatchSpec, sink: WatchSink): Watcher {
    assert(!this.isEmptyRange(spec.key, spec.rangeEnd), "a watch on an empty range");
    this.#revision = Math.max(this.#revision, this.#history.currentRevision);
    const group = this.#index.acquire(latin1(spec.key), latin1End(spec.rangeEnd), {
      prevKv: spec.prevKv === true,
      noPut: spec.noPut === true,
      noDelete: spec.noDelete === true,
    });
    const start = Math.max(0, spec.startRevision);
    const watcher = new Watcher(this, group, start, sink);
    this.#watchers++;
    if (start === 0 || start === this.#revision + 1) this.#join(watcher);
    else if (start > this.#revision) this.#postpone(watcher);
    else this.#makeReady(watcher);
    return watcher;
  }

  /** Takes the events of the next revision. Delivers nothing by itself until `flush`, save when much has piled up. */
  publish(batch: WatchableBatch): void {
    assert(batch.revision > this.#revision || this.#watchers === 0, "revisions must rise");
    const previous = this.#revision;
    this.#revision = batch.revision;
    if (this.#watchers === 0) return;
    if (!this.#future.isEmpty) {
      for (const watcher of this.#future.take(previous, this.#revision)) this.#join(watcher);
    }
    for (const event of batch.events) this.#publishEvent(event, batch.revision);
    if (this.#pendingBytes > pendingBytesMax) this.flush();
    else if (this.#dirty.length > 0) this.#signalWork();
  }

  /**
   * The history has gone on by itself, to its current revision, without a `publish` of what came between: whoever
   * was level is behind now and gets it from history, like all others who are behind.
   */
  adopt(): void {
    this.flush();
    const previous = this.#revision;
    const revision = this.#history.currentRevision;
    assert(revision >= previous || this.#watchers === 0, "revisions must rise");
    this.#revision = revision;
    if (revision === previous) return;
    for (const { synced } of this.#index.groups) {
      for (const watcher of synced) {
        watcher.slot = -1;
        watcher.nextRevision = previous + 1;
        this.#makeReady(watcher);
      }
      synced.length = 0;
    }
    for (const watcher of this.#future.take(previous, revision)) this.#makeReady(watcher);
  }

  /** Delivers what was published to all watchers that are synced. */
  flush(): void {
    this.#workSignalled = false;
    const dirty = this.#dirty;
    for (let i = 0; i < dirty.length; i++) this.#flushGroup(dirty[i] as WatchGroup);
    dirty.length = 0;
  }

  /**
   * One bounded step for watchers that are behind: reads a piece of history from where one of them stands and
   * serves all that stand within it. Returns true while there is more to do.
   */
  catchUp(): boolean {
    const first = this.#ready.values().next().value;
    if (first === undefined) return false;
    const compactRevision = this.#history.compactRevision;
    const chunk =
      first.nextRevision < compactRevision
        ? ({ error: "compacted" } as const)
        : this.#history.eventsSince(first.nextRevision, this.#limits.chunkBytes);
    if ("error" in chunk) {
      this.#endCompacted(first, compactRevision);
    } else {
      assert(chunk.nextRevision > first.nextRevision, "history must go forward");
      this.#serveCohort(first.nextRevision, chunk.nextRevision, chunk.events);
    }
    return this.#ready.size > 0;
  }

  /** The revision up to which all of `watchers` have seen everything, or undefined when one is behind or not begun. */
  progressRevision(watchers: Iterable<Watcher>): number | undefined {
    this.flush();
    for (const watcher of watchers) {
      if (watcher.state !== "synced" || watcher.startRevision > this.#revision) return undefined;
    }
    return this.#revision;
  }

  cancel(watcher: Watcher): void {
    const state = watcher.state;
    if (state === "ended") return;
    watcher.state = "ended";
    this.#watchers--;
    if (state === "synced") {
      if (this.#delivering === watcher.group) {
        this.#sweepNeeded = true;
        return;
      }
      this.#leave(watcher);
    } else if (state === "ready") {
      this.#ready.delete(watcher);
    } else if (state === "blocked") {
      this.#blocked--;
    } else {
      this.#future.remove(watcher);
    }
    this.#index.release(watcher.group);
  }

  resume(watcher: Watcher): void {
    if (watcher.state !== "blocked") return;
    this.#blocked--;
    this.#makeReady(watcher);
  }

  #publishEvent(event: WatchableEvent, revision: number): void {
    const hits = this.#hits;
    this.#index.find(event.keyText, hits);
    for (let i = 0; i < hits.length; i++) {
      for (const group of (hits[i] as WatchRange).groups) {
        if (group.synced.length > 0 && group.wants(event)) this.#append(group, event, revision);
      }
    }
    hits.length = 0;
  }

  #append(group: WatchGroup, event: WatchableEvent, revision: number): void {
    let run = group.run;
    const isFull = run !== undefined && run.sizeBytes > this.#limits.runBytesMax;
    if (isFull && run?.lastRevision !== revision) {
      this.#flushGroup(group);
      if (group.synced.length === 0) return;
      run = undefined;
    }
    if (run === undefined) {
      run = this.#takeRun();
      group.run = run;
      this.#dirty.push(group);
    }
    const before = run.sizeBytes;
    run.append(event, revision, group.prevKv);
    this.#pendingBytes += run.sizeBytes - before;
  }

  #flushGroup(group: WatchGroup): void {
    const run = group.run;
    if (run === undefined) return;
    group.run = undefined;
    this.#pendingBytes -= run.sizeBytes;
    const synced = group.synced;
    const count = run.count;
    this.#delivering = group;
    this.#sweepNeeded = false;
    for (let i = 0; i < synced.length; i++) {
      const watcher = synced[i] as Watcher;
      if (watcher.state !== "synced") continue; // cancelled by a sink in this round
      if (watcher.sink.deliver(run, 0, count, true)) {
        this.liveResponses++;
        this.deliveredEvents += count;
      } else if (watcher.state === "synced") {
        this.#block(watcher, run.revisions[0] as number);
        this.#sweepNeeded = true;
      }
    }
    this.#delivering = undefined;
    if (this.#sweepNeeded) this.#sweep(group);
    this.#giveRun(run);
  }

  /** Takes out of `group.synced` all that are no longer synced. */
  #sweep(group: WatchGroup): void {
    const synced = group.synced;
    for (let i = synced.length - 1; i >= 0; i--) {
      const watcher = synced[i] as Watcher;
      if (watcher.state === "synced") continue;
      this.#leave(watcher);
      if (watcher.state === "ended") this.#index.release(group);
    }
  }

  #serveCohort(from: number, next: number, events: readonly WatchableEvent[]): void {
    const cohort: Watcher[] = [];
    for (const watcher of this.#ready) {
      if (watcher.nextRevision < from || watcher.nextRevision >= next) continue;
      cohort.push(watcher);
      watcher.group.cohort.push(watcher);
      if (cohort.length === this.#limits.cohortWatchersMax) break;
    }
    const groups = this.#collect(events);
    let bytesLeft = stepBytesMax;
    for (const watcher of cohort) {
      watcher.group.cohort.length = 0;
      if (watcher.state !== "ready") continue; // cancelled by a sink in this step
      if (bytesLeft > 0) bytesLeft -= this.#serve(watcher, next);
    }
    for (const group of groups) {
      this.#giveRun(group.cohortRun as EventRun);
      group.cohortRun = undefined;
    }
  }

  /** Sorts a piece of history into the runs of the groups that are in the cohort. */
  #collect(events: readonly WatchableEvent[]): WatchGroup[] {
    const groups: WatchGroup[] = [];
    const hits = this.#hits;
    for (const event of events) {
      this.#index.find(event.keyText, hits);
      for (let i = 0; i < hits.length; i++) {
        for (const group of (hits[i] as WatchRange).groups) {
          if (group.cohort.length === 0 || !group.wants(event)) continue;
          if (group.cohortRun === undefined) {
            group.cohortRun = this.#takeRun();
            groups.push(group);
          }
          group.cohortRun.append(event, event.main, group.prevKv);
        }
      }
      hits.length = 0;
    }
    return groups;
  }

  /** Gives one watcher its part of the step's events. Returns the bytes delivered. */
  #serve(watcher: Watcher, next: number): number {
    const run = watcher.group.cohortRun;
    let bytes = 0;
    if (run !== undefined) {
      const from = run.indexOf(watcher.nextRevision);
      if (from < run.count) {
        if (!watcher.sink.deliver(run, from, run.count, false)) {
          this.#ready.delete(watcher);
          this.#block(watcher, watcher.nextRevision);
          return 0;
        }
        this.deliveredEvents += run.count - from;
        bytes = run.sizeBytes - run.startOf(from);
      }
    }
    if (watcher.state !== "ready") return bytes; // the sink has cancelled it
    this.#ready.delete(watcher);
    watcher.nextRevision = next;
    if (next > this.#revision) {
      this.#join(watcher);
      watcher.sink.caughtUp();
    } else {
      this.#ready.add(watcher); // to the end: everyone has a turn
    }
    return bytes;
  }

  #endCompacted(watcher: Watcher, compactRevision: number): void {
    if (watcher.sink.compacted(compactRevision)) {
      this.cancel(watcher);
    } else if (watcher.state === "ready") {
      this.#ready.delete(watcher);
      this.#block(watcher, watcher.nextRevision);
    }
  }

  /** Puts a watcher that has seen everything published among the synced of its group. */
  #join(watcher: Watcher): void {
    const group = watcher.group;
    this.#flushGroup(group); // what is pending is not for the newcomer
    watcher.state = "synced";
    watcher.slot = group.synced.length;
    group.synced.push(watcher);
  }

  #leave(watcher: Watcher): void {
    const synced = watcher.group.synced;
    const last = synced.pop() as Watcher;
    if (last !== watcher) {
      synced[watcher.slot] = last;
      last.slot = watcher.slot;
    }
    watcher.slot = -1;
  }

  #block(watcher: Watcher, nextRevision: number): void {
    watcher.state = "blocked";
    watcher.nextRevision = nextRevision;
    this.#blocked++;
  }

  #makeReady(watcher: Watcher): void {
    watcher.state = "ready";
    this.#ready.add(watcher);
    this.#signalWork();
  }

  #postpone(watcher: Watcher): void {
    watcher.state = "future";
    this.#future.add(watcher);
  }

  #takeRun(): EventRun {
    return this.#idleRuns.pop() ?? new EventRun();
  }

  #giveRun(run: EventRun): void {
    run.reset();
    if (this.#idleRuns.length < idleRunsMax) this.#idleRuns.push(run);
  }

  #signalWork(): void {
    if (this.#workSignalled) return;
    this.#workSignalled = true;
    this.onWork?.();
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function latin1End(rangeEnd: Uint8Array | undefined): string | typeof openEnd | undefined {
  if (rangeEnd === undefined) return undefined;
  return rangeEnd.length === 0 ? openEnd : latin1(rangeEnd);
}
