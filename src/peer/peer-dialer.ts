// Opens requests to peers over HTTP/1.1, with and without TLS. Connections that finished a request are kept
// for a few seconds, shorter than a peer keeps them. A connection that is not made in time fails.

import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Clock } from "../io/clock.ts";
import type { PeerAddress } from "./peer-url.ts";

/** A peer closes idle connections after 5 s. */
const idleConnectionMs = 4500;
const idleConnectionsMax = 8;

/** How to dial https and unixs addresses: certificate, key, `ca`, and what else TLS takes. */
export type PeerDialTls = ConnectionOptions;

export interface PeerRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export class PeerDialer {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #plain = new http.Agent({
    keepAlive: true,
    timeout: idleConnectionMs,
    maxFreeSockets: idleConnectionsMax,
  });
  #secure: https.Agent;

  constructor(clock: Clock, timeoutMs: number, tls: PeerDialTls | undefined) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#secure = secureAgent(tls);
  }

  /** From now on new connections use these certificates. */
  setTls(tls: PeerDialTls | undefined): void {
    const old = this.#secure;
    this.#secure = secureAgent(tls);
    dropIdle(old);
  }

  /** Failures come as the request's "error" event. */
  open(address: PeerAddress, request: PeerRequest): http.ClientRequest {
    const { host, port, socketPath, secure } = address;
    const place = socketPath === undefined ? { host, port } : { socketPath };
    // As the URL names it: its certificate must carry this name, too.
    const headers = { Host: hostOf(address.url), ...request.headers };
    const options = { ...place, ...request, headers };
    const made = secure
      ? https.request({ ...options, agent: this.#secure })
      : http.request({ ...options, agent: this.#plain });
    made.setNoDelay(true);
    made.once("socket", (socket) => this.#limitConnecting(made, socket, secure));
    return made;
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }

  #limitConnecting(request: http.ClientRequest, socket: Socket, secure: boolean): void {
    if (request.reusedSocket) return;
    const timer = this.#clock.setTimer(
      this.#timeoutMs,
      () => request.destroy(new Error(`no connection within ${this.#timeoutMs} ms`)),
      { unref: true },
    );
    const done = (): void => timer.cancel();
    socket.once(secure ? "secureConnect" : "connect", done);
    socket.once("close", done);
  }
}

function hostOf(url: string): string {
  return /^\w+:\/\/([^/]+)/.exec(url)?.[1] ?? "localhost";
}

function secureAgent(tls: PeerDialTls | undefined): https.Agent {
  return new https.Agent({
    ...tls,
    keepAlive: true,
    timeout: idleConnectionMs,
    maxFreeSockets: idleConnectionsMax,
  });
}

function dropIdle(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy();
  }
}
