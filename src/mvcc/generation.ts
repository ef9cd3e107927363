// What one flush will write: all changes since the generation was opened, packed into the chunks that go to
// the history table as they are, and the newest change of every key. Also rows of other tables that
// must reach the disk together with them.
// Invariant: changes are in revision order; a Change's Location is final when it is made.

import { SortedKeys } from "../base/sorted-keys.ts";
import type { TableName } from "../storage/backend.ts";
import { keyValueSize, writeKeyValueEnd, writeKeyValueStart } from "../wire/key-value.ts";
import { Change } from "./change.ts";
import {
  ChunkReader,
  changeHeadBytesMax,
  chunkBytesMax,
  writeChangeHead,
} from "./history-chunk.ts";
import { compareRevisions, type KeyMeta, type Location } from "./row-codec.ts";

export interface Chunk {
  readonly main: number;
  readonly sub: number;
  readonly slab: Buffer;
  readonly start: number;
  readonly end: number;
}

export interface StagedRow {
  readonly table: TableName;
  readonly key: Buffer;
  /** undefined deletes the row. */
  readonly value: Uint8Array | undefined;
}

/** Reads the encoded KeyValue at a location, in memory or in the backend; undefined when it is compacted. */
export interface ValueSource {
  load(location: Location): Uint8Array | undefined;
}

const slabBytes = 256 * 1024;
/** What a change and its map entries take beside its encoded bytes, about. */
const changeOverheadBytes = 256;

export class Generation {
  readonly values: ValueSource;
  /** The newest change of every key changed. */
  readonly newest = new Map<string, Change>();
  readonly keys = new SortedKeys();
  readonly changes: Change[] = [];
  readonly staged = new Map<string, StagedRow>();
  /** Memory held, about. */
  bytes = 0;
  readonly #closed: Chunk[] = [];
  readonly #head = new ChunkReader();
  #slab: Buffer = Buffer.alloc(0);
  #at = 0;
  #chunkStart = 0;
  #chunkMain = 0;
  #chunkSub = 0;

  constructor(values: ValueSource) {
    this.values = values;
  }

  get isEmpty(): boolean {
    return this.changes.length === 0 && this.staged.size === 0;
  }

  /** Appends a put; value bytes are copied from source[valueStart, valueEnd). */
  put(
    keyText: string,
    source: Uint8Array,
    valueStart: number,
    valueEnd: number,
    main: number,
    sub: number,
    lease: bigint,
    replaced: KeyMeta | undefined,
  ): Change {
    const create = replaced ? replaced.create : main;
    const version = replaced ? replaced.version + 1 : 1;
    const valueBytes = valueEnd - valueStart;
    const size = keyValueSize(keyText.length, create, main, version, valueBytes, lease);
    this.#reserve(size, main, sub);
    const slab = this.#slab;
    const headStart = this.#at;
    const chunkMain = this.#chunkMain;
    const start = writeChangeHead(slab, headStart, chunkMain, main, sub, false, replaced, size);
    let at = writeKeyValueStart(slab, start, keyText, create, main, version, valueBytes);
    at = copyBytes(source, valueStart, valueEnd, slab, at);
    this.#at = writeKeyValueEnd(slab, at, lease);
    return this.#add(keyText, main, sub, false, create, version, lease, headStart, start);
  }

  /** Appends a delete of the live version `replaced`. */
  delete(keyText: string, main: number, sub: number, replaced: KeyMeta): Change {
    const size = keyValueSize(keyText.length, 0, 0, 0, 0, 0n);
    this.#reserve(size, main, sub);
    const slab = this.#slab;
    const headStart = this.#at;
    const chunkMain = this.#chunkMain;
    const start = writeChangeHead(slab, headStart, chunkMain, main, sub, true, replaced, size);
    this.#at = writeKeyValueStart(slab, start, keyText, 0, 0, 0, 0);
    return this.#add(keyText, main, sub, true, 0, 0, 0n, headStart, start);
  }

  stage(table: TableName, key: Buffer, value: Uint8Array | undefined): void {
    const name = `${table}/${key.latin1Slice(0, key.length)}`;
    this.bytes += key.length + (value?.length ?? 0) + changeOverheadBytes;
    this.staged.set(name, { table, key, value });
  }

  stagedRow(table: TableName, key: Buffer): StagedRow | undefined {
    return this.staged.get(`${table}/${key.latin1Slice(0, key.length)}`);
  }

  /** All chunks, in revision order. Nothing may be added afterwards. */
  chunks(): readonly Chunk[] {
    this.#closeChunk();
    return this.#closed;
  }

  /** The change of exactly this revision. */
  find(main: number, sub: number): Change | undefined {
    const change = this.changes[this.indexOf(main, sub)];
    return change && change.main === main && change.sub === sub ? change : undefined;
  }

  /** Position of the first change at or after this revision. */
  indexOf(main: number, sub: number): number {
    let low = 0;
    let high = this.changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const change = this.changes[middle] as Change;
      if (compareRevisions(change.main, change.sub, main, sub) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where the version lies that `change`, one of ours, replaced. */
  replacedBy(change: Change): Location | undefined {
    const { slab, headStart, end, chunkMain, chunkSub } = change;
    const head = this.#head.reset(slab, headStart, end, chunkMain, chunkSub);
    head.next();
    return head.replaced();
  }

  #add(
    keyText: string,
    main: number,
    sub: number,
    isTombstone: boolean,
    create: number,
    version: number,
    lease: bigint,
    headStart: number,
    start: number,
  ): Change {
    const older = this.newest.get(keyText);
    const change = new Change(
      keyText,
      main,
      sub,
      isTombstone,
      create,
      version,
      lease,
      this.#chunkMain,
      this.#chunkSub,
      this.#slab,
      headStart,
      start,
      this.#at,
      this,
      older,
    );
    if (!older) this.keys.add(keyText);
    this.newest.set(keyText, change);
    this.changes.push(change);
    this.bytes += this.#at - headStart + changeOverheadBytes;
    return change;
  }

  /** Makes room for a change, in the open chunk when it fits there, else in a new one. */
  #reserve(keyValueBytes: number, main: number, sub: number): void {
    const bytesMax = keyValueBytes + changeHeadBytesMax;
    const fitsChunk = this.#at - this.#chunkStart + bytesMax <= chunkBytesMax;
    const fitsSlab = this.#at + bytesMax <= this.#slab.length;
    if (fitsChunk && fitsSlab && this.#at > this.#chunkStart) return;
    this.#closeChunk();
    if (!fitsSlab || this.#slab.length - this.#at < chunkBytesMax) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytesMax));
      this.#at = 0;
    }
    this.#chunkStart = this.#at;
    this.#chunkMain = main;
    this.#chunkSub = sub;
  }

  #closeChunk(): void {
    if (this.#at === this.#chunkStart) return;
    this.#closed.push({
      main: this.#chunkMain,
      sub: this.#chunkSub,
      slab: this.#slab,
      start: this.#chunkStart,
      end: this.#at,
    });
    this.#chunkStart = this.#at;
  }
}

/** Copies source[start, end) to target at `at`; returns the offset after it. */
function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Buffer,
  at: number,
): number {
  const length = end - start;
  if (length < 32) {
    for (let i = start; i < end; i++) target[at++] = source[i] as number;
    return at;
  }
  if (source instanceof Buffer) source.copy(target, at, start, end);
  else target.set(source.subarray(start, end), at);
  return at + length;
}
