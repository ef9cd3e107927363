// One watch as an async iterator. It survives reconnects without losing or repeating an event, and its
// memory is bounded: when its reader falls behind, the server-side watch is cancelled and taken up
// again at the same place once the reader has caught up.

import { Status } from "../base/status.ts";
import type { DeepPartial, WatchCreateRequest, WatchResponse } from "../wire/generated/rpc.ts";
import { WatchCreateRequest_FilterType as FilterType } from "../wire/generated/rpc.ts";
import { ClosedError, PortalError } from "./errors.ts";
import { type KeySelector, toWireRange } from "./key-range.ts";
import type { Keyspace } from "./keyspace.ts";
import { headerOf } from "./results.ts";
import { WatchCursor } from "./watch-cursor.ts";
import { type WatchBatch, type WatchEvent, watchEvent } from "./watch-event.ts";
import type { Subscription, WatchMultiplexer } from "./watch-multiplexer.ts";

export interface WatchOptions {
  /** Deliver changes from this revision on, also past ones. Default: from now on. */
  readonly startRevision?: number;
  /** Deliver what keys held before, too. */
  readonly prevKv?: boolean;
  /** Show batches without events that say how far the watch has come. */
  readonly progressNotify?: boolean;
  /** Leave out one kind of event. */
  readonly ignore?: "puts" | "deletes";
  /** Ends the watch: its loop throws a PortalError CANCELLED. */
  readonly signal?: AbortSignal;
  /** Told that the connection was lost and is being made again. Events still come without a gap. */
  readonly onInterrupted?: (error: unknown) => void;
  /** How many undelivered events are kept before the server is told to stop. Default 10,000. */
  readonly bufferedEventsMax?: number;
}

const BUFFERED_EVENTS_MAX = 10_000;

export class Watcher implements AsyncIterable<WatchEvent>, AsyncDisposable {
  /** Resolves when the server has created the watch; rejects when it never will. */
  readonly ready: Promise<void>;

  readonly #multiplexer: WatchMultiplexer;
  readonly #keyspace: Keyspace;
  readonly #options: WatchOptions;
  readonly #request: DeepPartial<WatchCreateRequest>;
  readonly #cursor: WatchCursor;
  readonly #subscription: Subscription;
  readonly #onAbort: () => void;
  #queue: WatchBatch[] = [];
  #queuedEvents = 0;
  #state: "open" | "paused" | "ended" = "open";
  #failure: unknown;
  #wake: (() => void) | undefined;
  #taken = false;
  #settleReady: { resolve: () => void; reject: (error: unknown) => void };

  constructor(
    selector: KeySelector,
    options: WatchOptions,
    dependencies: { readonly multiplexer: WatchMultiplexer; readonly keyspace: Keyspace },
  ) {
    this.#options = options;
    this.#multiplexer = dependencies.multiplexer;
    this.#keyspace = dependencies.keyspace;
    this.#cursor = new WatchCursor(options.startRevision ?? 0);
    this.#request = createRequest(dependencies.keyspace.range(toWireRange(selector)), options);
    const { promise, resolve, reject } = withResolvers();
    this.ready = promise;
    this.#settleReady = { resolve, reject };
    promise.catch(() => {}); // Nobody has to wait for it.
    this.#subscription = {
      createRequest: () => ({ ...this.#request, startRevision: this.#cursor.nextRevision }),
      onCreated: (response) => this.#created(response),
      onResponse: (response) => this.#received(response),
      onInterrupted: (error) => this.#interrupted(error),
      onFailed: (error) => this.#end(error),
    };
    const { signal } = options;
    this.#onAbort = () => {
      const cause = signal?.reason;
      this.#end(new PortalError(Status.CANCELLED, "Watch was cancelled by its signal", { cause }));
    };
    if (signal?.aborted) {
      this.#onAbort();
    } else {
      signal?.addEventListener("abort", this.#onAbort, { once: true });
      this.#multiplexer.add(this.#subscription);
    }
  }

  /** The revision from which the next event may come; 0 while that is not known. */
  get nextRevision(): number {
    return this.#cursor.nextRevision;
  }

  /** The events one by one. A watcher can be read once, by this or by `batches`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void> {
    for await (const batch of this.batches()) yield* batch.events;
  }

  /** The events as they came together. Leaving the loop cancels the watch. */
  async *batches(): AsyncGenerator<WatchBatch, void> {
    if (this.#taken) throw new TypeError("Watcher is already being read");
    this.#taken = true;
    try {
      for (;;) {
        const batch = this.#queue.shift();
        if (batch) {
          this.#queuedEvents -= batch.events.length;
          this.#resumeWhenDrained();
          yield batch;
        } else if (this.#state === "ended") {
          if (this.#failure !== undefined) throw this.#failure;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.cancel();
    }
  }

  /** Ends the watch and the loop that reads it. What has arrived is still delivered. */
  cancel(): void {
    this.#end(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }

  #created(response: WatchResponse): void {
    this.#cursor.created(headerOf(response).revision);
    this.#settleReady.resolve();
  }

  #received(response: WatchResponse): void {
    const advance = this.#cursor.accept(response);
    if (!advance) return;
    const progress = advance.events.length === 0;
    if (progress && !this.#options.progressNotify) return;
    const events: WatchEvent[] = [];
    for (const wire of advance.events) {
      const event = watchEvent(wire, this.#keyspace);
      if (event) events.push(event);
    }
    this.#queue.push({
      header: headerOf(response),
      events,
      revision: advance.revision,
      progress,
    });
    this.#queuedEvents += events.length;
    this.#notify();
    if (this.#queuedEvents > (this.#options.bufferedEventsMax ?? BUFFERED_EVENTS_MAX)) {
      this.#state = "paused";
      this.#cursor.interrupted();
      this.#multiplexer.remove(this.#subscription);
    }
  }

  #resumeWhenDrained(): void {
    if (this.#state !== "paused" || this.#queue.length > 0) return;
    this.#state = "open";
    this.#multiplexer.add(this.#subscription);
  }

  #interrupted(error: unknown): void {
    this.#cursor.interrupted();
    this.#options.onInterrupted?.(error);
  }

  #end(failure: unknown): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#failure = failure;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#multiplexer.remove(this.#subscription);
    this.#settleReady.reject(failure ?? new ClosedError("Watcher"));
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

function createRequest(
  range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
  options: WatchOptions,
): DeepPartial<WatchCreateRequest> {
  const filters = {
    puts: [FilterType.NOPUT],
    deletes: [FilterType.NODELETE],
    none: [],
  }[options.ignore ?? "none"];
  return {
    ...range,
    prevKv: options.prevKv ?? false,
    // Always asked for: it moves an idle watch forward, so that a reconnect does not start in history
    // that has been compacted since.
    progressNotify: true,
    // Without it, a response over the server's message limit could not be sent at all.
    fragment: true,
    filters,
  };
}

function withResolvers() {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
