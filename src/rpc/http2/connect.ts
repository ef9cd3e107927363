// Opens a client session: connects, with TLS agrees on "h2", and starts HTTP/2.

import type { ConnectionOptions } from "node:tls";
import { type Network, systemNetwork } from "../../io/network.ts";
import { ClientSession } from "./client-session.ts";
import type { SessionHost } from "./session-host.ts";
import type { ClientHandler, Http2Options } from "./types.ts";

export interface ConnectOptions {
  readonly host?: string;
  readonly port?: number;
  /** A unix socket instead of host and port. */
  readonly path?: string;
  readonly tls?: ConnectionOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly http2Options?: Http2Options;
}

export interface ConnectDependencies {
  readonly network?: Network;
  readonly host?: SessionHost;
}

/** Resolves when the connection stands; `handler.onReady` follows with the server's SETTINGS. */
export async function connect(
  options: ConnectOptions,
  handler: ClientHandler,
  dependencies: ConnectDependencies = {},
): Promise<ClientSession> {
  const network = dependencies.network ?? systemNetwork;
  const tls = options.tls && { ALPNProtocols: ["h2"], ...options.tls };
  const connection = await network.connect({ ...options, tls });
  if (tls !== undefined && connection.protocol !== "h2") {
    connection.destroy();
    throw new Error("the server does not agree on h2 by ALPN");
  }
  return new ClientSession(connection, handler, options.http2Options, dependencies.host);
}
