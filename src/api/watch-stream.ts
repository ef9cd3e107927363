// One Watch stream: its watchers by id, requests in, responses out as bytes. Responses are gathered and sent
// in one write when the service says so. A stream whose output is over its bound takes no events and reads no
// requests until it has drained, so that what it holds is bounded whatever the client does.

import { varintSize, varintSizeBig, writeVarint, writeVarintBig } from "../base/varint.ts";
import type { Watcher, WatchSink } from "../mvcc/watch-hub.ts";
import type { EventRun } from "../mvcc/watch-run.ts";
import type { RawStreamCall, RawStreamHandler } from "../rpc/grpc/types.ts";
import { EtcdErrors } from "../wire/errors.ts";
import type { WatchService } from "./watch.ts";
import { type WatchId, WatchRequestView } from "./watch-request.ts";

/** The id in answers that concern no watcher, or all of the stream. */
const noWatchId = -1;
const framePrefixBytes = 5;
/** What is gathered beyond this is sent at once. */
const gatherBytesMax = 64 * 1024;

const emptyRange = "mvcc: watcher range is empty";
const duplicateId = "mvcc: duplicate watch ID provided on the WatchStream";

const request = new WatchRequestView();
const empty = Buffer.alloc(0);

/** One watcher of a stream. */
class Subscription implements WatchSink {
  readonly stream: WatchStream;
  readonly id: WatchId;
  /** The encoded watch_id field; empty for id 0. */
  readonly idField: Buffer;
  readonly progressNotify: boolean;
  readonly fragment: boolean;
  /** No event was sent since the last scheduled progress answer was due. */
  isQuiet = false;
  watcher: Watcher | undefined;

  constructor(stream: WatchStream, id: WatchId, progressNotify: boolean, fragment: boolean) {
    this.stream = stream;
    this.id = id;
    this.idField = encodeIdField(id);
    this.progressNotify = progressNotify;
    this.fragment = fragment;
  }

  deliver(run: EventRun, from: number, to: number, isLive: boolean): boolean {
    const stream = this.stream;
    if (isLive ? stream.isCongested : stream.isFull) return false;
    if (this.fragment) stream.writeFragments(this.idField, run, from, to);
    else stream.writeEvents(this.idField, run, run.startOf(from), run.startOf(to), false);
    this.isQuiet = false;
    return true;
  }

  compacted(compactRevision: number): boolean {
    if (this.stream.isFull) return false;
    this.stream.onCompacted(this, compactRevision);
    return true;
  }

  caughtUp(): void {
    this.stream.onCaughtUp();
  }
}

export class WatchStream implements RawStreamHandler {
  /**
   * The client does not keep up. Live events are left to history then: they come later in fewer and larger
   * responses, which cost the client less than many small ones.
   */
  isCongested = false;
  /** The output is over its bound. */
  isFull = false;
  readonly #service: WatchService;
  readonly #call: RawStreamCall;
  readonly #subscriptions = new Map<WatchId, Subscription>();
  #nextId = 0;
  /** Responses gathered: #gathered[0, #gatheredEnd). */
  #gathered: Buffer | undefined;
  #gatheredEnd = 0;
  #gatheredMessages = 0;
  #progressAsked = false;
  #progressTimed = false;
  #closed = false;

  constructor(service: WatchService, call: RawStreamCall) {
    this.#service = service;
    this.#call = call;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get watcherCount(): number {
    return this.#subscriptions.size;
  }

  onMessage(message: Buffer, start: number, end: number): void {
    request.read(message, start, end);
    if (request.kind === "create") this.#create();
    else if (request.kind === "cancel") this.#cancel(request.watchId);
    else if (request.kind === "progress") this.#requestProgress();
  }

  /** A client that sends nothing more still wants its events. */
  onHalfClose(): void {}

  onCancel(): void {
    this.#close();
  }

  onDrain(): void {
    this.isCongested = this.isFull = false;
    this.#call.resume();
    for (const { watcher } of this.#subscriptions.values()) watcher?.resume();
    if (this.#progressAsked) this.#service.retryProgress(this);
  }

  /** Ends the stream with a status. */
  end(code: (typeof EtcdErrors.stopped)["code"], message: string): void {
    if (this.#closed) return;
    this.send();
    this.#close();
    this.#call.end(code, message);
  }

  onCompacted(subscription: Subscription, compactRevision: number): void {
    this.#subscriptions.delete(subscription.id);
    const fields = Buffer.allocUnsafe(16);
    fields[0] = 0x20; // canceled
    fields[1] = 1;
    fields[2] = 0x28; // compact_revision
    const size = writeVarint(fields, 3, compactRevision);
    // etcd leaves the revision of this header 0.
    this.#writeFields(this.#service.headerField(0), subscription.idField, fields, size);
  }

  onCaughtUp(): void {
    if (this.#progressAsked) this.#service.retryProgress(this);
  }

  /** Answers a progress request once all watchers have seen everything. */
  tryProgress(): void {
    if (!this.#progressAsked || this.isFull || this.#closed) return;
    const revision = this.#service.hub.progressRevision(this.#watchers());
    if (revision !== undefined && !this.isFull) {
      this.#progressAsked = false;
      this.#writeFields(this.#service.headerField(revision), encodeIdField(noWatchId), empty, 0);
      return;
    }
    // Only those that are behind end in `onCaughtUp`; one that has not begun gets no answer.
    for (const watcher of this.#watchers()) {
      if (watcher.state === "ready" || watcher.state === "blocked") return;
    }
    this.#progressAsked = false;
  }

  /** The scheduled time has come: every watcher that asked for it and got no event meanwhile is answered. */
  notifyProgress(): void {
    const hub = this.#service.hub;
    for (const subscription of this.#subscriptions.values()) {
      if (!subscription.progressNotify) continue;
      if (subscription.isQuiet && !this.isFull) {
        const revision = hub.progressRevision([subscription.watcher as Watcher]);
        if (revision !== undefined && subscription.isQuiet) {
          this.#writeFields(this.#service.headerField(revision), subscription.idField, empty, 0);
        }
      }
      subscription.isQuiet = true;
    }
  }

  /** Gathers one response with events: run.buffer[start, end). */
  writeEvents(
    idField: Buffer,
    run: EventRun,
    start: number,
    end: number,
    isFragment: boolean,
  ): void {
    const header = this.#service.headerField(this.#service.hub.revision);
    const size = header.length + idField.length + (isFragment ? 2 : 0) + end - start;
    let at = this.#begin(header, idField, size);
    const out = this.#gathered as Buffer;
    if (isFragment) {
      out[at++] = 0x38; // fragment
      out[at++] = 1;
    }
    run.buffer.copy(out, at, start, end);
    this.#finish(at + end - start);
  }

  /** As `writeEvents`, in several responses when one would be too large; all but the last say so. */
  writeFragments(idField: Buffer, run: EventRun, from: number, to: number): void {
    const header = this.#service.headerField(this.#service.hub.revision);
    const bytesMax = this.#service.fragmentBytes - header.length - idField.length - 2;
    let first = from;
    while (first < to) {
      const start = run.startOf(first);
      let next = first + 1;
      while (next < to && run.startOf(next + 1) - start < bytesMax) next++;
      this.writeEvents(idField, run, start, run.startOf(next), next < to);
      first = next;
    }
  }

  /** Hands what is gathered to the call. */
  send(): void {
    const gathered = this.#gathered;
    if (gathered === undefined) return;
    const pool = this.#service.outputs;
    const bytes = pool.finish(gathered, this.#gatheredEnd);
    const messages = this.#gatheredMessages;
    this.#gathered = undefined;
    this.#gatheredEnd = this.#gatheredMessages = 0;
    if (this.#closed) return;
    if (this.#call.writeFramed(bytes.source, bytes.start, bytes.end, messages)) return;
    this.isCongested = true;
    if (!this.isFull && this.#call.bufferedBytes > this.#service.streamBytesMax) {
      this.isFull = true;
      this.#call.pause();
    }
  }

  *#watchers(): Iterable<Watcher> {
    for (const { watcher } of this.#subscriptions.values()) yield watcher as Watcher;
  }

  #create(): void {
    if (request.startRevision < 0) {
      this.#refuse(EtcdErrors.compacted.message);
      return;
    }
    const key = request.key.length === 0 ? Buffer.alloc(1) : request.key;
    const rangeEnd = rangeEndOf(request.rangeEnd);
    if (this.#service.hub.isEmptyRange(key, rangeEnd)) {
      this.#refuse(emptyRange);
      return;
    }
    if (request.watchId !== 0 && this.#subscriptions.has(request.watchId)) {
      this.#refuse(duplicateId);
      return;
    }
    const id = request.watchId === 0 ? this.#takeId() : request.watchId;
    const subscription = new Subscription(this, id, request.progressNotify, request.fragment);
    this.#subscriptions.set(id, subscription);
    const spec = {
      key,
      rangeEnd,
      startRevision: request.startRevision,
      prevKv: request.prevKv,
      noPut: request.noPut,
      noDelete: request.noDelete,
    };
    subscription.watcher = this.#service.hub.watch(spec, subscription);
    this.#writeFields(this.#currentHeader(), subscription.idField, createdFields, 2);
    if (request.progressNotify && !this.#progressTimed) {
      this.#progressTimed = true;
      this.#service.scheduleProgress(this);
    }
  }

  #takeId(): number {
    while (this.#subscriptions.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  /** The answer to a watch that can not be: created and canceled at once, with the reason. */
  #refuse(reason: string): void {
    const text = Buffer.from(reason, "utf8");
    const fields = Buffer.allocUnsafe(6 + varintSize(text.length) + text.length);
    let at = fields.write("\x18\x01\x20\x01\x32", 0, "latin1"); // created, canceled, cancel_reason
    at = writeVarint(fields, at, text.length);
    text.copy(fields, at);
    const size = at + text.length;
    this.#writeFields(this.#currentHeader(), encodeIdField(noWatchId), fields, size);
  }

  #cancel(id: WatchId): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) return;
    this.#subscriptions.delete(id);
    subscription.watcher?.cancel();
    this.#writeFields(this.#currentHeader(), subscription.idField, canceledFields, 2);
    if (this.#progressAsked) this.#service.retryProgress(this);
  }

  #requestProgress(): void {
    if (this.#subscriptions.size === 0) return;
    this.#progressAsked = true;
    this.tryProgress();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { watcher } of this.#subscriptions.values()) watcher?.cancel();
    this.#subscriptions.clear();
    if (this.#gathered !== undefined) this.#service.outputs.giveBack(this.#gathered);
    this.#gathered = undefined;
    this.#service.onClosed(this);
  }

  #currentHeader(): Buffer {
    return this.#service.headerField(this.#service.hub.currentRevision);
  }

  /** Gathers a response without events; fields[0, size) follow the watch id. */
  #writeFields(header: Buffer, idField: Buffer, fields: Buffer, size: number): void {
    if (this.#closed) return;
    const at = this.#begin(header, idField, header.length + idField.length + size);
    fields.copy(this.#gathered as Buffer, at, 0, size);
    this.#finish(at + size);
  }

  /** Makes room for a message of `size` bytes and writes prefix, header and id. Returns where to go on. */
  #begin(header: Buffer, idField: Buffer, size: number): number {
    const out = this.#reserve(framePrefixBytes + size);
    let at = this.#gatheredEnd;
    out[at] = 0;
    out[at + 1] = size >>> 24;
    out[at + 2] = size >>> 16;
    out[at + 3] = size >>> 8;
    out[at + 4] = size;
    at += framePrefixBytes;
    out.set(header, at);
    at += header.length;
    if (idField.length > 0) out.set(idField, at);
    return at + idField.length;
  }

  #finish(end: number): void {
    this.#gatheredEnd = end;
    this.#gatheredMessages++;
    if (end >= gatherBytesMax) this.send();
  }

  #reserve(sizeBytes: number): Buffer {
    const pool = this.#service.outputs;
    const gathered = this.#gathered;
    if (gathered === undefined) {
      this.#service.onOutput(this);
      this.#gathered = pool.take(sizeBytes);
      return this.#gathered;
    }
    const needed = this.#gatheredEnd + sizeBytes;
    if (needed <= gathered.length) return gathered;
    const grown = pool.take(Math.max(needed, gathered.length * 2));
    gathered.copy(grown, 0, 0, this.#gatheredEnd);
    pool.giveBack(gathered);
    this.#gathered = grown;
    return grown;
  }
}

const createdFields = Buffer.from([0x18, 1]);
const canceledFields = Buffer.from([0x20, 1]);

/** As requests mean it: empty is the one key, a single zero byte has no end. */
function rangeEndOf(rangeEnd: Buffer): Buffer | undefined {
  if (rangeEnd.length === 0) return undefined;
  return rangeEnd.length === 1 && rangeEnd[0] === 0 ? empty : rangeEnd;
}

function encodeIdField(id: WatchId): Buffer {
  if (id === 0) return empty;
  const isBig = typeof id === "bigint";
  const field = Buffer.alloc(1 + (isBig ? varintSizeBig(id) : varintSize(id)));
  field[0] = 0x10;
  if (isBig) writeVarintBig(field, 1, id);
  else writeVarint(field, 1, id);
  return field;
}
