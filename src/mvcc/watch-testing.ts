// Test doubles of the watch hub's neighbours: a history that is a plain array, a sink that writes down what
// it gets as text, and the loop that an owner of the hub runs.

import { Event, KeyValue } from "../wire/generated/kv.ts";
import type { EventChunk, EventHistory, WatchableBatch, WatchableEvent } from "./watch-event.ts";
import type { WatchHub, WatchSink } from "./watch-hub.ts";
import type { EventRun } from "./watch-run.ts";

/** A change to apply; without a value it deletes. */
export interface Change {
  readonly key: string;
  readonly value?: string;
}

export class ArrayHistory implements EventHistory {
  currentRevision = 1;
  compactRevision = 0;
  reads = 0;
  onBatch: ((batch: WatchableBatch) => void) | undefined;
  readonly batches: WatchableBatch[] = [];
  readonly #live = new Map<string, { kv: Buffer; createRevision: number; version: number }>();

  put(key: string, value: string): void {
    this.apply([{ key, value }]);
  }

  delete(key: string): void {
    this.apply([{ key }]);
  }

  /** One transaction; deletes of absent keys change nothing, and so may the whole. */
  apply(changes: readonly Change[]): void {
    const revision = this.currentRevision + 1;
    const events: WatchableEvent[] = [];
    for (const change of changes) {
      const event = this.#change(change, revision);
      if (event !== undefined) events.push(event);
    }
    if (events.length === 0) return;
    const batch = { revision, events };
    this.batches.push(batch);
    this.currentRevision = revision;
    this.onBatch?.(batch);
  }

  compact(revision: number): void {
    this.compactRevision = revision;
  }

  eventsSince(revision: number, limitBytes: number): EventChunk | { readonly error: "compacted" } {
    this.reads++;
    if (revision < this.compactRevision) return { error: "compacted" };
    const events: WatchableEvent[] = [];
    let at = Math.max(0, revision - 2);
    let size = 0;
    for (; at < this.batches.length && size < limitBytes; at++) {
      for (const event of (this.batches[at] as WatchableBatch).events) {
        events.push(event);
        size += event.kv.length;
      }
    }
    return { events, nextRevision: at + 2 };
  }

  #change(change: Change, revision: number): WatchableEvent | undefined {
    const key = Buffer.from(change.key);
    const keyText = key.toString("latin1");
    const previous = this.#live.get(change.key);
    if (change.value === undefined) {
      if (previous === undefined) return undefined;
      this.#live.delete(change.key);
      return {
        type: 1,
        keyText,
        main: revision,
        kv: encode(key, revision, 0, 0, ""),
        prevKv: previous.kv,
      };
    }
    const createRevision = previous?.createRevision ?? revision;
    const version = (previous?.version ?? 0) + 1;
    const kv = encode(key, revision, createRevision, version, change.value);
    this.#live.set(change.key, { kv, createRevision, version });
    return { type: 0, keyText, main: revision, kv, prevKv: previous?.kv };
  }
}

function encode(
  key: Buffer,
  modRevision: number,
  createRevision: number,
  version: number,
  value: string,
): Buffer {
  const message = {
    key,
    modRevision,
    createRevision,
    version,
    value: Buffer.from(value),
    lease: 0n,
  };
  return Buffer.from(KeyValue.encode(message).finish());
}

/** What a sink got, as lines like "7 put key=value was old". */
export class RecordingSink implements WatchSink {
  readonly events: string[] = [];
  /** The revisions of each delivery's events. */
  readonly revisionRuns: number[][] = [];
  full = false;
  compactedAt: number | undefined;
  caughtUpCalls = 0;
  onDeliver: (() => void) | undefined;

  get deliveries(): number {
    return this.revisionRuns.length;
  }

  keys(): string[] {
    return this.events.map((line) => (line.split(" ")[2] as string).split("=")[0] as string);
  }

  deliver(run: EventRun, from: number, to: number): boolean {
    this.onDeliver?.();
    if (this.full) return false;
    const revisions: number[] = [];
    for (let i = from; i < to; i++) {
      const line = describeEvent(run.buffer.subarray(run.startOf(i), run.startOf(i + 1)));
      this.events.push(line);
      revisions.push(Number(line.split(" ")[0]));
    }
    this.revisionRuns.push(revisions);
    return true;
  }

  compacted(compactRevision: number): boolean {
    if (this.full) return false;
    this.compactedAt = compactRevision;
    return true;
  }

  caughtUp(): void {
    this.caughtUpCalls++;
  }
}

/** The line for one event as it stands in a run: tag, length, mvccpb.Event. */
function describeEvent(field: Buffer): string {
  let at = 1;
  while ((field[at] as number) >= 0x80) at++;
  const event = Event.decode(field.subarray(at + 1));
  const kv = event.kv as KeyValue;
  const was =
    event.prevKv === undefined ? "" : ` was ${Buffer.from(event.prevKv.value).toString()}`;
  const key = Buffer.from(kv.key).toString();
  if (event.type === 1) return `${kv.modRevision} delete ${key}${was}`;
  return `${kv.modRevision} put ${key}=${Buffer.from(kv.value).toString()}${was}`;
}

/** Flushes and catches up until there is nothing left to do. */
export function runHub(hub: WatchHub): void {
  hub.flush();
  while (hub.catchUp()) hub.flush();
}
