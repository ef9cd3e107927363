// HPACK decoding (RFC 7541). Owns the dynamic table that the peer's encoder drives, so every header
// block of a connection must pass through `decode`, in order, wanted or not. Blocks that do not
// change the table are remembered: the same bytes under the same table give the same HeaderBlock.

import { DEFAULT_TABLE_BYTES } from "./frames.ts";
import { huffmanDecode, huffmanDecodedBytesMax } from "./huffman.ts";
import { STATIC_ENTRIES, staticNames, staticValues } from "./static-table.ts";
import type { HeaderList } from "./types.ts";

const ENTRY_OVERHEAD_BYTES = 32;
const CACHE_SLOTS = 64;
const CACHED_BLOCK_BYTES_MAX = 192;
/** Past this multiple of the list limit a block is an attack, not a big request. */
const FAR_TOO_LARGE = 8;

/** A decoded block, with what the session worked out about it once. */
export class HeaderBlock {
  readonly list: HeaderList;
  /** HTTP/2's count: name + value + 32 for each field. */
  readonly listBytes: number;
  /** Over the list limit: `list` holds only what fitted. */
  readonly tooLarge: boolean;
  /** What `checkRequest`, `checkResponse` or `checkTrailers` said: undefined before, "" when good. */
  verdict: string | undefined = undefined;
  /** -1 when there is none. Set by the checks. */
  contentLength = -1;

  constructor(list: HeaderList, listBytes: number, tooLarge: boolean) {
    this.list = list;
    this.listBytes = listBytes;
    this.tooLarge = tooLarge;
  }
}

/** Why a block ends the connection. */
export type DecodeFailure = "compression" | "far-too-large";

class CacheSlot {
  readonly bytes = new Uint8Array(CACHED_BLOCK_BYTES_MAX);
  length = -1;
  generation = -1;
  kind = -1;
  block: HeaderBlock | undefined = undefined;
}

export class HpackDecoder {
  /** Why the last `decode` returned undefined. */
  failure: DecodeFailure = "compression";

  readonly #listBytesMax: number;
  /** The most that a size update may ask for: our acknowledged SETTINGS_HEADER_TABLE_SIZE. */
  readonly #allowedTableBytes: number;
  #tableBytesMax: number;
  #tableBytes = 0;
  // A ring: entry i (0 = newest) is at (#first - i) & mask.
  readonly #names: string[];
  readonly #values: string[];
  readonly #sizes: Uint32Array;
  readonly #mask: number;
  #first = 0;
  #count = 0;
  /** Changes whenever the table does. */
  #generation = 0;
  readonly #cache: (CacheSlot | undefined)[] = new Array(CACHE_SLOTS).fill(undefined);
  #scratch = Buffer.allocUnsafeSlow(256);

  // Cursor of the block being decoded.
  #source: Buffer = this.#scratch;
  #at = 0;
  #end = 0;

  constructor(tableBytesMax: number, listBytesMax: number) {
    this.#listBytesMax = listBytesMax;
    // Until our SETTINGS is acknowledged the peer may use the default size.
    this.#allowedTableBytes = Math.max(tableBytesMax, DEFAULT_TABLE_BYTES);
    this.#tableBytesMax = DEFAULT_TABLE_BYTES;
    let slots = 16;
    while (slots * ENTRY_OVERHEAD_BYTES < this.#allowedTableBytes) slots *= 2;
    this.#mask = slots - 1;
    this.#names = new Array(slots).fill("");
    this.#values = new Array(slots).fill("");
    this.#sizes = new Uint32Array(slots);
  }

  /**
   * Decodes source[start, end), one whole block. `kind` separates cached verdicts (0 headers, 1
   * trailers). Undefined: the connection can not go on, see `failure`.
   */
  decode(source: Buffer, start: number, end: number, kind: number): HeaderBlock | undefined {
    const length = end - start;
    if (length > CACHED_BLOCK_BYTES_MAX) return this.#decodeAll(source, start, end);
    let hash = length;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (source[i] as number)) | 0;
    const index = (hash ^ (hash >>> 15)) & (CACHE_SLOTS - 1);
    let slot = this.#cache[index];
    if (
      slot !== undefined &&
      slot.length === length &&
      slot.generation === this.#generation &&
      slot.kind === kind
    ) {
      const bytes = slot.bytes;
      let i = 0;
      while (i < length && bytes[i] === source[start + i]) i++;
      if (i === length) return slot.block;
    }
    const generation = this.#generation;
    const block = this.#decodeAll(source, start, end);
    if (block === undefined || generation !== this.#generation) return block;
    if (slot === undefined) {
      slot = new CacheSlot();
      this.#cache[index] = slot;
    }
    for (let i = 0; i < length; i++) slot.bytes[i] = source[start + i] as number;
    slot.length = length;
    slot.generation = generation;
    slot.kind = kind;
    slot.block = block;
    return block;
  }

  #decodeAll(source: Buffer, start: number, end: number): HeaderBlock | undefined {
    this.#source = source;
    this.#at = start;
    this.#end = end;
    const list: string[] = [];
    let listBytes = 0;
    let fields = 0;
    while (this.#at < end) {
      const byte = source[this.#at] as number;
      let name: string | undefined;
      let value: string | undefined;
      if ((byte & 0x80) !== 0) {
        const index = this.#integer(7);
        name = this.#nameAt(index);
        value = this.#valueAt(index);
        if (name === undefined || value === undefined) return this.#fail("compression");
      } else if ((byte & 0xe0) === 0x20) {
        // A size update is legal only at the start of a block.
        const bytes = this.#integer(5);
        if (fields > 0 || bytes < 0 || bytes > this.#allowedTableBytes) {
          return this.#fail("compression");
        }
        this.#resize(bytes);
        continue;
      } else {
        const indexed = (byte & 0x40) !== 0;
        const index = this.#integer(indexed ? 6 : 4);
        name = index === 0 ? this.#string() : this.#nameAt(index);
        if (name === undefined) return this.#fail("compression");
        value = this.#string();
        if (value === undefined) return this.#fail("compression");
        if (indexed) this.#insert(name, value);
      }
      fields++;
      listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
      if (listBytes <= this.#listBytesMax) list.push(name, value);
      else if (listBytes > this.#listBytesMax * FAR_TOO_LARGE) return this.#fail("far-too-large");
    }
    return new HeaderBlock(list, listBytes, listBytes > this.#listBytesMax);
  }

  #fail(failure: DecodeFailure): undefined {
    this.failure = failure;
    return undefined;
  }

  /** A prefixed integer at the cursor; -1 when it is cut off or over 2^28. */
  #integer(prefixBits: number): number {
    const source = this.#source;
    const prefixMax = (1 << prefixBits) - 1;
    let value = (source[this.#at++] as number) & prefixMax;
    if (value < prefixMax) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) return -1;
      const byte = source[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    return -1;
  }

  /** A string literal at the cursor; undefined when it is cut off or badly coded. */
  #string(): string | undefined {
    if (this.#at >= this.#end) return undefined;
    const huffman = ((this.#source[this.#at] as number) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#at;
    const end = start + length;
    if (length < 0 || end > this.#end) return undefined;
    this.#at = end;
    if (!huffman) return this.#source.toString("latin1", start, end);
    const bytesMax = huffmanDecodedBytesMax(length);
    if (this.#scratch.length < bytesMax) this.#scratch = Buffer.allocUnsafeSlow(bytesMax);
    const decoded = huffmanDecode(this.#source, start, end, this.#scratch);
    return decoded < 0 ? undefined : this.#scratch.toString("latin1", 0, decoded);
  }

  #nameAt(index: number): string | undefined {
    if (index <= STATIC_ENTRIES) return index > 0 ? staticNames[index] : undefined;
    const dynamic = index - STATIC_ENTRIES - 1;
    return dynamic < this.#count ? this.#names[(this.#first - dynamic) & this.#mask] : undefined;
  }

  #valueAt(index: number): string | undefined {
    if (index <= STATIC_ENTRIES) return index > 0 ? staticValues[index] : undefined;
    const dynamic = index - STATIC_ENTRIES - 1;
    return dynamic < this.#count ? this.#values[(this.#first - dynamic) & this.#mask] : undefined;
  }

  #insert(name: string, value: string): void {
    this.#generation++;
    const size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#evictTo(this.#tableBytesMax - size);
    if (size > this.#tableBytesMax) return;
    this.#first = (this.#first + 1) & this.#mask;
    this.#names[this.#first] = name;
    this.#values[this.#first] = value;
    this.#sizes[this.#first] = size;
    this.#count++;
    this.#tableBytes += size;
  }

  #resize(tableBytesMax: number): void {
    this.#generation++;
    this.#tableBytesMax = tableBytesMax;
    this.#evictTo(tableBytesMax);
  }

  #evictTo(bytes: number): void {
    while (this.#count > 0 && this.#tableBytes > bytes) {
      const last = (this.#first - this.#count + 1) & this.#mask;
      this.#tableBytes -= this.#sizes[last] as number;
      this.#names[last] = "";
      this.#values[last] = "";
      this.#count--;
    }
  }
}
