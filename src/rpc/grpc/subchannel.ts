// One endpoint of a channel and its connection: IDLE until asked, CONNECTING, READY, and after a
// failure TRANSIENT_FAILURE until its backoff is over. It never connects on its own.

import type { Clock, Timer } from "../../io/clock.ts";
import type { ClientHandler, ClientHttp2Session } from "../http2/types.ts";
import { ErrorCode } from "../http2/types.ts";
import { Keepalive, type KeepaliveOptions } from "./keepalive.ts";
import type { Endpoint } from "./target.ts";
import type { ChannelState } from "./types.ts";

export interface BackoffOptions {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** Up to this share is added or taken away by chance. */
  readonly jitter: number;
}

/** Opens a connection and starts HTTP/2 on it; rejects when either fails. */
export type Connector = (
  endpoint: Endpoint,
  handler: ClientHandler,
  signal: AbortSignal,
) => Promise<ClientHttp2Session>;

export interface SubchannelDependencies {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface SubchannelOptions {
  readonly backoff: BackoffOptions;
  readonly connectTimeoutMs: number;
  readonly keepalive: KeepaliveOptions | undefined;
}

/** A connection that lived this long was a good one; so many that did not, in a row, are a failure. */
const stableMs = 1_000;
const quickLossesMax = 3;

export class Subchannel {
  readonly endpoint: Endpoint;
  readonly #options: SubchannelOptions;
  readonly #dependencies: SubchannelDependencies;
  readonly #onChange: (subchannel: Subchannel) => void;
  #state: ChannelState = "IDLE";
  #session: ClientHttp2Session | undefined;
  #connectedMs = 0;
  /** Also those that only finish their calls. */
  readonly #sessions = new Set<ClientHttp2Session>();
  #keepalive: Keepalive | undefined;
  #keepaliveTimeMs: number;
  #attempt: AbortController | undefined;
  #failures = 0;
  #backoffTimer: Timer | undefined;
  #lastError = "";

  constructor(
    endpoint: Endpoint,
    options: SubchannelOptions,
    dependencies: SubchannelDependencies,
    onChange: (subchannel: Subchannel) => void,
  ) {
    this.endpoint = endpoint;
    this.#options = options;
    this.#dependencies = dependencies;
    this.#onChange = onChange;
    this.#keepaliveTimeMs = options.keepalive?.timeMs ?? 0;
  }

  get state(): ChannelState {
    return this.#state;
  }

  /** Set while READY. */
  get session(): ClientHttp2Session | undefined {
    return this.#session;
  }

  /** Why the last attempt failed. */
  get lastError(): string {
    return this.#lastError;
  }

  /** Starts an attempt when IDLE; in any other state it does nothing. */
  connect(): void {
    if (this.#state !== "IDLE") return;
    void this.#connect();
  }

  /** Back to IDLE without a connection; calls under way finish on the old one. */
  disconnect(graceMs: number): void {
    this.#attempt?.abort();
    this.#attempt = undefined;
    this.#backoffTimer?.cancel();
    const session = this.#session;
    this.#forgetSession();
    if (session !== undefined) void session.shutdown(graceMs);
    if (this.#state !== "SHUTDOWN") this.#state = "IDLE";
  }

  async shutdown(graceMs: number): Promise<void> {
    this.disconnect(graceMs);
    this.#state = "SHUTDOWN";
    await Promise.all([...this.#sessions].map((session) => session.shutdown(graceMs)));
  }

  /** Ends the backoff, so that the next `connect` tries at once. */
  resetBackoff(): void {
    this.#failures = 0;
    if (this.#state !== "TRANSIENT_FAILURE") return;
    this.#backoffTimer?.cancel();
    this.#change("IDLE");
  }

  async #connect(): Promise<void> {
    const { connector, clock } = this.#dependencies;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#change("CONNECTING");
    const timer = clock.setTimer(this.#options.connectTimeoutMs, () =>
      attempt.abort(new Error("timeout")),
    );
    // The handler may be called before the connector has returned the session.
    let isLost = false;
    const onLost = (session: unknown, reason: string) => {
      isLost = true;
      if (this.#session === session) this.#onLost(reason);
    };
    const handler: ClientHandler = {
      onClose: (session, error) => onLost(session, error?.message ?? "connection closed"),
      onGoAway: (session, code, debug) => {
        if (code === ErrorCode.ENHANCE_YOUR_CALM && debug === "too_many_pings") {
          this.#keepaliveTimeMs *= 2;
        }
        onLost(
          session,
          `received goaway with code ${code} and debug data ${JSON.stringify(debug)}`,
        );
      },
    };
    try {
      const session = await connector(this.endpoint, handler, attempt.signal);
      if (this.#attempt !== attempt || isLost || session.closed) {
        session.destroy();
        if (this.#attempt === attempt) throw new Error("connection closed");
        return;
      }
      this.#attempt = undefined;
      this.#onConnected(session);
    } catch (error) {
      if (this.#attempt !== attempt) return;
      this.#attempt = undefined;
      const reason = attempt.signal.aborted ? attempt.signal.reason : error;
      this.#onFailed(reason instanceof Error ? reason.message : String(reason));
    } finally {
      timer.cancel();
    }
  }

  #onConnected(session: ClientHttp2Session): void {
    this.#connectedMs = this.#dependencies.clock.now();
    this.#session = session;
    this.#sessions.add(session);
    void session.whenClosed.then(() => this.#sessions.delete(session));
    const keepalive = this.#options.keepalive;
    if (keepalive !== undefined) {
      const options = { ...keepalive, timeMs: this.#keepaliveTimeMs };
      this.#keepalive = new Keepalive(session, options, this.#dependencies.clock);
    }
    this.#change("READY");
  }

  #onFailed(reason: string): void {
    const { host, port, path } = this.endpoint;
    const address = path ?? `${host}:${port}`;
    this.#lastError = `connection error: cannot connect to ${address}: ${reason}`;
    const { initialMs, factor, maxMs, jitter } = this.#options.backoff;
    const baseMs = Math.min(maxMs, initialMs * factor ** this.#failures);
    this.#failures++;
    const delayMs = baseMs * (1 + jitter * (2 * this.#dependencies.random() - 1));
    this.#backoffTimer = this.#dependencies.clock.setTimer(delayMs, () => {
      if (this.#state === "TRANSIENT_FAILURE") this.#change("IDLE");
    });
    this.#change("TRANSIENT_FAILURE");
  }

  #onLost(reason: string): void {
    this.#forgetSession();
    if (this.#state !== "READY") return;
    const livedMs = this.#dependencies.clock.now() - this.#connectedMs;
    if (livedMs >= stableMs) this.#failures = 0;
    // A server that accepts and closes again and again is no better than one that does not accept.
    if (this.#failures >= quickLossesMax) {
      this.#onFailed(reason);
      return;
    }
    if (livedMs < stableMs) this.#failures++;
    this.#lastError = `connection error: ${reason}`;
    this.#change("IDLE");
  }

  #forgetSession(): void {
    this.#session = undefined;
    this.#keepalive?.stop();
    this.#keepalive = undefined;
  }

  #change(state: ChannelState): void {
    this.#state = state;
    this.#onChange(this);
  }
}
