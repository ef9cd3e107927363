// How a channel's connections are made: a socket, TLS when asked for, and HTTP/2 on it. A connection
// counts once the server's SETTINGS have come.

import type { ConnectionOptions } from "node:tls";
import type { Network } from "../../io/network.ts";
import { connect } from "../http2/connect.ts";
import type { ClientHandler, ClientHttp2Session, Http2Options } from "../http2/types.ts";
import type { Connector } from "./subchannel.ts";
import type { Endpoint } from "./target.ts";

export interface ConnectorOptions {
  /** TLS settings; an "https://" target uses TLS without any too, an "http://" target never. */
  readonly tls?: ConnectionOptions | undefined;
  readonly http2Options?: Http2Options;
  /** Buffered output of one call above which its writer should wait. Default 64 KiB. */
  readonly streamHighWaterBytes?: number;
}

export function createConnector(
  options: ConnectorOptions,
  authority: string | undefined,
  network?: Network,
): Connector {
  return async (endpoint, handler, signal) => {
    let onReady: (session: ClientHttp2Session) => void = () => {};
    let onLost: (error: Error) => void = () => {};
    const ready = new Promise<ClientHttp2Session>((resolve, reject) => {
      onReady = resolve;
      onLost = reject;
    });
    ready.catch(() => undefined);
    const wrapped: ClientHandler = {
      onReady: (session) => onReady(session),
      onClose(session, error) {
        onLost(error ?? new Error("connection closed before the server's settings came"));
        handler.onClose?.(session, error);
      },
      onGoAway: (session, code, debug) => handler.onGoAway?.(session, code, debug),
    };
    const session = await connect(
      {
        ...(endpoint.path === undefined
          ? { host: endpoint.host, port: endpoint.port }
          : { path: endpoint.path }),
        tls: tlsFor(endpoint, options, authority),
        signal,
        http2Options: { ...highWater(options.streamHighWaterBytes), ...options.http2Options },
      },
      wrapped,
      network && { network },
    );
    session.context = endpoint;
    const giveUp = () =>
      session.destroy(signal.reason instanceof Error ? signal.reason : undefined);
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await ready;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  };
}

/** Neither empty nor an address. */
function isName(host: string): boolean {
  return host !== "" && !host.includes(":") && !/^[0-9.]+$/.test(host);
}

function highWater(bytes: number | undefined): Http2Options {
  if (bytes === undefined) return {};
  return { streamHighWaterBytes: bytes, streamLowWaterBytes: Math.min(16_384, bytes >> 2) };
}

function tlsFor(
  endpoint: Endpoint,
  options: ConnectorOptions,
  authority: string | undefined,
): ConnectionOptions | undefined {
  if (endpoint.secure === false || (endpoint.secure === undefined && !options.tls))
    return undefined;
  const name = (authority ?? endpoint.host).replace(/:\d+$/, "");
  // A name indication may not be an address; the certificate is checked against the host all the same.
  const servername = isName(name) ? { servername: name } : {};
  return { ...servername, ...options.tls };
}
