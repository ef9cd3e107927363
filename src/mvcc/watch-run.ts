// A run of events in the form in which a WatchResponse carries them: each one encoded once, one after
// another in one buffer, to be copied whole into the response of every watcher that gets it.
// Invariant: revisions never go down from one event to the next.

import { varintSize, writeVarint } from "../base/varint.ts";
import type { WatchableEvent } from "./watch-event.ts";

const bufferBytesMin = 1024;
/** A buffer that grew beyond this is given up on reset instead of being kept for the next run. */
const bufferBytesKept = 64 * 1024;

const eventsTag = 0x5a; // WatchResponse.events = 11
const kvTag = 0x12; // Event.kv = 2
const prevKvTag = 0x1a; // Event.prev_kv = 3

export class EventRun {
  /** Events i lies at buffer[ends[i - 1] or 0, ends[i]), with tag and length. */
  buffer: Buffer = Buffer.allocUnsafeSlow(bufferBytesMin);
  readonly ends: number[] = [];
  readonly revisions: number[] = [];

  get count(): number {
    return this.ends.length;
  }

  get sizeBytes(): number {
    return this.ends.length === 0 ? 0 : (this.ends[this.ends.length - 1] as number);
  }

  get lastRevision(): number {
    return this.revisions.length === 0 ? 0 : (this.revisions[this.revisions.length - 1] as number);
  }

  /** Where event `index` begins; `count` gives the end of the last. */
  startOf(index: number): number {
    return index === 0 ? 0 : (this.ends[index - 1] as number);
  }

  /** The first event of `revision` or later; `count` when there is none. */
  indexOf(revision: number): number {
    let low = 0;
    let high = this.revisions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.revisions[middle] as number) < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  append(event: WatchableEvent, revision: number, withPrevKv: boolean): void {
    const kv = event.kv;
    const prevKv = withPrevKv ? event.prevKv : undefined;
    let bodySize = 1 + varintSize(kv.length) + kv.length;
    if (event.type !== 0) bodySize += 2;
    if (prevKv !== undefined) bodySize += 1 + varintSize(prevKv.length) + prevKv.length;
    let at = this.sizeBytes;
    this.#reserve(at + 1 + varintSize(bodySize) + bodySize);
    const buffer = this.buffer;
    buffer[at++] = eventsTag;
    at = writeVarint(buffer, at, bodySize);
    if (event.type !== 0) {
      buffer[at++] = 0x08;
      buffer[at++] = event.type;
    }
    buffer[at++] = kvTag;
    at = writeVarint(buffer, at, kv.length);
    buffer.set(kv, at);
    at += kv.length;
    if (prevKv !== undefined) {
      buffer[at++] = prevKvTag;
      at = writeVarint(buffer, at, prevKv.length);
      buffer.set(prevKv, at);
      at += prevKv.length;
    }
    this.ends.push(at);
    this.revisions.push(revision);
  }

  reset(): void {
    this.ends.length = 0;
    this.revisions.length = 0;
    if (this.buffer.length > bufferBytesKept) {
      this.buffer = Buffer.allocUnsafeSlow(bufferBytesMin);
    }
  }

  #reserve(size: number): void {
    if (size <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(size, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.sizeBytes);
    this.buffer = grown;
  }
}
