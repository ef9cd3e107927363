// One WatchRequest, read from its bytes. The view is reused; key and range end are copies that may be kept.

import { FieldReader, WireType } from "../base/varint.ts";

const none = Buffer.alloc(0);
const noPut = 0;
const noDelete = 1;

/** A watch id of int64 range: a number while that is exact. */
export type WatchId = number | bigint;

export class WatchRequestView {
  /** What is asked; undefined when the message holds none of the known requests. */
  kind: "create" | "cancel" | "progress" | undefined;
  watchId: WatchId = 0;
  key: Buffer = none;
  rangeEnd: Buffer = none;
  startRevision = 0;
  progressNotify = false;
  prevKv = false;
  fragment = false;
  noPut = false;
  noDelete = false;
  readonly #outer = new FieldReader(none);
  readonly #inner = new FieldReader(none);

  /** Throws a StatusError when the bytes are no message. */
  read(source: Uint8Array, start: number, end: number): this {
    this.kind = undefined;
    const outer = this.#outer.reset(source, start, end);
    while (outer.next()) {
      if (outer.wireType !== WireType.bytes) continue;
      this.#inner.reset(source, outer.valueStart, outer.valueEnd);
      if (outer.field === 1) this.#readCreate();
      else if (outer.field === 2) this.#readCancel();
      else if (outer.field === 3) this.kind = "progress";
    }
    return this;
  }

  #readCreate(): void {
    const inner = this.#inner;
    this.kind = "create";
    this.watchId = 0;
    this.key = this.rangeEnd = none;
    this.startRevision = 0;
    this.progressNotify = this.prevKv = this.fragment = false;
    this.noPut = this.noDelete = false;
    while (inner.next()) {
      if (inner.wireType === WireType.bytes) this.#bytesField(inner);
      else if (inner.wireType === WireType.varint) this.#numberField(inner);
    }
  }

  #bytesField(inner: FieldReader): void {
    if (inner.field === 1) {
      this.key = inner.copyBytes();
    } else if (inner.field === 2) {
      this.rangeEnd = inner.copyBytes();
    } else if (inner.field === 5) {
      // Packed; the numbers of the known filters take one byte each.
      for (let i = inner.valueStart; i < inner.valueEnd; i++) {
        this.#filter(inner.source[i] as number);
      }
    }
  }

  #numberField(inner: FieldReader): void {
    switch (inner.field) {
      case 3:
        this.startRevision = inner.int64();
        break;
      case 4:
        this.progressNotify = inner.bool();
        break;
      case 5:
        this.#filter(inner.int32());
        break;
      case 6:
        this.prevKv = inner.bool();
        break;
      case 7:
        this.watchId = readWatchId(inner);
        break;
      case 8:
        this.fragment = inner.bool();
        break;
    }
  }

  #filter(filter: number): void {
    if (filter === noPut) this.noPut = true;
    else if (filter === noDelete) this.noDelete = true;
  }

  #readCancel(): void {
    this.kind = "cancel";
    this.watchId = 0;
    while (this.#inner.next()) {
      if (this.#inner.field === 1 && this.#inner.wireType === WireType.varint) {
        this.watchId = readWatchId(this.#inner);
      }
    }
  }
}

function readWatchId(reader: FieldReader): WatchId {
  const rounded = reader.int64();
  return Number.isSafeInteger(rounded) ? rounded : reader.int64Big();
}
