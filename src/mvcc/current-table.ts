// The table of live keys, as of the last flush: key -> revisions, version, lease and where the value lies.
// The values are not in it: rows of some ten bytes make inserts in random order cheap and let counts and
// keys-only reads pass over many keys quickly.
//
// A row: flags (1: has sub-revisions, 2: has a lease), main, main - chunk's main, main - create, version, then sub and chunk's sub,
// then the lease. A folded row: suffix length, suffix, length of the row as above, that row; repeated, by suffix.

import { latin1Bytes } from "../base/bytes.ts";
import { writeVarint, writeVarintBig } from "../base/varint.ts";
import type { Backend } from "../storage/backend.ts";
import { afterRow, foldedKeyBytes, isFolded, rowBound, rowNameOf } from "./folded-keys.ts";
import { type KeyMeta, type RowArena, RowReader } from "./row-codec.ts";

const metaBytesMax = 80;
const hasSubs = 1;
const hasLease = 2;

/** Keys in order with what is known of each; `next` is where the following page starts, if there is one. */
export interface KeyPage {
  readonly keys: string[];
  readonly metas: KeyMeta[];
  readonly next: string | undefined;
}

export class CurrentTable {
  readonly #backend: Backend;
  readonly #reader = new RowReader(Buffer.alloc(0));
  /** One for each length, below that of folded keys. */
  readonly #keyBuffers: Buffer[] = [];

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get(key: string): KeyMeta | undefined {
    if (key.length === 0) return undefined;
    if (key.length >= foldedKeyBytes) return this.folded(rowNameOf(key)).get(key);
    const row = this.#backend.view("current", this.#keyBytes(key));
    return row && this.#read(row, 0);
  }

  /** Up to about `limit` keys from `start` to below `end`. */
  page(start: string, end: string | undefined, limit: number): KeyPage {
    const keys: string[] = [];
    const metas: KeyMeta[] = [];
    let rows = 0;
    let lastName = "";
    const range = {
      start: latin1Bytes(rowNameOf(start)),
      ...(end !== undefined && { end: latin1Bytes(rowBound(end)) }),
      limit,
    };
    this.#backend.scan("current", range, (name, row) => {
      rows++;
      lastName = name.latin1Slice(0, name.length);
      if (!isFolded(lastName)) {
        keys.push(lastName);
        metas.push(this.#read(row, 0));
        return;
      }
      for (const [key, meta] of this.#readFolded(lastName, row)) {
        if (key < start || (end !== undefined && key >= end)) continue;
        keys.push(key);
        metas.push(meta);
      }
    });
    return { keys, metas, next: rows < limit ? undefined : afterRow(lastName) };
  }

  /** The key's bytes, in a buffer that is used again for the next key of this length. */
  #keyBytes(key: string): Buffer {
    const { length } = key;
    let bytes = this.#keyBuffers[length];
    if (!bytes) {
      bytes = Buffer.alloc(length);
      this.#keyBuffers[length] = bytes;
    }
    bytes.latin1Write(key, 0, length);
    return bytes;
  }

  /** All keys of a folded row. */
  folded(rowName: string): Map<string, KeyMeta> {
    const row = this.#backend.get("current", latin1Bytes(rowName));
    return row ? this.#readFolded(rowName, row) : new Map();
  }

  #readFolded(rowName: string, row: Buffer): Map<string, KeyMeta> {
    const found = new Map<string, KeyMeta>();
    const reader = this.#reader;
    reader.source = row;
    let at = 0;
    while (at < row.length) {
      reader.at = at;
      const key = rowName + reader.text(reader.number());
      const length = reader.number();
      at = reader.at + length;
      found.set(key, this.#read(row, reader.at));
    }
    return found;
  }

  #read(row: Buffer, at: number): KeyMeta {
    const reader = this.#reader;
    reader.source = row;
    reader.at = at;
    const flags = reader.number();
    const main = reader.number();
    const chunkMain = main - reader.number();
    const create = main - reader.number();
    const version = reader.number();
    let sub = 0;
    let chunkSub = 0;
    if (flags & hasSubs) {
      sub = reader.number();
      chunkSub = reader.number();
    }
    const lease = flags & hasLease ? reader.big() : 0n;
    return { main, sub, chunkMain, chunkSub, create, version, lease };
  }
}

export function encodeMeta(arena: RowArena, meta: KeyMeta): Buffer {
  const block = arena.reserve(metaBytesMax);
  return arena.take(writeMeta(block, arena.offset, meta));
}

/** A folded row; `keys` must be sorted and share the row's name as prefix. */
export function encodeFolded(
  arena: RowArena,
  keys: readonly (readonly [string, KeyMeta])[],
): Buffer {
  let bytes = 0;
  for (const [key] of keys) bytes += key.length - foldedKeyBytes + 2 * 10 + metaBytesMax;
  const block = arena.reserve(bytes);
  const scratch = Buffer.allocUnsafe(metaBytesMax);
  let at = arena.offset;
  for (const [key, meta] of keys) {
    const suffix = key.slice(foldedKeyBytes);
    at = writeVarint(block, at, suffix.length);
    at += block.latin1Write(suffix, at, suffix.length);
    const length = writeMeta(scratch, 0, meta);
    at = writeVarint(block, at, length);
    at += scratch.copy(block, at, 0, length);
  }
  return arena.take(at);
}

function writeMeta(target: Uint8Array, at: number, meta: KeyMeta): number {
  const withSubs = meta.sub !== 0 || meta.chunkSub !== 0;
  const withLease = meta.lease !== 0n;
  target[at++] = (withSubs ? hasSubs : 0) | (withLease ? hasLease : 0);
  at = writeVarint(target, at, meta.main);
  at = writeVarint(target, at, meta.main - meta.chunkMain);
  at = writeVarint(target, at, meta.main - meta.create);
  at = writeVarint(target, at, meta.version);
  if (withSubs) {
    at = writeVarint(target, at, meta.sub);
    at = writeVarint(target, at, meta.chunkSub);
  }
  return withLease ? writeVarintBig(target, at, meta.lease) : at;
}
