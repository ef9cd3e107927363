// The gRPC server: which methods there are, and the way from a stream of HTTP/2 to a handler. It
// knows no service but what is registered. The hot path costs one look at the header list's identity
// and one object per call.

import { AssertionError } from "../../base/assert.ts";
import { Status } from "../../base/status.ts";
import { type Clock, systemClock } from "../../io/clock.ts";
import type { Network } from "../../io/network.ts";
import type { HttpHandler } from "../http2/http-handler.ts";
import { type Listener, type ListenOptions, listen } from "../http2/listener.ts";
import type {
  HeaderList,
  Http2Options,
  Http2Session,
  Http2Stream,
  SessionEvents,
  StreamReceiver,
} from "../http2/types.ts";
import { acceptEncoding } from "./compression.ts";
import { DeadlineWheel } from "./deadline-wheel.ts";
import { Keepalive, type KeepaliveOptions, PingEnforcement, type PingPolicy } from "./keepalive.ts";
import { ByteBudget } from "./message-reader.ts";
import {
  type CallHead,
  type MethodStats,
  MethodTable,
  type RegisteredMethod,
} from "./method-table.ts";
import { statusOfError } from "./rpc-error.ts";
import type { ServerCallBase, ServerCore } from "./server-call.ts";
import { ServerStreamCall } from "./server-stream-call.ts";
import { ServerUnaryCall } from "./server-unary-call.ts";
import { encodeStatusMessage } from "./status-text.ts";
import { kindOf, typedStream, typedUnary, unimplementedHandler } from "./typed-service.ts";
import type {
  AnyHandler,
  MethodInfo,
  MethodKind,
  RawStreamOpener,
  RawUnaryHandler,
  ServerInterceptor,
  ServiceDefinition,
  ServiceHandlers,
} from "./types.ts";

export interface GrpcServerOptions {
  /** Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number;
  /** Default 2 GiB - 1. */
  readonly maxSendMessageBytes?: number;
  /** What partly received messages of all calls may hold together. Default 256 MiB. */
  readonly partialMessageBytesMax?: number;
  /** Buffered output of one stream above which `write` returns false. Default 64 KiB. */
  readonly streamHighWaterBytes?: number;
  readonly interceptors?: readonly ServerInterceptor[];
  /** Pings to silent clients. Default: after two hours of silence, 20 s for the answer. */
  readonly keepalive?: KeepaliveOptions;
  /** What clients may ping. Default: every five minutes, and only with open streams. */
  readonly pingPolicy?: PingPolicy;
  /** Told of exceptions out of handlers that are no StatusError. Default: failed assertions end the process. */
  readonly onHandlerError?: (error: unknown, method: MethodInfo) => void;
}

export interface GrpcServerDependencies {
  readonly clock?: Clock;
  readonly network?: Network;
}

export type GrpcListenOptions = Omit<ListenOptions, "onGrpcStream" | "sessionEvents">;

/** What the server keeps with each connection. */
interface ConnectionState {
  readonly enforcement: PingEnforcement;
  readonly keepalive: Keepalive;
}

export class GrpcServer {
  readonly #methods = new MethodTable();
  readonly #services = new Set<string>();
  readonly #core: ServerCore;
  readonly #interceptors: readonly ServerInterceptor[];
  readonly #beginners: readonly ServerInterceptor[];
  readonly #options: GrpcServerOptions;
  readonly #dependencies: GrpcServerDependencies;
  readonly #listeners = new Set<Listener>();
  /** The head of the last request: the next one usually has the same list. */
  #lastHead: CallHead | undefined;

  constructor(options: GrpcServerOptions = {}, dependencies: GrpcServerDependencies = {}) {
    const clock = dependencies.clock ?? systemClock;
    this.#options = options;
    this.#dependencies = dependencies;
    this.#core = {
      clock,
      deadlines: new DeadlineWheel(clock),
      budget: new ByteBudget(options.partialMessageBytesMax ?? 256 * 1024 * 1024),
      maxReceiveMessageBytes: options.maxReceiveMessageBytes ?? 4 * 1024 * 1024,
      maxSendMessageBytes: options.maxSendMessageBytes ?? 0x7fffffff,
      streamHighWaterBytes: options.streamHighWaterBytes ?? 65_536,
      peers: new WeakMap(),
      onHandlerError: options.onHandlerError ?? dieOfFailedAssertion,
    };
    this.#interceptors = options.interceptors ?? [];
    this.#beginners = this.#interceptors.filter((interceptor) => interceptor.begin !== undefined);
  }

  /** Registers a service with typed handlers; methods without one answer UNIMPLEMENTED. */
  addService<Service extends ServiceDefinition>(
    service: Service,
    handlers: ServiceHandlers<Service>,
  ): void {
    if (this.#services.has(service.fullName)) {
      throw new Error(`Cannot register service ${service.fullName}: it is registered`);
    }
    this.#services.add(service.fullName);
    const byName = handlers as Record<string, AnyHandler | undefined>;
    for (const [key, method] of Object.entries(service.methods)) {
      const path = `/${service.fullName}/${method.name}`;
      // A method that was registered raw keeps its raw handler.
      if (byName[key] === undefined && this.#methods.get(path) !== undefined) continue;
      const kind = kindOf(method);
      const info = { path, service: service.fullName, name: method.name, kind };
      let handler = byName[key]?.bind(handlers) ?? unimplementedHandler(info);
      for (const interceptor of this.#interceptors.toReversed()) {
        handler = interceptor.wrap?.(info, handler) ?? handler;
      }
      const endWithError = (call: unknown, error: unknown) =>
        this.#endWithError(call as ServerCallBase, error);
      if (kind === "unary") {
        this.#methods.add(path, kind, typedUnary(method, handler, endWithError), undefined);
      } else {
        this.#methods.add(path, kind, undefined, typedStream(method, handler, endWithError));
      }
    }
  }

  /** Registers a unary method on bytes. The handler may keep the message. */
  addRawUnary(path: string, handler: RawUnaryHandler): void {
    this.#methods.add(path, "unary", handler, undefined);
  }

  /** Registers a streaming method on bytes. With "server-stream" the one request comes at half close. */
  addRawStream(
    path: string,
    opener: RawStreamOpener,
    kind: Exclude<MethodKind, "unary"> = "bidi",
  ): void {
    this.#methods.add(path, kind, undefined, opener);
  }

  /** Every registered method with its counters. */
  *methodStats(): IterableIterator<{ readonly method: MethodInfo; readonly stats: MethodStats }> {
    for (const method of this.#methods.values()) yield { method, stats: method.stats };
  }

  /** Serves on one more address. */
  async listen(options: GrpcListenOptions): Promise<Listener> {
    const listener = await listen(
      {
        httpHandler: refuseHttp,
        ...options,
        http2Options: withHighWater(options.http2Options, this.#core.streamHighWaterBytes),
        onGrpcStream: this.onStream,
        sessionEvents: this.sessionEvents,
        onSession: (session) => {
          if (options.onSession?.(session) === false) return false;
          this.onSession(session);
          return true;
        },
      },
      this.#dependencies,
    );
    this.#listeners.add(listener);
    return listener;
  }

  /** Closes every address: no new calls, `graceMs` for those under way. */
  async shutdown(graceMs: number): Promise<void> {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    await Promise.all(listeners.map((listener) => listener.close(graceMs)));
  }

  /** Watches over a new connection. For sessions that `listen` did not make. */
  onSession(session: Http2Session): void {
    const keepalive = this.#options.keepalive ?? defaultKeepalive;
    const state: ConnectionState = {
      enforcement: new PingEnforcement(this.#options.pingPolicy ?? defaultPingPolicy),
      keepalive: new Keepalive(session, keepalive, this.#core.clock),
    };
    session.context = state;
  }

  readonly sessionEvents: SessionEvents = {
    onPing: (session) => {
      const state = session.context as ConnectionState | undefined;
      state?.enforcement.onPing(session, this.#core.clock.now());
    },
    onClose: (session) => {
      (session.context as ConnectionState | undefined)?.keepalive.stop();
    },
  };

  /** Takes a request of a session. */
  readonly onStream = (
    stream: Http2Stream,
    headers: HeaderList,
    endStream: boolean,
  ): StreamReceiver => {
    let head = this.#lastHead;
    if (head === undefined || head.headers !== headers) {
      head = this.#methods.readHead(headers);
      this.#lastHead = head;
    }
    if (head.failure !== undefined) return refuse(stream, head);
    const method = head.method as RegisteredMethod;
    if (method.unary !== undefined) {
      const call = new ServerUnaryCall(this.#core, stream, head);
      if (this.#beginners.length > 0) this.#begin(call);
      if (endStream) call.onNoInput();
      return call;
    }
    const call = new ServerStreamCall(this.#core, stream, head);
    if (this.#beginners.length > 0) this.#begin(call);
    if (call.isOpen) call.open();
    if (endStream) call.onNoInput();
    return call;
  };

  #begin(call: ServerUnaryCall | ServerStreamCall): void {
    for (const interceptor of this.#beginners) {
      try {
        const observer = interceptor.begin?.(call);
        if (observer !== undefined) call.observe(observer);
      } catch (error) {
        this.#endWithError(call, error);
      }
      if (!call.isOpen) return;
    }
  }

  #endWithError(call: ServerCallBase, error: unknown): void {
    const status = statusOfError(error);
    if (status.unexpected) this.#core.onHandlerError(error, call.method);
    call.failCall(status.code, status.message, status.metadata);
  }
}

const defaultKeepalive: KeepaliveOptions = {
  timeMs: 2 * 60 * 60 * 1000,
  timeoutMs: 20_000,
  permitWithoutStream: true,
};

const defaultPingPolicy: PingPolicy = { minTimeMs: 5 * 60 * 1000, permitWithoutStream: false };

/** The mark above which `write` says to wait must be the one below which the session tells to go on. */
function withHighWater(options: Http2Options | undefined, highWaterBytes: number): Http2Options {
  const streamLowWaterBytes = Math.min(16_384, highWaterBytes >> 2);
  return { streamLowWaterBytes, ...options, streamHighWaterBytes: highWaterBytes };
}

/** For servers that serve nothing but gRPC. */
const refuseHttp: HttpHandler = (_request, reply) => {
  reply.send(415, { "content-type": "text/plain" }, "this is a gRPC server\n");
};

/** Answers a request that has no call. */
function refuse(stream: Http2Stream, head: CallHead): StreamReceiver {
  const failure = head.failure as NonNullable<CallHead["failure"]>;
  if (failure.httpStatus === 200) {
    const list = [":status", "200", "content-type", "application/grpc"];
    list.push("grpc-status", String(failure.code));
    list.push("grpc-message", encodeStatusMessage(failure.message));
    if (failure.code === Status.UNIMPLEMENTED) list.push("grpc-accept-encoding", acceptEncoding);
    stream.sendHeaders(list, true);
  } else {
    const status = String(failure.httpStatus);
    const list = [":status", status, "content-type", "application/grpc"];
    list.push("grpc-status", String(failure.code));
    list.push("grpc-message", encodeStatusMessage(failure.message));
    stream.sendHeaders(list, true);
  }
  return discard(stream);
}

/** Drops what still comes for a stream that has its answer. */
function discard(stream: Http2Stream): StreamReceiver {
  return {
    onData(_source, start, end) {
      stream.consume(end - start);
    },
    onTrailers() {},
    onReset() {},
    onWritable() {},
  };
}

function dieOfFailedAssertion(error: unknown): void {
  if (!(error instanceof AssertionError)) return;
  process.nextTick(() => {
    throw error;
  });
}
