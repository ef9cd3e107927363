// One address for everything: HTTP/2 (by ALPN, or by its preface on a connection without TLS) and
// HTTP/1.1. gRPC streams go to `onGrpcStream`, all other requests to `httpHandler`.

import type http from "node:http";
import type { Duplex } from "node:stream";
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { type Clock, systemClock } from "../../io/clock.ts";
import {
  type Connection,
  type ConnectionHandler,
  type Network,
  type NetworkListener,
  systemNetwork,
} from "../../io/network.ts";
import { type HttpHandler, makeHttp1Server, serveHttp2 } from "./http-handler.ts";
import { ServerSession } from "./server-session.ts";
import { SessionHost } from "./session-host.ts";
import type {
  HeaderList,
  Http2Options,
  Http2Session,
  Http2Stream,
  ServerHandler,
  SessionEvents,
  StreamReceiver,
} from "./types.ts";

export interface ListenOptions {
  readonly host?: string;
  /** 0 (the default) takes a free one. */
  readonly port?: number;
  /** A unix socket instead of host and port. */
  readonly path?: string;
  /** Also client certificates: `requestCert`, `rejectUnauthorized`, `ca`. ALPN is set here. */
  readonly tls?: TlsOptions | undefined;
  readonly http2Options?: Http2Options;
  /** Requests whose content-type begins with "application/grpc". */
  readonly onGrpcStream?: ServerHandler["onStream"] | undefined;
  /** All others. Without it they get 404. */
  readonly httpHandler?: HttpHandler | undefined;
  /** Every HTTP/2 connection, before its first request. False refuses it. */
  readonly onSession?: (session: Http2Session) => boolean;
  readonly sessionEvents?: SessionEvents;
}

export interface ListenDependencies {
  readonly network?: Network;
  readonly clock?: Clock;
}

export interface Listener {
  /** As bound. */
  readonly address: string;
  readonly port: number;
  readonly sessions: ReadonlySet<Http2Session>;
  /** New certificates for connections to come. */
  setSecureContext(options: SecureContextOptions): void;
  /** Accepts no more, lets requests finish for `graceMs`, cuts the rest. */
  close(graceMs: number): Promise<void>;
}

/** Rejects when the address can not be bound. */
export async function listen(
  options: ListenOptions,
  dependencies: ListenDependencies = {},
): Promise<Listener> {
  const door = new Door(options, dependencies.clock ?? systemClock);
  const tls = options.tls && { ALPNProtocols: ["h2", "http/1.1"], ...options.tls };
  const network = dependencies.network ?? systemNetwork;
  door.listener = await network.listen({ ...options, tls }, (connection) => {
    door.accept(connection);
  });
  return door;
}

const notFound: HttpHandler = (_request, reply) => reply.send(404, {}, "404 page not found\n");

class Door implements Listener, ServerHandler {
  readonly sessions = new Set<Http2Session>();
  listener: NetworkListener | undefined = undefined;
  readonly #options: ListenOptions;
  readonly #host: SessionHost;
  readonly #http1: http.Server;
  readonly #http1Sockets = new Set<Duplex>();
  /** Connections that have not said yet what they speak. */
  readonly #undecided = new Set<Connection>();
  readonly #httpHandler: HttpHandler;
  /** The answer for the last header list: requests usually repeat. */
  #lastHeaders: HeaderList | undefined = undefined;
  #lastIsGrpc = false;
  #closing = false;

  constructor(options: ListenOptions, clock: Clock) {
    this.#options = options;
    this.#host = new SessionHost(clock);
    this.#httpHandler = options.httpHandler ?? notFound;
    this.#http1 = makeHttp1Server(this.#httpHandler);
  }

  get address(): string {
    return this.listener?.address ?? "";
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  setSecureContext(options: SecureContextOptions): void {
    this.listener?.setSecureContext(options);
  }

  accept(connection: Connection): void {
    if (this.#closing) return connection.destroy();
    if (connection.protocol === "h2") {
      this.#startHttp2(connection);
      return;
    }
    if (connection.protocol === "http/1.1") return this.#startHttp1(connection, Buffer.alloc(0));
    this.#undecided.add(connection);
    const timer = this.#host.clock.setTimer(10_000, () => connection.destroy(), { unref: true });
    const decide = (seen: Buffer, protocol: Spoken): void => {
      timer.cancel();
      this.#undecided.delete(connection);
      if (protocol === "http/2") this.#startHttp2(connection)?.onData(seen);
      else if (protocol === "http/1.1") this.#startHttp1(connection, seen);
      else this.#turnAway(connection);
    };
    connection.handler = new Sniffer(decide, () => {
      timer.cancel();
      this.#undecided.delete(connection);
      connection.destroy();
    });
  }

  /** Speaks neither: closed without an answer. */
  #turnAway(connection: Connection): void {
    const destroy = (): void => connection.destroy();
    const timer = this.#host.clock.setTimer(1_000, destroy, { unref: true });
    connection.handler = {
      onData() {},
      onWritable() {},
      onEnd: destroy,
      onClose: () => timer.cancel(),
    };
    connection.end();
  }

  #startHttp2(connection: Connection): ServerSession | undefined {
    const session = new ServerSession(connection, this, this.#options.http2Options, this.#host);
    this.sessions.add(session);
    if (this.#options.onSession?.(session) === false) {
      session.destroy();
      return undefined;
    }
    return session;
  }

  #startHttp1(connection: Connection, seen: Buffer): void {
    const socket = connection.handOver(seen);
    this.#http1Sockets.add(socket);
    socket.once("close", () => this.#http1Sockets.delete(socket));
    socket.on("error", () => {});
    this.#http1.emit("connection", socket);
    // handOver paused it, so that nothing is lost in between.
    socket.resume();
  }

  onStream(stream: Http2Stream, headers: HeaderList, endStream: boolean): StreamReceiver {
    if (headers !== this.#lastHeaders) {
      this.#lastHeaders = headers;
      this.#lastIsGrpc = this.#options.onGrpcStream !== undefined && isGrpc(headers);
    }
    if (this.#lastIsGrpc) {
      const onGrpcStream = this.#options.onGrpcStream as ServerHandler["onStream"];
      return onGrpcStream(stream, headers, endStream);
    }
    return serveHttp2(stream, headers, endStream, this.#httpHandler);
  }

  onPing(session: Http2Session): void {
    this.#options.sessionEvents?.onPing?.(session);
  }

  onClose(session: Http2Session, error: Error | undefined): void {
    this.sessions.delete(session);
    this.#options.sessionEvents?.onClose?.(session, error);
  }

  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    await this.listener?.close();
    for (const connection of this.#undecided) connection.destroy();
    const cut = this.#host.clock.setTimer(graceMs, () => {
      for (const socket of this.#http1Sockets) socket.destroy();
    });
    const http1Done = [...this.#http1Sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
    );
    // Ends idle keep-alive connections, which have nothing to finish, and node's watch over them.
    this.#http1.close();
    this.#http1.closeIdleConnections();
    await Promise.all([
      ...[...this.sessions].map((session) => session.shutdown(graceMs)),
      ...http1Done,
    ]);
    cut.cancel();
  }
}

function isGrpc(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === "content-type") {
      return (headers[i + 1] as string).startsWith("application/grpc");
    }
  }
  return false;
}

type Spoken = "http/2" | "http/1.1" | "unknown";

/** The first four bytes of what we speak. */
const BEGINNINGS: ReadonlyMap<string, Spoken> = new Map([
  ["PRI ", "http/2"],
  ...["GET ", "HEAD", "POST", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC"].map(
    (method): [string, Spoken] => [method, "http/1.1"],
  ),
]);
const BEGINNING_BYTES = 4;

/** Waits for as many bytes as tell what the peer speaks. */
class Sniffer implements ConnectionHandler {
  readonly #decide: (seen: Buffer, protocol: Spoken) => void;
  readonly #gone: () => void;
  #seen: Buffer = Buffer.alloc(0);

  constructor(decide: (seen: Buffer, protocol: Spoken) => void, gone: () => void) {
    this.#decide = decide;
    this.#gone = gone;
  }

  onData(chunk: Buffer): void {
    this.#seen = this.#seen.length === 0 ? chunk : Buffer.concat([this.#seen, chunk]);
    if (this.#seen.length < BEGINNING_BYTES) return;
    const beginning = this.#seen.toString("latin1", 0, BEGINNING_BYTES);
    this.#decide(this.#seen, BEGINNINGS.get(beginning) ?? "unknown");
  }

  onWritable(): void {}

  onEnd(): void {
    this.#gone();
  }

  onClose(): void {
    this.#gone();
  }
}
