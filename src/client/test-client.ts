// For tests: a client over a fake transport, without a network.

import { type Clock, systemClock } from "../io/clock.ts";
import { Caller, type CallerOptions } from "./caller.ts";
import { TokenSource } from "./credentials.ts";
import { Keyspace } from "./keyspace.ts";
import { KeyspaceClient } from "./keyspace-client.ts";
import { Leases } from "./leases.ts";
import type { Transport } from "./transport.ts";
import { WatchMultiplexer } from "./watch-multiplexer.ts";

const QUICK: CallerOptions = {
  timeoutMs: 5_000,
  retry: { attempts: 5, minDelayMs: 1, maxDelayMs: 2 },
};

export function testClient(
  transport: Transport,
  options: { clock?: Clock; namespace?: string; token?: () => Promise<string> } = {},
) {
  const caller = new Caller(QUICK, {
    transport,
    clock: options.clock ?? systemClock,
    random: () => 0.5,
    tokens: options.token && new TokenSource(options.token),
  });
  const multiplexer = new WatchMultiplexer(caller);
  const leases = new Leases(caller, new Keyspace());
  const client = new KeyspaceClient(new Keyspace(options.namespace), {
    caller,
    multiplexer,
    leases,
  });
  const close = async () => {
    caller.close();
    await Promise.all([multiplexer.close(), leases.close()]);
  };
  return { client, caller, close };
}
