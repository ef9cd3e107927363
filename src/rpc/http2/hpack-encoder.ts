// HPACK encoding (RFC 7541). Owns the dynamic table that the peer's decoder mirrors: blocks must be
// sent in the order in which they were encoded. Fields that vary from request to request stay out of
// the table, so that the constant ones keep their index and prepared lists their cached bytes.

import { assert } from "../../base/assert.ts";
import { DEFAULT_TABLE_BYTES } from "./frames.ts";
import { huffmanEncode, huffmanLength } from "./huffman.ts";
import { PreparedHeaderList } from "./prepared-headers.ts";
import { fieldKey, STATIC_ENTRIES, staticIndexByField, staticIndexByName } from "./static-table.ts";
import type { HeaderList, PreparedHeaders } from "./types.ts";

const ENTRY_OVERHEAD_BYTES = 32;
const SIZE_UPDATE_BYTES_MAX = 12;
const FIELD_OVERHEAD_BYTES_MAX = 16;
/** Longer values do not pay for their place in the table. */
const INDEXED_VALUE_BYTES_MAX = 512;

const INDEXED = 0x80;
const LITERAL_INDEXED = 0x40;
const SIZE_UPDATE = 0x20;
const LITERAL_NEVER = 0x10;
const LITERAL = 0x00;

/** Secrets: no proxy may put them in a table either. */
const NEVER_INDEXED = new Set(["authorization", "cookie", "proxy-authorization", "set-cookie"]);
/** Different on most requests. */
const VOLATILE = new Set([
  "content-length",
  "date",
  "grpc-message",
  "grpc-status-details-bin",
  "grpc-timeout",
  "traceparent",
]);

/** The bytes of an encoded block: bytes[0, length). Valid until the next call to the encoder. */
export interface EncodedBlock {
  readonly bytes: Buffer;
  readonly length: number;
}

class CachedBlock implements EncodedBlock {
  bytes = Buffer.alloc(0);
  length = 0;
  generation = -1;
}

export class HpackEncoder implements EncodedBlock {
  /** The block that `encode` made. */
  bytes = Buffer.allocUnsafeSlow(256);
  length = 0;

  readonly #tableBytesLimit: number;
  #tableBytesMax: number;
  #tableBytes = 0;
  /** The smallest size announced by the peer since the last block; -1 without a change. */
  #pendingShrinkBytes = -1;
  #sizeChanged = false;
  /** Oldest first; entry i has the absolute number #dropped + i. */
  #entries: { readonly name: string; readonly key: string; readonly bytes: number }[] = [];
  #dropped = 0;
  readonly #byField = new Map<string, number>();
  readonly #byName = new Map<string, number>();
  /** Changes whenever the table does. */
  #generation = 0;

  #lastPrepared: PreparedHeaders | undefined = undefined;
  #lastCached: CachedBlock | undefined = undefined;
  readonly #prepared = new Map<PreparedHeaders, CachedBlock>();

  /** `tableBytesLimit`: the most we want to use, whatever the peer allows. */
  constructor(tableBytesLimit: number) {
    this.#tableBytesLimit = tableBytesLimit;
    this.#tableBytesMax = DEFAULT_TABLE_BYTES;
    if (tableBytesLimit < DEFAULT_TABLE_BYTES) this.setTableBytes(tableBytesLimit);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableBytes(allowedBytes: number): void {
    const bytes = Math.min(allowedBytes, this.#tableBytesLimit);
    if (bytes === this.#tableBytesMax) return;
    this.#pendingShrinkBytes =
      this.#pendingShrinkBytes < 0 ? bytes : Math.min(this.#pendingShrinkBytes, bytes);
    this.#sizeChanged = true;
    this.#tableBytesMax = bytes;
    this.#evictTo(bytes);
    this.#generation++;
  }

  encodeAny(headers: HeaderList | PreparedHeaders): EncodedBlock {
    if (headers instanceof PreparedHeaderList) return this.encodePrepared(headers);
    return this.encode(headers as HeaderList);
  }

  /** The block of a prepared list: from the second time on, usually the same few bytes. */
  encodePrepared(prepared: PreparedHeaders): EncodedBlock {
    let cached = prepared === this.#lastPrepared ? this.#lastCached : this.#prepared.get(prepared);
    if (cached !== undefined && cached.generation === this.#generation) {
      this.#lastPrepared = prepared;
      this.#lastCached = cached;
      return cached;
    }
    const generation = this.#generation;
    const sizeChanged = this.#sizeChanged;
    const block = this.encode(prepared.list);
    if (sizeChanged || generation !== this.#generation) return block;
    if (cached === undefined) {
      cached = new CachedBlock();
      this.#prepared.set(prepared, cached);
    }
    cached.bytes = Buffer.from(block.bytes.subarray(0, block.length));
    cached.length = block.length;
    cached.generation = generation;
    return cached;
  }

  encode(list: HeaderList): EncodedBlock {
    assert(list.length % 2 === 0, "a header list alternates names and values");
    let bytesMax = SIZE_UPDATE_BYTES_MAX;
    for (let i = 0; i < list.length; i++) {
      bytesMax += (list[i] as string).length + FIELD_OVERHEAD_BYTES_MAX;
    }
    if (this.bytes.length < bytesMax) this.bytes = Buffer.allocUnsafeSlow(bytesMax * 2);
    this.length = 0;
    if (this.#sizeChanged) this.#writeSizeUpdates();
    for (let i = 0; i < list.length; i += 2) {
      this.#field(list[i] as string, list[i + 1] as string);
    }
    return this;
  }

  #writeSizeUpdates(): void {
    if (this.#pendingShrinkBytes < this.#tableBytesMax) {
      this.#integer(SIZE_UPDATE, 5, this.#pendingShrinkBytes);
    }
    this.#integer(SIZE_UPDATE, 5, this.#tableBytesMax);
    this.#sizeChanged = false;
    this.#pendingShrinkBytes = -1;
  }

  #field(name: string, value: string): void {
    if (NEVER_INDEXED.has(name)) return this.#literal(LITERAL_NEVER, 4, name, value);
    const key = fieldKey(name, value);
    const staticIndex = staticIndexByField.get(key);
    if (staticIndex !== undefined) return this.#integer(INDEXED, 7, staticIndex);
    const dynamic = this.#byField.get(key);
    if (dynamic !== undefined) return this.#integer(INDEXED, 7, this.#wireIndex(dynamic));
    const size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (
      VOLATILE.has(name) ||
      value.length > INDEXED_VALUE_BYTES_MAX ||
      size > this.#tableBytesMax
    ) {
      return this.#literal(LITERAL, 4, name, value);
    }
    this.#literal(LITERAL_INDEXED, 6, name, value);
    this.#insert(name, key, size);
  }

  #literal(pattern: number, prefixBits: number, name: string, value: string): void {
    let index = staticIndexByName.get(name);
    if (index === undefined) {
      const dynamic = this.#byName.get(name);
      if (dynamic !== undefined) index = this.#wireIndex(dynamic);
    }
    this.#integer(pattern, prefixBits, index ?? 0);
    if (index === undefined) this.#string(name);
    this.#string(value);
  }

  #string(text: string): void {
    const coded = huffmanLength(text);
    if (coded < text.length) {
      this.#integer(0x80, 7, coded);
      this.length = huffmanEncode(text, this.bytes, this.length);
    } else {
      this.#integer(0, 7, text.length);
      this.bytes.write(text, this.length, "latin1");
      this.length += text.length;
    }
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    const prefixMax = (1 << prefixBits) - 1;
    if (value < prefixMax) {
      this.bytes[this.length++] = pattern | value;
      return;
    }
    this.bytes[this.length++] = pattern | prefixMax;
    let rest = value - prefixMax;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  #wireIndex(absolute: number): number {
    return STATIC_ENTRIES + this.#dropped + this.#entries.length - absolute;
  }

  #insert(name: string, key: string, bytes: number): void {
    this.#generation++;
    this.#evictTo(this.#tableBytesMax - bytes);
    const absolute = this.#dropped + this.#entries.length;
    this.#entries.push({ name, key, bytes });
    this.#byField.set(key, absolute);
    this.#byName.set(name, absolute);
    this.#tableBytes += bytes;
  }

  #evictTo(bytes: number): void {
    let evicted = 0;
    while (evicted < this.#entries.length && this.#tableBytes > bytes) {
      const entry = this.#entries[evicted] as { name: string; key: string; bytes: number };
      const absolute = this.#dropped + evicted;
      if (this.#byField.get(entry.key) === absolute) this.#byField.delete(entry.key);
      if (this.#byName.get(entry.name) === absolute) this.#byName.delete(entry.name);
      this.#tableBytes -= entry.bytes;
      evicted++;
    }
    if (evicted === 0) return;
    this.#entries = this.#entries.slice(evicted);
    this.#dropped += evicted;
  }
}
