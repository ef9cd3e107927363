// One change that is still in memory: a put or a delete at a revision, its encoded KeyValue lying in its
// generation's log. It is also the event that watchers get, so that publishing allocates nothing more.

import { varintSize } from "../base/varint.ts";
import { encodeKeyValueHead } from "../wire/key-value.ts";
import type { Generation } from "./generation.ts";
import type { KeyMeta } from "./row-codec.ts";

export const EventType = { put: 0, delete: 1 } as const;

/** A change as watchers see it. */
export interface Event {
  readonly type: 0 | 1;
  /** The key with one char per byte. */
  readonly keyText: string;
  readonly key: Buffer;
  /** Main revision. */
  readonly main: number;
  /** Encoded KeyValue; of a delete it holds the key and mod_revision alone. */
  readonly kv: Uint8Array;
  /** The encoded KeyValue that was replaced or deleted; undefined when there was none or it is compacted. Read on access. */
  readonly prevKv: Uint8Array | undefined;
}

/** All changes of one revision, in order. */
export interface EventBatch {
  readonly revision: number;
  readonly events: readonly Event[];
}

export class Change implements KeyMeta, Event {
  readonly keyText: string;
  readonly main: number;
  readonly sub: number;
  readonly isTombstone: boolean;
  readonly create: number;
  readonly version: number;
  readonly lease: bigint;
  readonly chunkMain: number;
  readonly chunkSub: number;
  /** The encoded KeyValue as history holds it lies at slab[start, end), its head from headStart. */
  readonly slab: Buffer;
  readonly headStart: number;
  readonly start: number;
  readonly end: number;
  readonly generation: Generation;
  /** The change of the same key before this one, when it is of the same generation. */
  readonly older: Change | undefined;
  #bytes: Buffer | undefined;

  constructor(
    keyText: string,
    main: number,
    sub: number,
    isTombstone: boolean,
    create: number,
    version: number,
    lease: bigint,
    chunkMain: number,
    chunkSub: number,
    slab: Buffer,
    headStart: number,
    start: number,
    end: number,
    generation: Generation,
    older: Change | undefined,
  ) {
    this.keyText = keyText;
    this.main = main;
    this.sub = sub;
    this.isTombstone = isTombstone;
    this.create = create;
    this.version = version;
    this.lease = lease;
    this.chunkMain = chunkMain;
    this.chunkSub = chunkSub;
    this.slab = slab;
    this.headStart = headStart;
    this.start = start;
    this.end = end;
    this.generation = generation;
    this.older = older;
  }

  get type(): 0 | 1 {
    return this.isTombstone ? EventType.delete : EventType.put;
  }

  get key(): Buffer {
    // The key is the first field of the KeyValue; an empty one is left out.
    const length = this.keyText.length;
    const from = length === 0 ? this.start : this.start + 1 + varintSize(length);
    return this.slab.subarray(from, from + length);
  }

  /** The encoded KeyValue as history holds it: of a tombstone the key alone. */
  get bytes(): Buffer {
    this.#bytes ??= this.slab.subarray(this.start, this.end);
    return this.#bytes;
  }

  get kv(): Uint8Array {
    return this.isTombstone ? encodeDeleted(this.keyText, this.main) : this.bytes;
  }

  get prevKv(): Uint8Array | undefined {
    const replaced = this.replaced();
    return replaced && this.generation.values.load(replaced);
  }

  /** Where the version lies that this change replaced. */
  replaced() {
    return this.generation.replacedBy(this);
  }

  /** The change that stood when revision `main` was the current one, among those of this generation. */
  at(main: number): Change | undefined {
    let change: Change | undefined = this;
    while (change && change.main > main) change = change.older;
    return change;
  }
}

/** The KeyValue of a delete event. */
export function encodeDeleted(keyText: string, main: number): Buffer {
  const numbers = { createRevision: 0, modRevision: main, version: 0, lease: 0n };
  return encodeKeyValueHead(keyText, numbers);
}
