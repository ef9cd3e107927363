// The client: calls to Portal or etcd, grouped by feature. It owns its connections and its two shared
// streams (watches, lease renewals), and closes them.

import { type Clock, systemClock } from "../io/clock.ts";
import type { Bytes } from "./bytes.ts";
import { Caller, type RetryOptions } from "./caller.ts";
import { Cluster } from "./cluster.ts";
import { type Credentials, TokenSource } from "./credentials.ts";
import { toPortalError } from "./errors.ts";
import { connectTransport, type TlsOptions } from "./grpc-transport.ts";
import { Keyspace } from "./keyspace.ts";
import { KeyspaceClient } from "./keyspace-client.ts";
import { Leases } from "./leases.ts";
import { Maintenance } from "./maintenance.ts";
import type { Transport } from "./transport.ts";
import { WatchMultiplexer } from "./watch-multiplexer.ts";

export interface ClientOptions {
  /**
   * `host:port`, `http://host:port`, `https://host:port` or `unix:/path`; tried in turn when one
   * fails. Default: 127.0.0.1:2379.
   */
  readonly endpoints?: string | readonly string[];
  /** Certificates. TLS is used when this is given or an endpoint says https. */
  readonly tls?: TlsOptions;
  readonly auth?: Credentials;
  /** For a call that gives none, retries included. 0 waits for ever. Default 10,000. */
  readonly timeoutMs?: number;
  /** How long to try one endpoint before the next. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Default: 12 attempts, 25 ms to 1,000 ms apart. Writes are repeated only when surely not executed. */
  readonly retry?: Partial<RetryOptions>;
  /** The largest reply that is accepted. Default 256 MiB. */
  readonly maxReceiveMessageBytes?: number;
  /** All keys are seen under this prefix. */
  readonly namespace?: Bytes;
}

/** What a test puts in the place of the world. */
export interface ClientDependencies {
  readonly transport?: Transport;
  readonly clock?: Clock;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

export const DEFAULT_ENDPOINT = "127.0.0.1:2379";

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_RECEIVE_MESSAGE_BYTES = 256 * 1024 * 1024;
const DEFAULT_RETRY: RetryOptions = { attempts: 12, minDelayMs: 25, maxDelayMs: 1_000 };

/**
 * ```ts
 * await using client = new Client({ endpoints: ["127.0.0.1:2379"] });
 * await client.put("greeting", "hello");
 * console.log((await client.get("greeting"))?.text);
 * ```
 *
 * Connects when the first call is made.
 */
export class Client extends KeyspaceClient implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  readonly endpoints: readonly string[];
  readonly #connections: Connections;

  constructor(options: ClientOptions = {}, dependencies: ClientDependencies = {}) {
    const connections = connect(options, dependencies);
    super(new Keyspace(options.namespace), connections);
    this.#connections = connections;
    this.endpoints = connections.endpoints;
    this.cluster = new Cluster(connections.caller);
    this.maintenance = new Maintenance(connections.caller);
  }

  /** Ends watches and lease renewals (the leases live on until they expire), and the connections. */
  async close(): Promise<void> {
    const { caller, multiplexer, leases, transport } = this.#connections;
    if (caller.closed) return;
    caller.close();
    await Promise.all([multiplexer.close(), leases.close()]);
    await transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

interface Connections {
  readonly endpoints: readonly string[];
  readonly transport: Transport;
  readonly caller: Caller;
  readonly multiplexer: WatchMultiplexer;
  readonly leases: Leases;
}

function connect(options: ClientOptions, dependencies: ClientDependencies): Connections {
  const { endpoints: given = DEFAULT_ENDPOINT, auth } = options;
  const endpoints = typeof given === "string" ? [given] : [...given];
  const transport =
    dependencies.transport ??
    connectTransport({
      endpoints,
      tls: options.tls,
      connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      maxReceiveMessageBytes: options.maxReceiveMessageBytes ?? DEFAULT_MAX_RECEIVE_MESSAGE_BYTES,
    });
  const caller = new Caller(
    {
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      retry: { ...DEFAULT_RETRY, ...options.retry },
    },
    {
      transport,
      clock: dependencies.clock ?? systemClock,
      random: dependencies.random ?? Math.random,
      tokens: auth && tokenSource(transport, auth),
    },
  );
  return {
    endpoints,
    transport,
    caller,
    multiplexer: new WatchMultiplexer(caller),
    leases: new Leases(caller, new Keyspace()),
  };
}

function tokenSource(transport: Transport, credentials: Credentials): TokenSource {
  return new TokenSource(async (signal) => {
    try {
      const response = await transport.auth.authenticate(credentials, signal ? { signal } : {});
      return response.token;
    } catch (error) {
      // Whatever call this was for has not been sent.
      throw toPortalError(error, true);
    }
  });
}
