// Walks all changes in revision order, those in the backend and those in memory: for watchers that catch up, for
// hashes and for compaction.

import type { Backend } from "../storage/backend.ts";
import { KeyValueView } from "../wire/key-value.ts";
import { type Change, type Event, EventType, encodeDeleted } from "./change.ts";
import type { ValueSource } from "./generation.ts";
import { ChunkReader } from "./history-chunk.ts";
import { type Location, mainOfKey, revisionKey, subOfKey } from "./row-codec.ts";
import type { StoreState } from "./store-state.ts";

/** A change at source[start, end), valid only during the call; false ends the walk. */
export type ChangeVisitor = (
  change: {
    readonly main: number;
    readonly sub: number;
    readonly isTombstone: boolean;
    replaced(): Location | undefined;
  },
  source: Buffer,
  start: number,
  end: number,
) => boolean | undefined;

/** The key of the chunk in which revision `main` begins; undefined when that is before all chunks. */
export function chunkKeyOf(backend: Backend, main: number): Buffer | undefined {
  let found: Buffer | undefined;
  const range = { end: revisionKey(Math.max(0, main), 1), reverse: true, limit: 1 };
  backend.scanKeys("history", range, (key) => {
    found = Buffer.from(key);
    return false;
  });
  return found;
}

/** Visits the chunks from `start` on whose first change is at or before revision `lastMain`. */
export function walkChunks(
  backend: Pick<Backend, "scan">,
  start: Buffer | undefined,
  lastMain: number,
  limit: number | undefined,
  visit: (chunk: ChunkReader, key: Buffer) => boolean | undefined,
): void {
  const reader = new ChunkReader();
  const range = {
    ...(start && { start }),
    end: revisionKey(lastMain + 1, 0),
    ...(limit !== undefined && { limit }),
  };
  backend.scan("history", range, (key, bytes) =>
    visit(reader.reset(bytes, 0, bytes.length, mainOfKey(key), subOfKey(key)), key),
  );
}

/** Visits the changes from revision `firstMain` to `lastMain`, both inclusive, in order. */
export function walkHistory(
  state: StoreState,
  firstMain: number,
  lastMain: number,
  visit: ChangeVisitor,
): void {
  let goesOn = true;
  const start = chunkKeyOf(state.backend, firstMain);
  walkChunks(state.backend, start, lastMain, undefined, (chunk) => {
    while (goesOn && chunk.next()) {
      if (chunk.main < firstMain) continue;
      if (chunk.main > lastMain) break;
      const source = chunk.source as Buffer;
      goesOn = visit(chunk, source, chunk.keyValueStart, chunk.keyValueEnd) !== false;
    }
    return goesOn;
  });
  for (const generation of [...state.reader.generations].reverse()) {
    const { changes } = generation;
    for (let i = generation.indexOf(firstMain, 0); goesOn && i < changes.length; i++) {
      const change = changes[i] as Change;
      if (change.main > lastMain) return;
      goesOn = visit(change, change.slab, change.start, change.end) !== false;
    }
  }
}

export type EventsResult =
  | { readonly events: Event[]; readonly nextRevision: number }
  | { readonly error: "compacted" };

/** The events of whole revisions from `revision` on: about `limitBytes`, at least one revision's. */
export function eventsSince(state: StoreState, revision: number, limitBytes: number): EventsResult {
  if (revision < state.compactRevision) return { error: "compacted" };
  const events: Event[] = [];
  const last = state.currentRevision;
  let nextRevision = Math.max(revision, last + 1);
  let bytes = 0;
  walkHistory(state, revision, last, (change, source, start, end) => {
    if (bytes >= limitBytes && change.main !== (events[events.length - 1] as Event).main) {
      nextRevision = change.main;
      return false;
    }
    bytes += end - start;
    events.push(
      "keyText" in change ? (change as Change) : pastEvent(state, change, source, start, end),
    );
    return undefined;
  });
  return { events, nextRevision };
}

/** An event read back from the backend. */
class PastEvent implements Event {
  readonly type: 0 | 1;
  readonly keyText: string;
  readonly main: number;
  readonly kv: Buffer;
  readonly #replaced: Location | undefined;
  readonly #values: ValueSource;

  constructor(
    type: 0 | 1,
    keyText: string,
    main: number,
    kv: Buffer,
    replaced: Location | undefined,
    values: ValueSource,
  ) {
    this.type = type;
    this.keyText = keyText;
    this.main = main;
    this.kv = kv;
    this.#replaced = replaced;
    this.#values = values;
  }

  get key(): Buffer {
    return Buffer.from(this.keyText, "latin1");
  }

  get prevKv(): Uint8Array | undefined {
    return this.#replaced && this.#values.load(this.#replaced);
  }
}

function pastEvent(
  state: StoreState,
  change: Parameters<ChangeVisitor>[0],
  source: Buffer,
  start: number,
  end: number,
): Event {
  const { keyStart, keyEnd } = new KeyValueView().read(source, start, end);
  const keyText = source.latin1Slice(keyStart, keyEnd);
  const type = change.isTombstone ? EventType.delete : EventType.put;
  const kv = change.isTombstone
    ? encodeDeleted(keyText, change.main)
    : Buffer.from(source.subarray(start, end));
  return new PastEvent(type, keyText, change.main, kv, change.replaced(), state.reader);
}
