// All watches of a client on one stream. Keeps the stream open while there are watches, opens it again
// when it breaks, and sorts what arrives. A watch's state on the stream is: awaiting creation
// (in #pending, first in first out, as servers answer in order), or live (in #live by its id).

import { Status, StatusError } from "../base/status.ts";
import type { BidiStream } from "../rpc/grpc/types.ts";
import type {
  DeepPartial,
  WatchCreateRequest,
  WatchRequest,
  WatchResponse,
} from "../wire/generated/rpc.ts";
import { Backoff } from "./backoff.ts";
import { type Caller, isStaleToken } from "./caller.ts";
import { delay } from "./delay.ts";
import {
  ClosedError,
  CompactedError,
  errorFromText,
  PortalError,
  toPortalError,
} from "./errors.ts";

/** One watch, as the multiplexer needs it. */
export interface Subscription {
  /** The request that continues where the watch stands. */
  createRequest(): DeepPartial<WatchCreateRequest>;
  onCreated(response: WatchResponse): void;
  onResponse(response: WatchResponse): void;
  /** The stream broke and is being opened again. */
  onInterrupted(error: unknown): void;
  /** The watch is over. */
  onFailed(error: unknown): void;
}

type Stream = BidiStream<DeepPartial<WatchRequest>, WatchResponse>;

const RECONNECT = { minMs: 20, maxMs: 2_000 } as const;

export class WatchMultiplexer {
  readonly #caller: Caller;
  readonly #subscriptions = new Set<Subscription>();
  readonly #live = new Map<number, Subscription>();
  readonly #ids = new Map<Subscription, number>();
  #pending: Subscription[] = [];
  #stream: Stream | undefined;
  #abort: AbortController | undefined;
  #running: Promise<void> | undefined;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  add(subscription: Subscription): void {
    if (this.#caller.closed) {
      subscription.onFailed(new ClosedError("Client"));
      return;
    }
    this.#subscriptions.add(subscription);
    if (this.#stream) this.#create(subscription);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      // A watch that was added while the loop was on its way out.
      const [first] = this.#subscriptions;
      if (first) this.add(first);
    });
  }

  /** Nothing is delivered to `subscription` from now on. */
  remove(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription)) return;
    const id = this.#ids.get(subscription);
    if (id !== undefined) {
      this.#forget(id);
      this.#sendCancel(id);
    }
    if (this.#subscriptions.size === 0) this.#abort?.abort();
  }

  /** Asks the server how far all watches of this stream have come; it answers when they are up to date. */
  requestProgress(): void {
    this.#send({ requestUnion: { $case: "progressRequest", value: {} } });
  }

  async close(): Promise<void> {
    const error = new ClosedError("Client");
    for (const subscription of [...this.#subscriptions]) this.#fail(subscription, error);
    this.#abort?.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const backoff = new Backoff({ ...RECONNECT, random: this.#caller.random });
    while (this.#subscriptions.size > 0) {
      const abort = new AbortController();
      this.#abort = abort;
      let failure: unknown;
      try {
        const stream = this.#caller.transport.watch.watch(
          await this.#caller.streamOptions(abort.signal),
        );
        if (!abort.signal.aborted) this.#open(stream);
        for await (const response of stream) {
          backoff.reset();
          this.#dispatch(response);
        }
        failure = new PortalError(Status.UNAVAILABLE, "Watch stream was ended by the server");
      } catch (error) {
        failure = toPortalError(error);
      }
      this.#reset();
      this.#caller.noteStreamFailure(failure);
      if (this.#subscriptions.size === 0) return;
      if (abort.signal.aborted) continue; // Everyone left, and someone came since.
      this.#interrupt(failure);
      await delay(this.#caller.clock, backoff.nextDelayMs(), abort.signal);
    }
  }

  #open(stream: Stream): void {
    this.#stream = stream;
    for (const subscription of this.#subscriptions) this.#create(subscription);
  }

  #reset(): void {
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#live.clear();
    this.#ids.clear();
    this.#pending = [];
  }

  #interrupt(failure: unknown): void {
    const isFinal = !isPassing(failure);
    for (const subscription of [...this.#subscriptions]) {
      if (isFinal) this.#fail(subscription, failure);
      else subscription.onInterrupted(failure);
    }
  }

  #create(subscription: Subscription): void {
    this.#pending.push(subscription);
    this.#send({
      requestUnion: { $case: "createRequest", value: subscription.createRequest() },
    });
  }

  #sendCancel(watchId: number): void {
    this.#send({ requestUnion: { $case: "cancelRequest", value: { watchId } } });
  }

  #send(request: DeepPartial<WatchRequest>): void {
    // A write fails only with the stream, which the reading loop sees as well.
    this.#stream?.write(request).catch(() => {});
  }

  #dispatch(response: WatchResponse): void {
    if (response.created) {
      this.#created(response);
    } else if (response.watchId === -1) {
      for (const subscription of this.#live.values()) subscription.onResponse(response);
    } else {
      const subscription = this.#live.get(response.watchId);
      if (!subscription) return; // Sent before the server saw that the watch was cancelled.
      if (!response.canceled) {
        subscription.onResponse(response);
      } else {
        this.#forget(response.watchId);
        // etcd keeps a watch that it cancelled itself among those of the stream, as one that is never
        // up to date, and so answers no progress request until it is cancelled from here, too.
        this.#sendCancel(response.watchId);
        this.#cancelled(subscription, response);
      }
    }
  }

  #created(response: WatchResponse): void {
    const subscription = this.#pending.shift();
    const wanted = subscription !== undefined && this.#subscriptions.has(subscription);
    if (response.canceled) {
      if (wanted) this.#cancelled(subscription, response);
    } else if (wanted) {
      this.#live.set(response.watchId, subscription);
      this.#ids.set(subscription, response.watchId);
      subscription.onCreated(response);
    } else {
      this.#sendCancel(response.watchId);
    }
  }

  /** The server ended one watch and keeps the stream. */
  #cancelled(subscription: Subscription, response: WatchResponse): void {
    const error =
      response.compactRevision > 0
        ? new CompactedError(response.compactRevision)
        : errorFromText(response.cancelReason || "etcdserver: watch canceled");
    if (!isStaleToken(error)) {
      this.#fail(subscription, error);
      return;
    }
    // The token belongs to the stream: open another.
    subscription.onInterrupted(error);
    this.#caller.noteStreamFailure(error);
    this.#stream?.cancel();
  }

  #fail(subscription: Subscription, error: unknown): void {
    this.#subscriptions.delete(subscription);
    subscription.onFailed(error);
    if (this.#subscriptions.size === 0) this.#abort?.abort();
  }

  #forget(id: number): void {
    const subscription = this.#live.get(id);
    this.#live.delete(id);
    if (subscription) this.#ids.delete(subscription);
  }
}

/** Whether opening the stream again may help. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof StatusError)) return false;
  switch (error.code) {
    case Status.UNAVAILABLE:
    case Status.CANCELLED:
    case Status.DEADLINE_EXCEEDED:
    case Status.ABORTED:
    case Status.INTERNAL:
    case Status.UNKNOWN:
      return true;
    default:
      return isStaleToken(error);
  }
}
