// Everything of a client that is about keys, in one namespace: what it reads, writes, leases and watches
// lies under the namespace's prefix, which the caller does not see.

import type { Bytes } from "./bytes.ts";
import type { Caller } from "./caller.ts";
import type { KeySelector } from "./key-range.ts";
import type { KeyValue } from "./key-value.ts";
import type { Keyspace } from "./keyspace.ts";
import { type DeleteOptions, Kv } from "./kv.ts";
import type { Lease } from "./lease.ts";
import type { GrantOptions, Leases } from "./leases.ts";
import type { PutOptions } from "./put-request.ts";
import type { RangeOptions, ReadOptions } from "./range-request.ts";
import type { DeleteResult, PutResult, RangeResult } from "./results.ts";
import type { Txn } from "./txn.ts";
import type { WatchMultiplexer } from "./watch-multiplexer.ts";
import { Watcher, type WatchOptions } from "./watcher.ts";

/** What all namespaces of a client share. */
export interface SharedConnections {
  readonly caller: Caller;
  readonly multiplexer: WatchMultiplexer;
  readonly leases: Leases;
}

export class KeyspaceClient {
  /** All calls about keys; the common ones are also methods of the client. */
  readonly kv: Kv;
  readonly leases: Leases;
  readonly #keyspace: Keyspace;
  readonly #shared: SharedConnections;

  constructor(keyspace: Keyspace, shared: SharedConnections) {
    this.#keyspace = keyspace;
    this.#shared = shared;
    this.kv = new Kv(shared.caller, keyspace);
    this.leases = shared.leases.under(keyspace);
  }

  /** The same client under a further prefix. Close the client, not this. */
  namespace(prefix: Bytes): KeyspaceClient {
    return new KeyspaceClient(this.#keyspace.under(prefix), this.#shared);
  }

  get(key: Bytes, options?: ReadOptions): Promise<KeyValue | undefined> {
    return this.kv.get(key, options);
  }

  getAll(selector: KeySelector, options?: RangeOptions): Promise<RangeResult> {
    return this.kv.getAll(selector, options);
  }

  put(key: Bytes, value: Bytes, options?: PutOptions): Promise<PutResult> {
    return this.kv.put(key, value, options);
  }

  delete(selector: KeySelector, options?: DeleteOptions): Promise<DeleteResult> {
    return this.kv.delete(selector, options);
  }

  txn(): Txn {
    return this.kv.txn();
  }

  /**
   * Watches a key or a range. All watches of a client share one stream.
   *
   * ```ts
   * for await (const event of client.watch({ prefix: "jobs/" })) {
   *   console.log(event.type, event.kv.keyText, event.kv.text);
   * }
   * ```
   */
  watch(selector: KeySelector, options: WatchOptions = {}): Watcher {
    return new Watcher(selector, options, {
      multiplexer: this.#shared.multiplexer,
      keyspace: this.#keyspace,
    });
  }

  /** Asks the server to tell all watches that want `progressNotify` how far they have come. */
  requestWatchProgress(): void {
    this.#shared.multiplexer.requestProgress();
  }

  /** A new lease that is kept alive: short for `leases.grant`. */
  lease(ttlSeconds: number, options?: GrantOptions): Promise<Lease> {
    return this.leases.grant(ttlSeconds, options);
  }
}
