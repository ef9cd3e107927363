// Every unary call goes through here: its deadline, its token, its retries, and the typed error at
// the end. Invariant: a write is sent again only when it is certain that it was not executed.

import { Status, StatusError } from "../base/status.ts";
import type { Clock } from "../io/clock.ts";
import { Metadata } from "../rpc/grpc/metadata.ts";
import type { CallOptions as RpcCallOptions } from "../rpc/grpc/types.ts";
import { Backoff } from "./backoff.ts";
import type { TokenSource } from "./credentials.ts";
import { delay } from "./delay.ts";
import { ClosedError, PortalError, toPortalError } from "./errors.ts";
import type { Transport } from "./transport.ts";

/** What every call of the client takes. */
export interface CallOptions {
  /** Ends the call with CANCELLED when it aborts. */
  readonly signal?: AbortSignal;
  /** For the whole call, retries included. 0 waits for ever. Default: the client's `timeoutMs`. */
  readonly timeoutMs?: number;
}

export interface RetryOptions {
  /** How often a call is tried in all. 1 never retries. */
  readonly attempts: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
}

export type Safety = "read" | "write";

export interface CallerOptions {
  readonly timeoutMs: number;
  readonly retry: RetryOptions;
}

export interface CallerDependencies {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tokens: TokenSource | undefined;
}

export class Caller {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: () => number;
  readonly #options: CallerOptions;
  readonly #tokens: TokenSource | undefined;
  #closed = false;

  constructor(options: CallerOptions, dependencies: CallerDependencies) {
    this.#options = options;
    this.transport = dependencies.transport;
    this.clock = dependencies.clock;
    this.random = dependencies.random;
    this.#tokens = dependencies.tokens;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
  }

  /** Runs `call`, again where that is safe and helps. Rejects with a PortalError. */
  async unary<Response>(
    call: (options: RpcCallOptions) => Promise<Response>,
    safety: Safety,
    options: CallOptions = {},
  ): Promise<Response> {
    const { clock } = this;
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs;
    const deadlineMs = timeoutMs > 0 ? clock.now() + timeoutMs : Number.POSITIVE_INFINITY;
    let backoff: Backoff | undefined;
    let tokenRefreshes = 0;
    for (let attempt = 1; ; attempt++) {
      if (this.#closed) throw new ClosedError("Client");
      let token: string | undefined;
      try {
        token = await this.#token(options.signal);
        return await call(this.rpcOptions(options.signal, deadlineMs, token));
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        if (isStaleToken(error) && token !== undefined && tokenRefreshes++ === 0) {
          this.#tokens?.invalidate(token);
          continue;
        }
        const notExecuted = this.#wasNotExecuted(error);
        if (!isRetryable(error, safety, notExecuted)) throw toPortalError(error, notExecuted);
        backoff ??= this.#newBackoff();
        const delayMs = backoff.nextDelayMs();
        const mayRetry =
          attempt < this.#options.retry.attempts && clock.now() + delayMs < deadlineMs;
        if (!mayRetry) throw toPortalError(error, notExecuted);
        await delay(clock, delayMs, options.signal);
        if (options.signal?.aborted) throw cancelled(options.signal);
      }
    }
  }

  /** Options for one attempt. An infinite deadline sends none. */
  rpcOptions(
    signal: AbortSignal | undefined,
    deadlineMs: number,
    token: string | undefined,
    metadata: Readonly<Record<string, string>> = {},
  ): RpcCallOptions {
    const withToken = token === undefined ? metadata : { ...metadata, token };
    return {
      ...(signal && { signal }),
      // A deadline in the past still makes a call that ends with DEADLINE_EXCEEDED.
      ...(deadlineMs !== Number.POSITIVE_INFINITY && {
        timeoutMs: Math.max(1, deadlineMs - this.clock.now()),
      }),
      ...(Object.keys(withToken).length > 0 && { metadata: new Metadata(withToken) }),
    };
  }

  /** Options for a long-lived stream, which should fail rather than hang on a member without a leader. */
  async streamOptions(signal?: AbortSignal): Promise<RpcCallOptions> {
    const token = await this.#token(signal);
    return this.rpcOptions(signal, Number.POSITIVE_INFINITY, token, { hasleader: "true" });
  }

  /** Tells that a stream failed, so that a token which went stale is asked for anew. */
  noteStreamFailure(error: unknown): void {
    if (error instanceof StatusError && isStaleToken(error)) this.#tokens?.invalidateCurrent();
  }

  #token(signal: AbortSignal | undefined): Promise<string> | undefined {
    return this.#tokens?.get(signal);
  }

  #wasNotExecuted(error: StatusError): boolean {
    return error instanceof PortalError ? error.notExecuted : this.transport.wasNotExecuted(error);
  }

  #newBackoff(): Backoff {
    const { minDelayMs, maxDelayMs } = this.#options.retry;
    return new Backoff({ minMs: minDelayMs, maxMs: maxDelayMs, random: this.random });
  }
}

function isRetryable(error: StatusError, safety: Safety, notExecuted: boolean): boolean {
  if (error.code !== Status.UNAVAILABLE) return false;
  return safety === "read" || notExecuted;
}

export function isStaleToken(error: StatusError): boolean {
  return (
    error.message === "etcdserver: invalid auth token" ||
    error.message === "etcdserver: revision of auth store is old"
  );
}

function cancelled(signal: AbortSignal): PortalError {
  return new PortalError(Status.CANCELLED, "Call was cancelled by its signal", {
    cause: signal.reason,
  });
}
