// A channel: one logical connection to a service behind one or more endpoints. It connects when the
// first call needs it, again when the connection is lost, and holds calls (a bounded number) while it
// does. Without a connection to be had, calls that do not wait fail with UNAVAILABLE.

import { Status, type StatusCode } from "../../base/status.ts";
import { type Clock, systemClock, type Timer } from "../../io/clock.ts";
import type { Network } from "../../io/network.ts";
import { prepareHeaders } from "../http2/prepared-headers.ts";
import type { ClientHttp2Session, HeaderList, PreparedHeaders } from "../http2/types.ts";
import { type Balancer, PickFirst, RoundRobin } from "./balancer.ts";
import { ClientCall } from "./client-call.ts";
import { acceptEncoding } from "./compression.ts";
import { type ConnectorOptions, createConnector } from "./connector.ts";
import { DeadlineWheel } from "./deadline-wheel.ts";
import type { KeepaliveOptions } from "./keepalive.ts";
import { ByteBudget } from "./message-reader.ts";
import { type BackoffOptions, type Connector, Subchannel } from "./subchannel.ts";
import { type Endpoint, parseTargets } from "./target.ts";
import { formatTimeout } from "./timeout.ts";
import type {
  CallOptions,
  ChannelState,
  ClientCallHandle,
  ClientCallListener,
  ClientInterceptor,
  MethodInfo,
  StartCall,
} from "./types.ts";
import { UnaryListener } from "./unary-listener.ts";

export interface ChannelOptions extends ConnectorOptions {
  /** Default pick_first. */
  readonly balancer?: "pick_first" | "round_robin";
  /** Replaces :authority, and with TLS the name that the server's certificate must bear. */
  readonly authority?: string;
  readonly userAgent?: string;
  readonly keepalive?: KeepaliveOptions;
  /** Default 250 ms, times 1.6 each time, at most 10 s, 20 % by chance. */
  readonly backoff?: Partial<BackoffOptions>;
  /** Default 20 s. */
  readonly connectTimeoutMs?: number;
  /** Without a call for this long, the connection is closed. Default 30 min. */
  readonly idleTimeoutMs?: number;
  /** Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number;
  readonly maxSendMessageBytes?: number;
  /** Calls that may wait for a connection. Default 10,000. */
  readonly pendingCallsMax?: number;
  /** The first is the outermost. */
  readonly interceptors?: readonly ClientInterceptor[];
  /** Told of every change of state. */
  readonly onStateChange?: (state: ChannelState) => void;
}

export interface ChannelDependencies {
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly network?: Network;
  readonly connector?: Connector;
}

/** Prepared header lists are kept for this many methods. */
const preparedMax = 256;

export class Channel {
  readonly deadlines: DeadlineWheel;
  readonly budget = new ByteBudget(256 * 1024 * 1024);
  readonly streamHighWaterBytes: number;
  readonly #options: ChannelOptions;
  readonly #clock: Clock;
  readonly #subchannels: readonly Subchannel[];
  readonly #balancer: Balancer;
  readonly #start: StartCall;
  readonly #pending = new Set<ClientCall>();
  readonly #prepared = new Map<string, PreparedHeaders>();
  #activeCalls = 0;
  #lastUseMs: number;
  #idleTimer: Timer | undefined;
  #state: ChannelState = "IDLE";

  /** Throws a StatusError INVALID_ARGUMENT when a target can not be read. Connects with the first call. */
  constructor(
    target: string | readonly string[],
    options: ChannelOptions = {},
    dependencies: ChannelDependencies = {},
  ) {
    const clock = dependencies.clock ?? systemClock;
    this.#clock = clock;
    this.#options = options;
    this.#lastUseMs = clock.now();
    this.deadlines = new DeadlineWheel(clock);
    this.streamHighWaterBytes = options.streamHighWaterBytes ?? 65_536;
    const connector =
      dependencies.connector ?? createConnector(options, options.authority, dependencies.network);
    const random = dependencies.random ?? Math.random;
    const subchannelOptions = {
      backoff: { initialMs: 250, factor: 1.6, maxMs: 10_000, jitter: 0.2, ...options.backoff },
      connectTimeoutMs: options.connectTimeoutMs ?? 20_000,
      keepalive: options.keepalive,
    };
    this.#subchannels = parseTargets(target).map(
      (endpoint) =>
        new Subchannel(endpoint, subchannelOptions, { connector, clock, random }, (subchannel) =>
          this.#onSubchannelChange(subchannel),
        ),
    );
    this.#balancer =
      options.balancer === "round_robin"
        ? new RoundRobin(this.#subchannels)
        : new PickFirst(this.#subchannels, clock);
    let start: StartCall = (method, callOptions, listener) =>
      this.#startCall(method, callOptions, listener);
    for (const interceptor of (options.interceptors ?? []).toReversed()) start = interceptor(start);
    this.#start = start;
  }

  get state(): ChannelState {
    return this.#state;
  }

  /** Connects without waiting for a call. */
  connect(): void {
    if (this.#state === "SHUTDOWN") return;
    this.#balancer.connect();
    this.#update();
  }

  /** Begins a call on bytes, through the interceptors. */
  start(method: MethodInfo, options: CallOptions, listener: ClientCallListener): ClientCallHandle {
    return this.#start(method, options, listener);
  }

  /** A unary call on bytes. Rejects with an RpcError. */
  rawUnary(path: string, message: Uint8Array, options: CallOptions = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const listener = new UnaryListener(
        (source, start, end) => source.subarray(start, end),
        options,
        resolve,
        reject,
      );
      listener.begin(this.#start(methodInfo(path, "unary"), options, listener), message);
    });
  }

  /** A streaming call on bytes. */
  rawStream(
    path: string,
    listener: ClientCallListener,
    options: CallOptions = {},
  ): ClientCallHandle {
    return this.#start(methodInfo(path, "bidi"), options, listener);
  }

  /** Refuses new calls; those under way may finish within `graceMs`. */
  async close(graceMs = 0): Promise<void> {
    if (this.#state === "SHUTDOWN") return;
    this.#changeState("SHUTDOWN");
    this.#idleTimer?.cancel();
    for (const call of [...this.#pending]) call.finish(Status.CANCELLED, closingText);
    this.#balancer.stop();
    await Promise.all(this.#subchannels.map((subchannel) => subchannel.shutdown(graceMs)));
  }

  /** For calls: the clock of their deadlines. */
  nowMs(): number {
    return this.#clock.now();
  }

  /** For calls: finds a session now or later. */
  place(call: ClientCall): void {
    if (this.#state === "SHUTDOWN") {
      this.#failLater(call, Status.CANCELLED, closingText);
      return;
    }
    const session = this.#balancer.pick();
    if (session !== undefined) {
      call.begin(session);
      return;
    }
    if (this.#balancer.state === "TRANSIENT_FAILURE" && !call.options.waitForReady) {
      this.#failLater(call, Status.UNAVAILABLE, this.#lastError());
      return;
    }
    if (this.#pending.size >= (this.#options.pendingCallsMax ?? 10_000)) {
      this.#failLater(call, Status.RESOURCE_EXHAUSTED, "too many calls wait for a connection");
      return;
    }
    this.#pending.add(call);
    this.#balancer.connect();
    this.#update();
  }

  /** For calls. */
  onFinished(call: ClientCall): void {
    this.#activeCalls--;
    this.#lastUseMs = this.#clock.now();
    this.#pending.delete(call);
  }

  /** For calls: the headers of a request on this session. */
  headersFor(call: ClientCall, session: ClientHttp2Session): HeaderList | PreparedHeaders {
    const common = this.#commonHeaders(call.method.path, session);
    const { metadata, encoding } = call.options;
    const hasDeadline = call.deadlineMs !== Number.POSITIVE_INFINITY;
    if (!hasDeadline && metadata === undefined && encoding !== "gzip") return common;
    const list = common.list.slice();
    if (hasDeadline) list.push("grpc-timeout", formatTimeout(call.deadlineMs - this.#clock.now()));
    if (encoding === "gzip") list.push("grpc-encoding", "gzip");
    metadata?.appendTo(list);
    return list;
  }

  #commonHeaders(path: string, session: ClientHttp2Session): PreparedHeaders {
    const endpoint = session.context as Endpoint;
    const authority = this.#options.authority ?? endpoint.authority;
    const key = `${path} ${authority}`;
    let headers = this.#prepared.get(key);
    if (headers === undefined) {
      headers = prepareHeaders([
        ...[":method", "POST", ":scheme", session.secure ? "https" : "http"],
        ...[":path", path, ":authority", authority],
        ...["content-type", "application/grpc", "te", "trailers"],
        ...["user-agent", this.#options.userAgent ?? "grpc-portal/0.1"],
        ...["grpc-accept-encoding", acceptEncoding],
      ]);
      if (this.#prepared.size < preparedMax) this.#prepared.set(key, headers);
    }
    return headers;
  }

  #startCall(
    method: MethodInfo,
    options: CallOptions,
    listener: ClientCallListener,
  ): ClientCallHandle {
    const nowMs = this.#clock.now();
    const { deadlineMs = Number.POSITIVE_INFINITY, timeoutMs } = options;
    const latestMs = timeoutMs === undefined ? deadlineMs : Math.min(deadlineMs, nowMs + timeoutMs);
    const limits = {
      maxReceiveBytes:
        options.maxReceiveMessageBytes ?? this.#options.maxReceiveMessageBytes ?? 4 * 1024 * 1024,
      maxSendBytes: options.maxSendMessageBytes ?? this.#options.maxSendMessageBytes ?? 0x7fffffff,
    };
    this.#activeCalls++;
    const call = new ClientCall(this, method, options, limits, latestMs, listener);
    call.start();
    return call;
  }

  /** Not at once: the caller does not hold the call yet. */
  #failLater(call: ClientCall, code: StatusCode, message: string): void {
    queueMicrotask(() => call.finish(code, message));
  }

  #onSubchannelChange(subchannel: Subchannel): void {
    if (this.#state === "SHUTDOWN") return;
    this.#balancer.onSubchannelChange(subchannel);
    this.#update();
  }

  /** Acts on what the balancer has come to. */
  #update(): void {
    if (this.#pending.size > 0 && this.#balancer.state === "IDLE") this.#balancer.connect();
    const state = this.#balancer.state;
    if (state !== this.#state) this.#changeState(state);
    if (state !== "READY" && state !== "TRANSIENT_FAILURE") return;
    if (state === "READY") this.#watchIdleness();
    for (const call of [...this.#pending]) {
      const session = this.#balancer.pick();
      if (session !== undefined) {
        this.#pending.delete(call);
        call.begin(session);
      } else if (state === "TRANSIENT_FAILURE" && !call.options.waitForReady) {
        call.finish(Status.UNAVAILABLE, this.#lastError());
      }
    }
  }

  #changeState(state: ChannelState): void {
    this.#state = state;
    this.#options.onStateChange?.(state);
  }

  #watchIdleness(): void {
    if (this.#idleTimer !== undefined) return;
    const idleTimeoutMs = this.#options.idleTimeoutMs ?? 30 * 60 * 1000;
    const check = () => {
      this.#idleTimer = undefined;
      if (this.#state !== "READY") return;
      const idleMs = this.#clock.now() - this.#lastUseMs;
      if (this.#activeCalls > 0 || idleMs < idleTimeoutMs) {
        wait(this.#activeCalls > 0 ? idleTimeoutMs : idleTimeoutMs - idleMs);
        return;
      }
      this.#balancer.stop();
      for (const subchannel of this.#subchannels) subchannel.disconnect(0);
      this.#changeState("IDLE");
    };
    const wait = (delayMs: number) => {
      this.#idleTimer = this.#clock.setTimer(delayMs, check, { unref: true });
    };
    wait(idleTimeoutMs);
  }

  #lastError(): string {
    const errors = this.#subchannels.map((one) => one.lastError).filter((text) => text !== "");
    return errors.at(-1) ?? "connection error";
  }
}

const closingText = "grpc: the client connection is closing";

function methodInfo(path: string, kind: MethodInfo["kind"]): MethodInfo {
  const slash = path.lastIndexOf("/");
  return { path, service: path.slice(1, slash), name: path.slice(slash + 1), kind };
}
