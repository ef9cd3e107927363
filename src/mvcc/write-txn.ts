// One applied command's changes: all get the same main revision, taken with the first of them, and
// sub-revisions from 0. Reads within see what was written before. Nothing is undone: a command is checked
// before it begins to write.

import { assert } from "../base/assert.ts";
import type { Change } from "./change.ts";
import { type RangeOptions, type RangeResult, visitRange } from "./range.ts";
import type { BytesVisitor } from "./reader.ts";
import type { KeyMeta } from "./row-codec.ts";
import type { StoreState } from "./store-state.ts";

export class WriteTxn {
  readonly #state: StoreState;
  readonly #finish: (changes: Change[]) => void;
  #changes: Change[] = [];
  #isOpen = false;
  #main = 0;

  /** Made once by the store and opened again for each command. */
  constructor(state: StoreState, finish: (changes: Change[]) => void) {
    this.#state = state;
    this.#finish = finish;
  }

  /** For the store: begins the next command. */
  open(): this {
    assert(!this.#isOpen, "a write transaction is open");
    this.#isOpen = true;
    this.#changes = [];
    this.#main = this.#state.currentRevision + 1;
    return this;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The revision of a reply made now: the new one once something changed. */
  get revision(): number {
    return this.#changes.length === 0 ? this.#main - 1 : this.#main;
  }

  /** Returns the encoded KeyValue that was replaced, if there was one and it was asked for. */
  put(
    key: Buffer,
    value: Uint8Array,
    lease: bigint,
    needsPrevious: boolean,
  ): Uint8Array | undefined {
    const keyText = key.latin1Slice(0, key.length);
    return this.putRange(keyText, value, 0, value.length, lease, needsPrevious);
  }

  /** As `put`, with a key made by latin1Key and the value at source[start, end). */
  putRange(
    keyText: string,
    source: Uint8Array,
    start: number,
    end: number,
    lease: bigint,
    needsPrevious: boolean,
  ): Uint8Array | undefined {
    const state = this.#state;
    const replaced = state.reader.meta(keyText);
    const previous = needsPrevious && replaced ? state.reader.load(replaced) : undefined;
    const sub = this.#changes.length;
    const change = state.active.put(keyText, source, start, end, this.#main, sub, lease, replaced);
    this.#changes.push(change);
    if (!replaced) state.counts.add(keyText, 1);
    const oldLease = replaced ? replaced.lease : 0n;
    if (oldLease !== lease) state.onLeaseChange?.(change.key, oldLease, lease);
    return previous;
  }

  /** Deletes the live keys of a range (as RangeOptions: no end is one key, a zero byte is "to the last"). */
  deleteRange(
    key: Buffer,
    rangeEnd: Buffer | undefined,
    needsPrevious: boolean,
  ): { readonly deleted: number; readonly previous: Uint8Array[] } {
    const found = this.#find(key, rangeEnd);
    const previous: Uint8Array[] = [];
    for (const [keyText, meta] of found) {
      if (needsPrevious) previous.push(this.#state.reader.load(meta) as Uint8Array);
      this.#delete(keyText, meta);
    }
    return { deleted: found.length, previous };
  }

  /** The encoded KeyValue of a live key, own changes included. */
  get(key: Buffer): Uint8Array | undefined {
    const meta = this.#state.reader.meta(key.latin1Slice(0, key.length));
    return meta && this.#state.reader.load(meta);
  }

  range(options: RangeOptions): RangeResult {
    const kvs: Uint8Array[] = [];
    const summary = this.visitRange(options, (source, start, end) => {
      kvs.push(Buffer.from(source.subarray(start, end)));
    });
    return "error" in summary ? summary : { ...summary, kvs };
  }

  visitRange(options: RangeOptions, visit: BytesVisitor) {
    const { reader, counts, compactRevision } = this.#state;
    const view = { reader, counts, compactRevision, currentRevision: this.revision };
    return visitRange(view, options, visit);
  }

  /** Makes the changes visible and tells watchers. Returns the revision of the reply. */
  end(): number {
    assert(this.#isOpen, "no write transaction is open");
    const revision = this.revision;
    this.#isOpen = false;
    this.#finish(this.#changes);
    return revision;
  }

  #find(key: Buffer, rangeEnd: Buffer | undefined): [string, KeyMeta][] {
    const start = key.latin1Slice(0, key.length);
    const { reader } = this.#state;
    const found: [string, KeyMeta][] = [];
    if (!rangeEnd || rangeEnd.length === 0) {
      const meta = reader.meta(start);
      if (meta) found.push([start, meta]);
      return found;
    }
    const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
    const end = isOpen ? undefined : rangeEnd.latin1Slice(0, rangeEnd.length);
    if (end !== undefined && end <= start) return found;
    reader.walk(start, end, (keyText, meta) => {
      found.push([keyText, meta as KeyMeta]);
      return undefined;
    });
    return found;
  }

  #delete(keyText: string, replaced: KeyMeta): void {
    const state = this.#state;
    const change = state.active.delete(keyText, this.#main, this.#changes.length, replaced);
    this.#changes.push(change);
    state.counts.add(keyText, -1);
    if (replaced.lease !== 0n) state.onLeaseChange?.(change.key, replaced.lease, 0n);
  }
}
