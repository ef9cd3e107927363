// The transport in production: one gRPC channel for all endpoints, which goes on to the next endpoint when
// a connection is lost.

import type { StatusError } from "../base/status.ts";
import { Channel, type ChannelOptions } from "../rpc/grpc/channel.ts";
import { createClient } from "../rpc/grpc/client.ts";
import { RpcError, unsentTrailers } from "../rpc/grpc/rpc-error.ts";
import {
  AuthDefinition,
  ClusterDefinition,
  KVDefinition,
  LeaseDefinition,
  MaintenanceDefinition,
  WatchDefinition,
} from "../wire/generated/rpc.ts";
import { parseEndpoint } from "./endpoint.ts";
import type { Transport } from "./transport.ts";

/** As for node:tls: `ca`, `cert`, `key`, `rejectUnauthorized`, `servername` and the like. */
export type TlsOptions = NonNullable<ChannelOptions["tls"]>;

export interface TransportOptions {
  readonly endpoints: readonly string[];
  readonly tls: TlsOptions | undefined;
  readonly connectTimeoutMs: number;
  readonly maxReceiveMessageBytes: number;
}

/** Below what etcd's servers take for too many pings (one in 5 s), above what a lease of a few seconds can bear. */
const KEEPALIVE = { timeMs: 10_000, timeoutMs: 5_000, permitWithoutStream: false } as const;
const BACKOFF = { initialMs: 50, maxMs: 2_000 } as const;

/** Throws a PortalError (INVALID_ARGUMENT) for an endpoint that can not be used. Connects with the first call. */
export function connectTransport(options: TransportOptions): Transport {
  const endpoints = options.endpoints.map((text) => parseEndpoint(text));
  const isSecure = options.tls !== undefined || endpoints.some((endpoint) => endpoint.secure);
  const channel = new Channel(endpoints.map(channelTarget), {
    ...(isSecure && { tls: options.tls ?? {} }),
    connectTimeoutMs: options.connectTimeoutMs,
    maxReceiveMessageBytes: options.maxReceiveMessageBytes,
    keepalive: KEEPALIVE,
    backoff: BACKOFF,
    userAgent: "portal-client",
  });
  return {
    kv: createClient(KVDefinition, channel),
    watch: createClient(WatchDefinition, channel),
    lease: createClient(LeaseDefinition, channel),
    cluster: createClient(ClusterDefinition, channel),
    maintenance: createClient(MaintenanceDefinition, channel),
    auth: createClient(AuthDefinition, channel),
    wasNotExecuted,
    close: () => channel.close(),
  };
}

function channelTarget(endpoint: ReturnType<typeof parseEndpoint>): string {
  if (endpoint.kind === "unix") return `unix:${endpoint.path}`;
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${host}:${endpoint.port}`;
}

function wasNotExecuted(error: StatusError): boolean {
  return error instanceof RpcError && error.metadata === unsentTrailers;
}
