// Encodes a RangeResponse while the range is read: KeyValues go from the store into large chunks, once.
// A long range is read in pages with a turn of the event loop between them, all at the revision that
// stood when it began, so that one big scan does not hold up everyone else.

import type { RangeOptions } from "../mvcc/range.ts";
import type { Store } from "../mvcc/store.ts";
import { type EtcdError, EtcdErrors } from "../wire/errors.ts";
import { KeyValueView } from "../wire/key-value.ts";
import { bytesFieldSize, type HeaderEncoder, type ReplyWriter } from "../wire/reply-writer.ts";

const firstPageKeys = 1000;
const pageKeysMax = 100_000;
const pageBytesWanted = 1024 * 1024;
const chunkBytes = 1024 * 1024;
/** more (2 bytes) and count (at most 11). */
const tailBytesMax = 13;

/** Where the encoded response goes: in one piece, or in several that follow one another. */
export interface RangeReceiver {
  readonly cancelled: boolean;
  reply(source: Uint8Array, start: number, end: number): void;
  replyParts(parts: readonly Uint8Array[]): void;
  refuse(error: EtcdError): void;
}

/** Answers `receiver` with the range, now or in later turns; `writer` is shared with other replies. */
export function sendRange(
  store: Store,
  header: HeaderEncoder,
  term: number,
  options: RangeOptions,
  writer: ReplyWriter,
  receiver: RangeReceiver,
): void {
  new RangeReply(store, options, writer, receiver).run(header, term);
}

class RangeReply {
  readonly #store: Store;
  readonly #options: RangeOptions;
  readonly #receiver: RangeReceiver;
  #writer: ReplyWriter;
  #ownsWriter = false;
  readonly #parts: Uint8Array[] = [];
  readonly #revision: number;
  #key: Buffer;
  #pageKeys = firstPageKeys;
  #sent = 0;
  #count = 0;
  #pageBytes = 0;

  constructor(store: Store, options: RangeOptions, writer: ReplyWriter, receiver: RangeReceiver) {
    this.#store = store;
    this.#writer = writer;
    this.#options = options;
    this.#receiver = receiver;
    this.#revision = store.currentRevision;
    this.#key = options.key;
  }

  run(header: HeaderEncoder, term: number): void {
    this.#writer.begin(header.size(this.#revision, term) + tailBytesMax);
    header.write(this.#writer, this.#revision, term);
    this.#page();
  }

  #page(): void {
    if (this.#receiver.cancelled) return;
    const { limit = 0, revision = 0 } = this.#options;
    const isFirst = this.#parts.length === 0 && this.#sent === 0;
    const left = limit > 0 ? limit - this.#sent : Number.POSITIVE_INFINITY;
    this.#pageBytes = 0;
    const before = this.#sent;
    const result = this.#store.visitRange(
      {
        ...this.#options,
        key: this.#key,
        revision: isFirst ? revision : revision || this.#revision,
        ...(this.#canPage() && { limit: Math.min(this.#pageKeys, left) }),
        withoutCount: !isFirst,
      },
      (source, start, end) => this.#add(source, start, end),
    );
    if ("error" in result) {
      const isCompacted = result.error === "compacted";
      this.#receiver.refuse(isCompacted ? EtcdErrors.compacted : EtcdErrors.futureRevision);
      return;
    }
    if (isFirst) this.#count = result.count;
    const isDone = !result.more || !this.#canPage() || this.#sent === limit;
    if (isDone) {
      this.#finish(result.more);
      return;
    }
    this.#key = this.#afterLastKey();
    if (!this.#ownsWriter) this.#writer = this.#writer.split();
    this.#ownsWriter = true;
    this.#adaptPage(this.#sent - before);
    setImmediate(() => this.#page());
  }

  /** Filters and other orders look at the whole range, whatever the limit. */
  #canPage(): boolean {
    const options = this.#options;
    const { sortOrder = 0, sortTarget = 0, rangeEnd } = options;
    const isByKey = sortTarget === 0 && sortOrder !== 2;
    return (
      rangeEnd !== undefined &&
      isByKey &&
      !options.countOnly &&
      !options.minModRevision &&
      !options.maxModRevision &&
      !options.minCreateRevision &&
      !options.maxCreateRevision
    );
  }

  #add(source: Buffer, start: number, end: number): void {
    const length = end - start;
    const size = bytesFieldSize(length);
    const writer = this.#writer;
    if (writer.end + size + tailBytesMax > writer.buffer.length) this.#nextChunk(size);
    writer.byte(0x12);
    writer.varint(length);
    source.copy(writer.buffer, writer.end, start, end);
    writer.end += length;
    this.#lastStart = writer.end - length;
    this.#pageBytes += size;
    this.#sent += 1;
  }

  #lastStart = 0;

  #nextChunk(size: number): void {
    const bytes = Math.max(chunkBytes, size + tailBytesMax);
    this.#parts.push(this.#writer.continueInNewBuffer(bytes));
  }

  /** The smallest key after the last one written. */
  #afterLastKey(): Buffer {
    const { buffer, end } = this.#writer;
    const { keyStart, keyEnd } = new KeyValueView().read(buffer, this.#lastStart, end);
    const next = Buffer.alloc(keyEnd - keyStart + 1);
    buffer.copy(next, 0, keyStart, keyEnd);
    return next;
  }

  /** Pages come near a size that takes a few milliseconds. */
  #adaptPage(keys: number): void {
    const bytesPerKey = Math.max(1, this.#pageBytes / Math.max(1, keys));
    const wanted = Math.ceil(pageBytesWanted / bytesPerKey);
    this.#pageKeys = Math.min(Math.max(wanted, 1), pageKeysMax);
  }

  #finish(more: boolean): void {
    const writer = this.#writer;
    if (more) {
      writer.byte(0x18);
      writer.byte(1);
    }
    if (this.#count !== 0) {
      writer.byte(0x20);
      writer.varint(this.#count);
    }
    if (this.#parts.length === 0) {
      this.#receiver.reply(writer.buffer, writer.start, writer.end);
      return;
    }
    this.#parts.push(writer.buffer.subarray(writer.start, writer.end));
    this.#receiver.replyParts(this.#parts);
  }
}
