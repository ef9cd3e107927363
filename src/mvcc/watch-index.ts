// Which watchers want which key. Watchers with the same range and the same options form one group, so that
// an event is matched and encoded once for all of them. Single keys are found in a Map, ranges in an
// interval tree; both by latin1 string.

import { assert } from "../base/assert.ts";
import type { WatchableEvent } from "./watch-event.ts";
import type { Watcher } from "./watch-hub.ts";
import { type IntervalEnd, IntervalTree } from "./watch-intervals.ts";
import type { EventRun } from "./watch-run.ts";

/** Watchers of one range with the same options. Fields belong to the hub. */
export class WatchGroup {
  readonly range: WatchRange;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  /** All watchers that refer to this group, whatever their state. */
  watcherCount = 0;
  /** Those that have seen everything published so far, `run` excepted. */
  readonly synced: Watcher[] = [];
  /** Published and not yet delivered to `synced`. */
  run: EventRun | undefined;
  /** Those that the running catch-up step serves, and what it found for them. */
  readonly cohort: Watcher[] = [];
  cohortRun: EventRun | undefined;

  constructor(range: WatchRange, options: WatchOptions) {
    this.range = range;
    this.prevKv = options.prevKv;
    this.noPut = options.noPut;
    this.noDelete = options.noDelete;
  }

  wants(event: WatchableEvent): boolean {
    return event.type === 0 ? !this.noPut : !this.noDelete;
  }
}

/** One key (`end` undefined), or [start, end); a null end is open. */
export interface WatchRange {
  readonly start: string;
  readonly end: IntervalEnd | undefined;
  readonly groups: WatchGroup[];
}

export interface WatchOptions {
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

export class WatchIndex {
  /** All there are. */
  readonly groups = new Set<WatchGroup>();
  readonly #keys = new Map<string, WatchRange>();
  readonly #ranges = new IntervalTree<WatchRange>();

  /** The group for this range and these options, made when it is missing; counts one watcher in. */
  acquire(start: string, end: IntervalEnd | undefined, options: WatchOptions): WatchGroup {
    let range = end === undefined ? this.#keys.get(start) : this.#ranges.get(start, end);
    if (range === undefined) {
      range = { start, end, groups: [] };
      if (end === undefined) this.#keys.set(start, range);
      else this.#ranges.insert(start, end, range);
    }
    let group = range.groups.find((other) => sameOptions(other, options));
    if (group === undefined) {
      group = new WatchGroup(range, options);
      range.groups.push(group);
      this.groups.add(group);
    }
    group.watcherCount++;
    return group;
  }

  /** Counts one watcher out; the last one takes the group along. */
  release(group: WatchGroup): void {
    assert(group.watcherCount > 0, "a watch group is released more often than acquired");
    group.watcherCount--;
    if (group.watcherCount > 0) return;
    this.groups.delete(group);
    const range = group.range;
    range.groups.splice(range.groups.indexOf(group), 1);
    if (range.groups.length > 0) return;
    if (range.end === undefined) this.#keys.delete(range.start);
    else this.#ranges.remove(range.start, range.end);
  }

  /** Appends to `out` every range that holds `key`. */
  find(key: string, out: WatchRange[]): void {
    const single = this.#keys.get(key);
    if (single !== undefined) out.push(single);
    if (this.#ranges.size > 0) this.#ranges.stab(key, out);
  }
}

function sameOptions(a: WatchOptions, b: WatchOptions): boolean {
  return a.prevKv === b.prevKv && a.noPut === b.noPut && a.noDelete === b.noDelete;
}
