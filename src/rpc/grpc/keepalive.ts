// Keepalive on one connection, for either end: when nothing has come for a while, a PING goes out, and
// without an answer in time the connection is destroyed. And its enforcement on the server: a client
// that pings too often is told to calm down.

import type { Clock, Timer } from "../../io/clock.ts";
import { ErrorCode, type Http2Session } from "../http2/types.ts";

export interface KeepaliveOptions {
  /** Silence after which a PING is sent. */
  readonly timeMs: number;
  /** How long its answer may take. */
  readonly timeoutMs: number;
  /** Also while no stream is open. */
  readonly permitWithoutStream: boolean;
}

/** Watches one session until it is closed. */
export class Keepalive {
  readonly #session: Http2Session;
  readonly #options: KeepaliveOptions;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(session: Http2Session, options: KeepaliveOptions, clock: Clock) {
    this.#session = session;
    this.#options = options;
    this.#clock = clock;
    this.#wait(options.timeMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #wait(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#clock.setTimer(delayMs, () => this.#check(), { unref: true });
  }

  #check(): void {
    const session = this.#session;
    if (this.#stopped || session.closed) return;
    const { timeMs, permitWithoutStream } = this.#options;
    const silentMs = this.#clock.now() - session.lastReceivedMs;
    if (silentMs < timeMs) this.#wait(timeMs - silentMs);
    else if (session.activeStreams === 0 && !permitWithoutStream) this.#wait(timeMs);
    else this.#ping();
  }

  #ping(): void {
    const session = this.#session;
    let answered = false;
    this.#timer = this.#clock.setTimer(
      this.#options.timeoutMs,
      () => {
        if (!answered && !this.#stopped)
          session.destroy(new Error("keepalive ping failed to receive ACK within timeout"));
      },
      { unref: true },
    );
    session.ping().then(
      () => {
        answered = true;
        this.#timer?.cancel();
        this.#wait(this.#options.timeMs);
      },
      () => {
        answered = true;
        this.#timer?.cancel();
      },
    );
  }
}

export interface PingPolicy {
  /** A client may ping this often while it has streams. */
  readonly minTimeMs: number;
  /** Whether it may at all while it has none; otherwise only every two hours. */
  readonly permitWithoutStream: boolean;
}

const strikesMax = 2;
const minTimeWithoutStreamMs = 2 * 60 * 60 * 1000;

/** Counts the pings of one client. */
export class PingEnforcement {
  readonly #policy: PingPolicy;
  #lastPingMs = Number.NEGATIVE_INFINITY;
  #framesSent = -1;
  #strikes = 0;

  constructor(policy: PingPolicy) {
    this.#policy = policy;
  }

  /** A PING came. Closes the session after the third that came too early. */
  onPing(session: Http2Session, nowMs: number): void {
    const sincePingMs = nowMs - this.#lastPingMs;
    this.#lastPingMs = nowMs;
    // Whoever was sent something since may ask whether we are there.
    if (session.framesSent !== this.#framesSent) {
      this.#framesSent = session.framesSent;
      this.#strikes = 0;
      return;
    }
    const isIdle = session.activeStreams === 0 && !this.#policy.permitWithoutStream;
    if (sincePingMs < (isIdle ? minTimeWithoutStreamMs : this.#policy.minTimeMs)) this.#strikes++;
    if (this.#strikes > strikesMax) session.goAway(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings");
  }
}
