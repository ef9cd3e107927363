// One address on which peers reach this member: HTTP/1.1 with or without (mutual) TLS. Requests under /raft go to the
// PeerServer, all others to a page. Certificates and the names they must carry can be changed while it
// runs; connections keep what they began with.

import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { PeerCertificate, TLSSocket, TlsOptions } from "node:tls";
import type { Logger } from "../base/log.ts";
import type { PeerServer } from "./peer-server.ts";

const bodyBytesMax = 4 << 20;
const connectionsMax = 1024;
const handshakeMs = 10_000;
/** Of a page's request: nothing comes for so long. */
const bodySilenceMs = 5000;

/** What other pages of a member see of a request. */
export interface PeerPageRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  readonly secure: boolean;
}

export interface PeerPageReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** A rejection is answered with status 500. */
export type PeerPage = (request: PeerPageRequest) => PeerPageReply | Promise<PeerPageReply>;

export interface PeerListenTls {
  /** Certificate and key; for mutual TLS also `requestCert`, `rejectUnauthorized`, `ca`, `crl`. */
  readonly options: TlsOptions;
  /** Whether a peer with this verified certificate may connect; all may when it is left out. */
  readonly admits?: (
    certificate: PeerCertificate | undefined,
    remoteAddress: string,
  ) => boolean | Promise<boolean>;
}

export interface PeerListenOptions {
  /** Host and port (0 takes a free one), or the path of a unix socket. */
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly tls?: PeerListenTls | undefined;
  /** Undefined until there is a member: pages are answered already. */
  readonly server: PeerServer | undefined;
  readonly page?: PeerPage;
  readonly log: Logger;
}

export class PeerListener {
  /** May be set later: until then requests under /raft get status 503. */
  server: PeerServer | undefined;
  readonly #http: http.Server | https.Server;
  readonly #page: PeerPage;
  readonly #log: Logger;
  /**
   * Connections about which names are being looked up, and those that were rejected: what they sent with the
   * handshake is a request all the same.
   */
  readonly #undecided = new WeakMap<Socket, Promise<boolean>>();
  /** All of them, also those whose handshake is under way, which the server does not count as connections. */
  readonly #sockets = new Set<Socket>();
  #tls: PeerListenTls | undefined;

  private constructor(options: PeerListenOptions) {
    this.server = options.server;
    this.#page = options.page ?? noPage;
    this.#log = options.log.named("peer/listener");
    this.#tls = options.tls;
    const timing: http.ServerOptions = {
      requestTimeout: 0, // a snapshot may take long; silence is what ends it
      headersTimeout: handshakeMs,
      connectionsCheckingInterval: handshakeMs / 2,
      keepAlive: true,
      noDelay: true,
    };
    const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
      this.#onRequest(request, response);
    this.#http =
      options.tls === undefined
        ? http.createServer(timing, onRequest)
        : https.createServer(
            { ...options.tls.options, ...timing, handshakeTimeout: handshakeMs },
            onRequest,
          );
    this.#http.maxConnections = connectionsMax;
    this.#http.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#http.on("secureConnection", (socket: TLSSocket) => this.#admit(socket));
    this.#http.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      this.#log.warn("rejected connection on peer endpoint", {
        remote: socket.remoteAddress,
        error,
      });
    });
  }

  /** Rejects when the address can not be bound. */
  static async open(options: PeerListenOptions): Promise<PeerListener> {
    const listener = new PeerListener(options);
    await new Promise<void>((resolve, reject) => {
      const { host, port = 0, path } = options;
      const place = path === undefined ? { port, ...(host ? { host } : {}) } : { path };
      listener.#http.once("error", reject);
      listener.#http.listen(place, () => {
        listener.#http.off("error", reject);
        listener.#http.on("error", (error) => {
          listener.#log.error("peer listener failed", { error });
        });
        resolve();
      });
    });
    return listener;
  }

  /** The port as bound; 0 for a unix socket. */
  get port(): number {
    const address = this.#http.address() as AddressInfo | string | null;
    return address === null || typeof address === "string" ? 0 : address.port;
  }

  /** New certificates and names, for connections to come. Only for a listener that began with TLS. */
  setTls(tls: PeerListenTls): void {
    this.#tls = tls;
    if (this.#http instanceof https.Server) this.#http.setSecureContext(tls.options);
  }

  /** Accepts no more and cuts all connections: streams between members have no end of their own. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #admit(socket: TLSSocket): void {
    const admits = this.#tls?.admits;
    if (admits === undefined) return;
    const certificate = socket.getPeerCertificate();
    const shown = Object.keys(certificate).length > 0 ? certificate : undefined;
    const answer = admits(shown, socket.remoteAddress ?? "");
    if (answer === true) return;
    const decision = Promise.resolve(answer)
      .catch(() => false)
      .then((isAdmitted) => {
        if (isAdmitted) this.#undecided.delete(socket);
        else this.#reject(socket, shown);
        return isAdmitted;
      });
    this.#undecided.set(socket, decision);
  }

  #reject(socket: TLSSocket, shown: PeerCertificate | undefined): void {
    this.#log.warn("rejected connection on peer endpoint: the certificate is not an allowed one", {
      remote: socket.remoteAddress,
      subject: shown?.subject?.CN,
    });
    socket.destroy();
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const undecided = this.#undecided.get(request.socket);
    if (undecided === undefined) return this.#handle(request, response);
    void undecided.then((isAdmitted) => {
      if (isAdmitted) this.#handle(request, response);
    });
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const isRaft = request.url === "/raft" || request.url?.startsWith("/raft/");
    if (isRaft && this.server === undefined) {
      response.writeHead(503, { "Content-Type": "text/plain" }).end("the member is starting\n");
    } else if (this.server?.handle(request, response) !== true) {
      void this.#answer(request, response);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined);
    const body = await readBody(request);
    const reply =
      body === undefined
        ? { status: 413, headers: {}, body: "" }
        : await this.#reply(request, body).catch((error: unknown) => {
            this.#log.warn("a page for peers failed", { path: request.url, error });
            return { status: 500, headers: {}, body: "Internal Server Error\n" };
          });
    if (response.destroyed) return;
    if (body === undefined) response.setHeader("Connection", "close");
    response.writeHead(reply.status, reply.headers).end(reply.body);
  }

  async #reply(request: IncomingMessage, body: Buffer): Promise<PeerPageReply> {
    const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
    return this.#page({
      method: request.method ?? "GET",
      path,
      query: new URLSearchParams(query),
      headers: request.headers as Readonly<Record<string, string | undefined>>,
      body,
      secure: this.#tls !== undefined,
    });
  }
}

const noPage: PeerPage = () => ({
  status: 404,
  headers: { "Content-Type": "text/plain; charset=utf-8" },
  body: "404 page not found\n",
});

/** Undefined when it is too long, too slow or was cut off. */
function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    request.setTimeout(bodySilenceMs, () => request.destroy());
    request.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes <= bodyBytesMax) parts.push(part);
      else resolve(undefined);
    });
    request.on("error", () => undefined);
    request.once("end", () => {
      request.setTimeout(0);
      resolve(Buffer.concat(parts));
    });
    request.once("close", () => resolve(undefined));
  });
}
