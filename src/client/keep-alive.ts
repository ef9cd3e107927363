// Keeps all leases of a client alive on one stream. Each is renewed every third of its TTL, counted from
// when the renewal was sent, so that the client gives a lease up no later than the server does.

import type { Timer } from "../io/clock.ts";
import type { BidiStream } from "../rpc/grpc/types.ts";
import type {
  DeepPartial,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
} from "../wire/generated/rpc.ts";
import { Backoff } from "./backoff.ts";
import type { Caller } from "./caller.ts";
import { delay } from "./delay.ts";
import { toPortalError } from "./errors.ts";

/** Who is told about one lease. */
export interface Renewable {
  readonly id: bigint;
  onRenewed(response: LeaseKeepAliveResponse): void;
  onLost(why: string, cause?: unknown): void;
}

interface Entry {
  readonly lease: Renewable;
  ttlMs: number;
  expiresAtMs: number;
  renewAtMs: number;
  sentAtMs: number;
}

type Stream = BidiStream<DeepPartial<LeaseKeepAliveRequest>, LeaseKeepAliveResponse>;

const RECONNECT = { minMs: 20, maxMs: 1_000 } as const;
/** While an answer is awaited, the question is not repeated sooner. */
const REPEAT_MIN_MS = 500;

export class KeepAlive {
  readonly #caller: Caller;
  readonly #entries = new Map<bigint, Entry>();
  #stream: Stream | undefined;
  #abort: AbortController | undefined;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  #lastFailure: unknown;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** `ageMs`: how long ago the lease was asked for. */
  add(lease: Renewable, ttlSeconds: number, ageMs: number): void {
    const ttlMs = ttlSeconds * 1000;
    const grantedAtMs = this.#caller.clock.now() - ageMs;
    this.#entries.set(lease.id, {
      lease,
      ttlMs,
      expiresAtMs: grantedAtMs + ttlMs,
      renewAtMs: grantedAtMs + ttlMs / 3,
      sentAtMs: grantedAtMs,
    });
    this.#schedule();
    this.#start();
  }

  /** Stops renewing. The lease itself lives on until it expires. */
  remove(id: bigint): void {
    this.#entries.delete(id);
    if (this.#entries.size === 0) this.#abort?.abort();
  }

  async close(): Promise<void> {
    this.#entries.clear();
    this.#timer?.cancel();
    this.#abort?.abort();
    await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#entries.size > 0 && !this.#caller.closed) this.#start();
    });
  }

  async #run(): Promise<void> {
    const backoff = new Backoff({ ...RECONNECT, random: this.#caller.random });
    while (this.#entries.size > 0) {
      const abort = new AbortController();
      this.#abort = abort;
      try {
        const options = await this.#caller.streamOptions(abort.signal);
        this.#stream = this.#caller.transport.lease.leaseKeepAlive(options);
        this.#tick();
        for await (const response of this.#stream) {
          backoff.reset();
          this.#renewed(response);
        }
      } catch (error) {
        this.#lastFailure = toPortalError(error);
        this.#caller.noteStreamFailure(error);
      }
      this.#stream?.cancel();
      this.#stream = undefined;
      if (this.#entries.size === 0) break;
      // What was asked on the broken stream may be lost: ask again on the next.
      for (const entry of this.#entries.values()) {
        if (entry.sentAtMs > entry.expiresAtMs - entry.ttlMs) entry.renewAtMs = entry.sentAtMs;
      }
      if (!abort.signal.aborted) {
        await delay(this.#caller.clock, backoff.nextDelayMs(), abort.signal);
      }
    }
    this.#timer?.cancel();
  }

  #renewed(response: LeaseKeepAliveResponse): void {
    const entry = this.#entries.get(response.ID);
    if (!entry) return;
    if (response.TTL <= 0) {
      this.#lose(entry, "it expired or was revoked");
      return;
    }
    entry.ttlMs = response.TTL * 1000;
    entry.expiresAtMs = entry.sentAtMs + entry.ttlMs;
    entry.renewAtMs = entry.sentAtMs + entry.ttlMs / 3;
    this.#schedule();
    entry.lease.onRenewed(response);
  }

  /** Renews what is due, gives up what is over, and sets the timer for the next. */
  #tick(): void {
    const now = this.#caller.clock.now();
    for (const entry of [...this.#entries.values()]) {
      if (now >= entry.expiresAtMs) {
        this.#lose(entry, "it could not be renewed in time", this.#lastFailure);
      } else if (this.#stream && now >= entry.renewAtMs) {
        entry.sentAtMs = now;
        entry.renewAtMs = now + Math.max(REPEAT_MIN_MS, entry.ttlMs / 3);
        // A write fails only with the stream, which the reading loop sees as well.
        this.#stream.write({ ID: entry.lease.id }).catch(() => {});
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    let dueAtMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      // Without a stream only the expiry matters; opening one ticks.
      const next = this.#stream ? Math.min(entry.renewAtMs, entry.expiresAtMs) : entry.expiresAtMs;
      if (next < dueAtMs) dueAtMs = next;
    }
    if (dueAtMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#caller;
    this.#timer = clock.setTimer(Math.max(0, dueAtMs - clock.now()), () => this.#tick());
  }

  #lose(entry: Entry, why: string, cause?: unknown): void {
    this.remove(entry.lease.id);
    entry.lease.onLost(why, cause);
  }
}
