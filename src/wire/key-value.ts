// mvccpb.KeyValue as bytes: written once when a key is put and copied from then on, and read field by field
// where it lies. The output is byte for byte what etcd's encoder makes (fields in order, zeros left out),
// because HashKV covers it.

import {
  FieldReader,
  varintSize,
  varintSizeBig,
  writeVarint,
  writeVarintBig,
} from "../base/varint.ts";

const keyTag = 0x0a;
const createTag = 0x10;
const modTag = 0x18;
const versionTag = 0x20;
const valueTag = 0x2a;
const leaseTag = 0x30;

/** The numbers of a KeyValue. Revisions are main revisions. */
export interface KeyValueNumbers {
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly lease: bigint;
}

/** Bytes that a KeyValue takes. Empty fields take none. */
export function keyValueSize(
  keyBytes: number,
  createRevision: number,
  modRevision: number,
  version: number,
  valueBytes: number,
  lease: bigint,
): number {
  let size = 0;
  if (keyBytes > 0) size += 1 + varintSize(keyBytes) + keyBytes;
  if (createRevision !== 0) size += 1 + varintSize(createRevision);
  if (modRevision !== 0) size += 1 + varintSize(modRevision);
  if (version !== 0) size += 1 + varintSize(version);
  if (valueBytes > 0) size += 1 + varintSize(valueBytes) + valueBytes;
  if (lease !== 0n) size += 1 + varintSizeBig(lease);
  return size;
}

/** Writes the fields up to the value's length; the caller copies the value, then calls `writeKeyValueEnd`. */
export function writeKeyValueStart(
  target: Buffer,
  at: number,
  key: string,
  createRevision: number,
  modRevision: number,
  version: number,
  valueBytes: number,
): number {
  if (key.length > 0) {
    target[at++] = keyTag;
    at = writeVarint(target, at, key.length);
    target.latin1Write(key, at, key.length);
    at += key.length;
  }
  if (createRevision !== 0) {
    target[at++] = createTag;
    at = writeVarint(target, at, createRevision);
  }
  if (modRevision !== 0) {
    target[at++] = modTag;
    at = writeVarint(target, at, modRevision);
  }
  if (version !== 0) {
    target[at++] = versionTag;
    at = writeVarint(target, at, version);
  }
  if (valueBytes > 0) {
    target[at++] = valueTag;
    at = writeVarint(target, at, valueBytes);
  }
  return at;
}

export function writeKeyValueEnd(target: Buffer, at: number, lease: bigint): number {
  if (lease === 0n) return at;
  target[at++] = leaseTag;
  return writeVarintBig(target, at, lease);
}

/** A KeyValue without its value, as a new buffer. `key` is latin1. */
export function encodeKeyValueHead(key: string, numbers: KeyValueNumbers): Buffer {
  const { createRevision, modRevision, version, lease } = numbers;
  const size = keyValueSize(key.length, createRevision, modRevision, version, 0, lease);
  const bytes = Buffer.allocUnsafe(size);
  const at = writeKeyValueStart(bytes, 0, key, createRevision, modRevision, version, 0);
  writeKeyValueEnd(bytes, at, lease);
  return bytes;
}

/** Reads one encoded KeyValue in place; may be used again and again. Offsets are into the bytes read. */
export class KeyValueView implements KeyValueNumbers {
  readonly #reader = new FieldReader(Buffer.alloc(0));
  keyStart = 0;
  keyEnd = 0;
  createRevision = 0;
  modRevision = 0;
  version = 0;
  valueStart = 0;
  valueEnd = 0;
  lease = 0n;

  read(source: Uint8Array, start = 0, end = source.length): this {
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.createRevision = this.modRevision = this.version = 0;
    this.lease = 0n;
    const reader = this.#reader.reset(source, start, end);
    while (reader.next()) {
      switch (reader.field) {
        case 1:
          this.keyStart = reader.valueStart;
          this.keyEnd = reader.valueEnd;
          break;
        case 2:
          this.createRevision = reader.int64();
          break;
        case 3:
          this.modRevision = reader.int64();
          break;
        case 4:
          this.version = reader.int64();
          break;
        case 5:
          this.valueStart = reader.valueStart;
          this.valueEnd = reader.valueEnd;
          break;
        case 6:
          this.lease = reader.int64Big();
          break;
      }
    }
    return this;
  }
}
