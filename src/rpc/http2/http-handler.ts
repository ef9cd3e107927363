// Plain HTTP beside gRPC: pages such as health and metrics, the same handler for HTTP/1.1 and HTTP/2.
// A request is handed over when its body is complete; bodies are bounded.

import http from "node:http";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { HeaderList, Http2Stream, StreamReceiver } from "./types.ts";

const BODY_BYTES_MAX = 4 << 20;

export interface HttpRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Lower-case names; ":authority" of HTTP/2 is also `host`. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** It came over TLS. */
  readonly secure: boolean;
  readonly remoteAddress: string;
  peerCertificate(): PeerCertificate | undefined;
  /** Aborts when nobody waits for the reply any more. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  /** A whole reply. HEAD requests get the headers only. */
  send(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void;
  /** A reply in pieces: head, write..., end. `write` resolves when the next piece is welcome. */
  head(status: number, headers: Readonly<Record<string, string>>): void;
  write(chunk: Uint8Array): Promise<void>;
  end(): void;
}

/** Answers every request exactly once. A rejection is answered with status 500. */
export type HttpHandler = (request: HttpRequest, reply: HttpReply) => void | Promise<void>;

function answer(handler: HttpHandler, request: HttpRequest, reply: HttpReply): void {
  void (async () => {
    try {
      await handler(request, reply);
    } catch {
      reply.send(500, { "content-type": "text/plain" }, "internal error\n");
    }
  })();
}

/** The receiver of one plain request over HTTP/2; also its reply. */
class Http2Exchange implements StreamReceiver, HttpReply {
  readonly #stream: Http2Stream;
  readonly #headers: HeaderList;
  readonly #handler: HttpHandler;
  readonly #abort = new AbortController();
  readonly #body: Buffer[] = [];
  #bodyBytes = 0;
  #headOnly = false;
  #headSent = false;
  #wakeWriter: (() => void) | undefined = undefined;

  constructor(stream: Http2Stream, headers: HeaderList, handler: HttpHandler) {
    this.#stream = stream;
    this.#headers = headers;
    this.#handler = handler;
  }

  onData(source: Buffer, start: number, end: number, endStream: boolean): void {
    this.#bodyBytes += end - start;
    if (this.#bodyBytes > BODY_BYTES_MAX) {
      if (!this.#headSent) this.send(413, {}, "");
      return;
    }
    if (end > start) this.#body.push(source.subarray(start, end));
    this.#stream.consume(end - start);
    if (endStream) this.begin();
  }

  onTrailers(): void {
    this.begin();
  }

  onReset(_errorCode: number, reason: string): void {
    this.#abort.abort(new Error(reason));
    this.#wake();
  }

  onWritable(): void {
    this.#wake();
  }

  begin(): void {
    const list = this.#headers;
    const headers: Record<string, string> = {};
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i] as string;
      const value = list[i + 1] as string;
      const before = headers[name];
      headers[name] = before === undefined ? value : `${before}, ${value}`;
    }
    headers.host ??= headers[":authority"] ?? "";
    const method = headers[":method"] ?? "";
    this.#headOnly = method === "HEAD";
    const session = this.#stream.session;
    const request: HttpRequest = {
      method,
      path: headers[":path"] ?? "",
      headers,
      body: Buffer.concat(this.#body),
      secure: session.secure,
      remoteAddress: session.remoteAddress,
      peerCertificate: () => session.peerCertificate(),
      signal: this.#abort.signal,
    };
    answer(this.#handler, request, this);
  }

  send(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    if (this.#headSent) return this.#stream.reset(2);
    this.#headSent = true;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const list = headerList(status, headers);
    list.push("content-length", String(bytes.length));
    const empty = this.#headOnly || bytes.length === 0;
    this.#stream.sendHeaders(list, empty);
    if (!empty) this.#stream.sendData(bytes, 0, bytes.length, true);
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#headSent = true;
    this.#stream.sendHeaders(headerList(status, headers), this.#headOnly);
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#stream.sendData(chunk, 0, chunk.length, false);
    if (this.#stream.bufferedBytes <= BODY_BYTES_MAX || this.#stream.writeEnded) return;
    await new Promise<void>((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  end(): void {
    this.#stream.sendData(Buffer.alloc(0), 0, 0, true);
  }

  #wake(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
}

function headerList(status: number, headers: Readonly<Record<string, string>>): string[] {
  const list = [":status", String(status)];
  for (const [name, value] of Object.entries(headers)) list.push(name.toLowerCase(), value);
  return list;
}

/** Takes a request that is not gRPC. */
export function serveHttp2(
  stream: Http2Stream,
  headers: HeaderList,
  endStream: boolean,
  handler: HttpHandler,
): StreamReceiver {
  const exchange = new Http2Exchange(stream, headers, handler);
  if (endStream) exchange.begin();
  return exchange;
}

/** A node:http server without a socket of its own: connections are emitted into it. */
export function makeHttp1Server(handler: HttpHandler): http.Server {
  const server = http.createServer((incoming, response) => {
    void serveHttp1(incoming, response, handler);
  });
  // node starts its watch over idle and slow connections when a server begins to listen.
  server.emit("listening");
  return server;
}

async function serveHttp1(
  incoming: http.IncomingMessage,
  response: http.ServerResponse,
  handler: HttpHandler,
): Promise<void> {
  const abort = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) abort.abort(new Error("connection closed"));
  });
  response.on("error", () => {});
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) {
        response.writeHead(413, { connection: "close" }).end();
        return;
      }
      chunks.push(chunk);
    }
  } catch {
    return;
  }
  const socket = incoming.socket;
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  const secure = "encrypted" in socket && socket.encrypted === true;
  const request: HttpRequest = {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers,
    body: Buffer.concat(chunks),
    secure,
    remoteAddress: `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`,
    peerCertificate: () => (secure ? (socket as TLSSocket).getPeerCertificate() : undefined),
    signal: abort.signal,
  };
  answer(handler, request, new Http1Reply(response));
}

class Http1Reply implements HttpReply {
  readonly #response: http.ServerResponse;

  constructor(response: http.ServerResponse) {
    this.#response = response;
  }

  send(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    if (this.#response.headersSent) return void this.#response.destroy();
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    this.#response.writeHead(status, { ...headers, "content-length": length });
    this.#response.end(body);
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#response.writeHead(status, headers);
  }

  async write(chunk: Uint8Array): Promise<void> {
    const response = this.#response;
    if (response.write(chunk) || response.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off("drain", done);
        response.off("close", done);
        resolve();
      };
      response.on("drain", done);
      response.on("close", done);
    });
  }

  end(): void {
    this.#response.end();
  }
}
