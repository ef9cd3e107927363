// Byte connections as an input: TCP, TLS and unix sockets behind one small interface, so that the
// protocols above can run on an in-memory pair in tests and in the simulator. One write is under way
// at a time; nothing is queued here, so the owner's bound is the bound.

import net from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";

/** What a connection tells its owner. Calls never come from inside a call to the connection. */
export interface ConnectionHandler {
  /** Bytes that came. The chunk is never overwritten. */
  onData(chunk: Buffer): void;
  /** The write that returned false is done. */
  onWritable(): void;
  /** The peer will send no more. */
  onEnd(): void;
  /** Once, at last. `error` is undefined after an orderly end. */
  onClose(error: Error | undefined): void;
}

export interface Connection {
  handler: ConnectionHandler;
  /** "address:port", "[address]:port", or "unix:". */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** What ALPN chose; "" without TLS or without agreement. */
  readonly protocol: string;
  readonly secure: boolean;
  /** The peer's certificate; undefined without TLS or when it showed none. */
  peerCertificate(): tls.PeerCertificate | undefined;
  /**
   * Hands bytes to the operating system. True: all taken, the buffer is the caller's again. False: the
   * buffer is in use, and no other write is allowed, until onWritable.
   */
  write(bytes: Uint8Array): boolean;
  /** No onData until resume. */
  pause(): void;
  resume(): void;
  /** Sends what is under way, then FIN. */
  end(): void;
  /** Closes at once. */
  destroy(error?: Error): void;
  /** Gives the connection away as a Node stream, with `seen` put back in front. The handler hears nothing more. */
  handOver(seen: Buffer): Duplex;
}

export interface NetworkAddress {
  readonly host?: string;
  readonly port?: number;
  /** A unix socket instead of host and port. */
  readonly path?: string;
}

export interface NetworkListenOptions extends NetworkAddress {
  readonly backlog?: number;
  /** TLS; also client certificates (`requestCert`, `rejectUnauthorized`, `ca`) and `ALPNProtocols`. */
  readonly tls?: tls.TlsOptions | undefined;
}

export interface NetworkConnectOptions extends NetworkAddress {
  readonly tls?: tls.ConnectionOptions | undefined;
  /** Gives up when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

export interface NetworkListener {
  /** "address:port", "[address]:port" or "unix:path" as bound. */
  readonly address: string;
  /** The bound port; 0 for a unix socket. */
  readonly port: number;
  /** New certificates for connections to come. Only with TLS. */
  setSecureContext(options: tls.SecureContextOptions): void;
  /** Accepts no more. Connections stay. */
  close(): Promise<void>;
}

export interface Network {
  /** Rejects when the address can not be bound. `onConnection` must set the connection's handler at once. */
  listen(
    options: NetworkListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<NetworkListener>;
  /** Resolves when connected (and, with TLS, verified). */
  connect(options: NetworkConnectOptions): Promise<Connection>;
}

const BACKLOG = 4_096;
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;

/** The machine's network. */
export const systemNetwork: Network = {
  listen(options, onConnection) {
    const serverOptions = { noDelay: true, allowHalfOpen: true };
    const secure = options.tls !== undefined;
    const server = secure
      ? tls.createServer({
          handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
          ...serverOptions,
          ...options.tls,
        })
      : net.createServer(serverOptions);
    server.on(secure ? "secureConnection" : "connection", (socket: net.Socket) => {
      onConnection(new SocketConnection(socket));
    });
    // A failed handshake is the client's affair; the socket is closed by node:tls.
    server.on("tlsClientError", (_error: Error, socket: tls.TLSSocket) => socket.destroy());
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      const backlog = options.backlog ?? BACKLOG;
      const target =
        options.path !== undefined
          ? { path: options.path, backlog }
          : { host: options.host ?? "127.0.0.1", port: options.port ?? 0, backlog };
      server.listen(target, () => {
        server.off("error", reject);
        // Errors of accept (out of file descriptors) must not end the process.
        server.on("error", () => {});
        resolve(new SocketListener(server, options.path));
      });
    });
  },

  connect(options) {
    const target =
      options.path !== undefined
        ? { path: options.path }
        : { host: options.host ?? "127.0.0.1", port: options.port ?? 0, noDelay: true };
    const socket =
      options.tls !== undefined
        ? tls.connect({ ...target, ...options.tls } as tls.ConnectionOptions)
        : net.connect({ ...target, allowHalfOpen: true });
    const event = options.tls !== undefined ? "secureConnect" : "connect";
    const signal = options.signal;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        signal?.removeEventListener("abort", abort);
        socket.on("error", () => {});
        socket.destroy();
        reject(error);
      };
      const abort = (): void => {
        const reason: unknown = signal?.reason;
        fail(reason instanceof Error ? reason : new Error("connecting was given up"));
      };
      const closed = (): void => fail(new Error("connection closed while connecting"));
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      socket.once("error", fail);
      socket.once("close", closed);
      socket.once(event, () => {
        signal?.removeEventListener("abort", abort);
        socket.off("error", fail);
        socket.off("close", closed);
        resolve(new SocketConnection(socket));
      });
    });
  },
};

class SocketListener implements NetworkListener {
  readonly address: string;
  readonly port: number;
  readonly #server: net.Server | tls.Server;

  constructor(server: net.Server | tls.Server, path: string | undefined) {
    this.#server = server;
    const bound = server.address();
    const isTcp = bound !== null && typeof bound === "object";
    this.port = isTcp ? bound.port : 0;
    this.address = isTcp ? formatAddress(bound.address, bound.port) : `unix:${path ?? ""}`;
  }

  setSecureContext(options: tls.SecureContextOptions): void {
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(options);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      // Resolves at once: node calls back only when the connections are gone, which are not ours.
      this.#server.close();
      resolve();
    });
  }
}

const deafHandler: ConnectionHandler = {
  onData() {},
  onWritable() {},
  onEnd() {},
  onClose() {},
};

class SocketConnection implements Connection {
  handler: ConnectionHandler = deafHandler;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly protocol: string;
  readonly secure: boolean;
  readonly #socket: net.Socket;
  #waiting = false;
  #ended = false;
  #error: Error | undefined = undefined;
  #handedOver = false;
  readonly #onWritten = (): void => {
    if (!this.#waiting || this.#socket.writableLength > 0) return;
    this.#waiting = false;
    this.handler.onWritable();
  };

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.remoteAddress = formatAddress(socket.remoteAddress, socket.remotePort);
    this.localAddress = formatAddress(socket.localAddress, socket.localPort);
    this.secure = socket instanceof tls.TLSSocket;
    this.protocol = socket instanceof tls.TLSSocket ? socket.alpnProtocol || "" : "";
    socket.on("data", (chunk: Buffer) => {
      if (!this.#handedOver) this.handler.onData(chunk);
    });
    socket.on("end", () => {
      if (!this.#handedOver) this.handler.onEnd();
    });
    socket.on("error", (error: Error) => {
      this.#error ??= error;
    });
    socket.on("close", () => {
      if (!this.#handedOver) this.handler.onClose(this.#error);
    });
  }

  peerCertificate(): tls.PeerCertificate | undefined {
    if (!(this.#socket instanceof tls.TLSSocket)) return undefined;
    const certificate = this.#socket.getPeerCertificate();
    return certificate && Object.keys(certificate).length > 0 ? certificate : undefined;
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (this.#ended || socket.destroyed) return true;
    // node writes at once when it can; nothing is left in its queue then.
    socket.write(bytes, this.#onWritten);
    if (socket.writableLength === 0) return true;
    this.#waiting = true;
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#ended = true;
    this.#socket.end();
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  handOver(seen: Buffer): Duplex {
    const socket = this.#socket;
    this.#handedOver = true;
    socket.removeAllListeners("data");
    socket.removeAllListeners("end");
    socket.pause();
    if (seen.length > 0) socket.unshift(seen);
    return socket;
  }
}

function formatAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return "unix:";
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
