// Views of the requests that come most often, read from their encoded bytes without building objects.
// A view is reused for one request after another; what it shows is valid until the next `read`.

import { FieldReader, WireType } from "../base/varint.ts";

const none = new Uint8Array(0);

/** A PutRequest: the key is source[keyStart, keyEnd), the value likewise. */
export class PutView {
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  lease = 0n;
  prevKv = false;
  ignoreValue = false;
  ignoreLease = false;
  readonly #reader = new FieldReader(none);

  read(source: Uint8Array, start: number, end: number): this {
    const reader = this.#reader.reset(source, start, end);
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.lease = 0n;
    this.prevKv = this.ignoreValue = this.ignoreLease = false;
    while (reader.next()) {
      if (reader.wireType === WireType.bytes) {
        if (reader.field === 1) {
          this.keyStart = reader.valueStart;
          this.keyEnd = reader.valueEnd;
        } else if (reader.field === 2) {
          this.valueStart = reader.valueStart;
          this.valueEnd = reader.valueEnd;
        }
      } else if (reader.wireType === WireType.varint) {
        this.#number(reader);
      }
    }
    return this;
  }

  #number(reader: FieldReader): void {
    switch (reader.field) {
      case 3:
        this.lease = reader.int64Big();
        break;
      case 4:
        this.prevKv = reader.bool();
        break;
      case 5:
        this.ignoreValue = reader.bool();
        break;
      case 6:
        this.ignoreLease = reader.bool();
        break;
    }
  }
}

/** A RangeRequest: the key is source[keyStart, keyEnd), the range's end likewise (empty: one key). */
export class RangeView {
  keyStart = 0;
  keyEnd = 0;
  rangeEndStart = 0;
  rangeEndEnd = 0;
  limit = 0;
  revision = 0;
  sortOrder = 0;
  sortTarget = 0;
  serializable = false;
  keysOnly = false;
  countOnly = false;
  minModRevision = 0;
  maxModRevision = 0;
  minCreateRevision = 0;
  maxCreateRevision = 0;
  readonly #reader = new FieldReader(none);

  read(source: Uint8Array, start: number, end: number): this {
    const reader = this.#reader.reset(source, start, end);
    this.keyStart = this.keyEnd = this.rangeEndStart = this.rangeEndEnd = start;
    this.limit = this.revision = this.sortOrder = this.sortTarget = 0;
    this.serializable = this.keysOnly = this.countOnly = false;
    this.minModRevision = this.maxModRevision = 0;
    this.minCreateRevision = this.maxCreateRevision = 0;
    while (reader.next()) {
      if (reader.wireType === WireType.bytes) {
        if (reader.field === 1) {
          this.keyStart = reader.valueStart;
          this.keyEnd = reader.valueEnd;
        } else if (reader.field === 2) {
          this.rangeEndStart = reader.valueStart;
          this.rangeEndEnd = reader.valueEnd;
        }
      } else if (reader.wireType === WireType.varint) {
        this.#number(reader);
      }
    }
    return this;
  }

  /** One live key at the current revision, and nothing else asked: what most reads are. */
  get isPlainGet(): boolean {
    return (
      this.rangeEndStart === this.rangeEndEnd &&
      this.revision <= 0 &&
      !this.keysOnly &&
      !this.countOnly &&
      this.minModRevision === 0 &&
      this.maxModRevision === 0 &&
      this.minCreateRevision === 0 &&
      this.maxCreateRevision === 0
    );
  }

  #number(reader: FieldReader): void {
    switch (reader.field) {
      case 3:
        this.limit = reader.int64();
        break;
      case 4:
        this.revision = reader.int64();
        break;
      case 5:
        this.sortOrder = reader.int32();
        break;
      case 6:
        this.sortTarget = reader.int32();
        break;
      case 7:
        this.serializable = reader.bool();
        break;
      case 8:
        this.keysOnly = reader.bool();
        break;
      case 9:
        this.countOnly = reader.bool();
        break;
      case 10:
        this.minModRevision = reader.int64();
        break;
      case 11:
        this.maxModRevision = reader.int64();
        break;
      case 12:
        this.minCreateRevision = reader.int64();
        break;
      case 13:
        this.maxCreateRevision = reader.int64();
        break;
    }
  }
}
