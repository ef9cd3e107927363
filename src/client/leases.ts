// The lease calls.

import { Status } from "../base/status.ts";
import { EtcdErrors } from "../wire/errors.ts";
import type { Caller, CallOptions } from "./caller.ts";
import { PortalError } from "./errors.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { Keyspace } from "./keyspace.ts";
import { Lease, type LeaseRenewal, renewal } from "./lease.ts";
import { headerOf, type ResponseHeader } from "./results.ts";

export interface GrantOptions extends CallOptions {
  /** Default: the server chooses one. */
  readonly id?: bigint;
  /** Renew in the background. Default true. */
  readonly keepAlive?: boolean;
  readonly onRenewed?: (renewal: LeaseRenewal) => void;
}

export interface LeaseTimeToLive {
  readonly header: ResponseHeader;
  readonly id: bigint;
  /** What is left; -1 when there is no such lease. */
  readonly ttlSeconds: number;
  readonly grantedTtlSeconds: number;
  /** Attached keys; only with `keys`. */
  readonly keys: readonly Uint8Array[];
}

export interface LeaseList {
  readonly header: ResponseHeader;
  readonly ids: readonly bigint[];
}

export class Leases {
  readonly #caller: Caller;
  readonly #keyspace: Keyspace;
  readonly #keepAlive: KeepAlive;

  constructor(caller: Caller, keyspace: Keyspace, keepAlive: KeepAlive = new KeepAlive(caller)) {
    this.#caller = caller;
    this.#keyspace = keyspace;
    this.#keepAlive = keepAlive;
  }

  /** The same leases, seen from another namespace. */
  under(keyspace: Keyspace): Leases {
    return new Leases(this.#caller, keyspace, this.#keepAlive);
  }

  /** A new lease, kept alive until it is released, revoked or lost. */
  async grant(ttlSeconds: number, options: GrantOptions = {}): Promise<Lease> {
    const { clock, transport } = this.#caller;
    const startedMs = clock.now();
    const response = await this.#caller.unary(
      (rpc) => transport.lease.leaseGrant({ TTL: ttlSeconds, ID: options.id ?? 0n }, rpc),
      "write",
      options,
    );
    if (response.error !== "") throw new PortalError(Status.UNKNOWN, response.error);
    const grant = {
      id: response.ID,
      grantedTtlSeconds: response.TTL,
      header: headerOf(response),
    };
    return this.#hold(grant, clock.now() - startedMs, options);
  }

  /** Takes over a lease that exists, and keeps it alive. Rejects with "leaseNotFound" when it does not. */
  async keepAlive(
    id: bigint,
    options: CallOptions & Pick<GrantOptions, "onRenewed"> = {},
  ): Promise<Lease> {
    const startedMs = this.#caller.clock.now();
    const first = await this.keepAliveOnce(id, options);
    options.onRenewed?.(first);
    const grant = { id, grantedTtlSeconds: first.ttlSeconds, header: first.header };
    return this.#hold(grant, this.#caller.clock.now() - startedMs, options);
  }

  /** Renews once. Rejects with "leaseNotFound" when there is no such lease. */
  async keepAliveOnce(id: bigint, options: CallOptions = {}): Promise<LeaseRenewal> {
    const response = await this.#caller.unary(
      async (rpc) => {
        const stream = this.#caller.transport.lease.leaseKeepAlive(rpc);
        stream.write({ ID: id }).catch(() => {}); // The loop below rejects as well.
        for await (const answer of stream) return answer;
        throw new PortalError(Status.UNAVAILABLE, "Keep-alive stream ended without an answer");
      },
      "read", // Renewing twice does no harm.
      options,
    );
    if (response.TTL <= 0) {
      throw new PortalError(EtcdErrors.leaseNotFound.code, EtcdErrors.leaseNotFound.message);
    }
    return renewal(response, headerOf(response));
  }

  async revoke(id: bigint, options: CallOptions = {}): Promise<ResponseHeader> {
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.lease.leaseRevoke({ ID: id }, rpc),
      "write",
      options,
    );
    return headerOf(response);
  }

  async timeToLive(
    id: bigint,
    options: CallOptions & { readonly keys?: boolean } = {},
  ): Promise<LeaseTimeToLive> {
    const request = { ID: id, keys: options.keys ?? false };
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.lease.leaseTimeToLive(request, rpc),
      "read",
      options,
    );
    return {
      header: headerOf(response),
      id: response.ID,
      ttlSeconds: response.TTL,
      grantedTtlSeconds: response.grantedTTL,
      keys: this.#keyspace.strip(response.keys),
    };
  }

  async list(options: CallOptions = {}): Promise<LeaseList> {
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.lease.leaseLeases({}, rpc),
      "read",
      options,
    );
    return { header: headerOf(response), ids: response.leases.map((lease) => lease.ID) };
  }

  close(): Promise<void> {
    return this.#keepAlive.close();
  }

  #hold(
    grant: { id: bigint; grantedTtlSeconds: number; header: ResponseHeader },
    ageMs: number,
    options: GrantOptions,
  ): Lease {
    const lease = new Lease(grant, {
      leases: this,
      stopRenewing: () => this.#keepAlive.remove(grant.id),
    });
    if (options.keepAlive ?? true) {
      this.#keepAlive.add(
        {
          id: grant.id,
          onRenewed: (response) => options.onRenewed?.(renewal(response, headerOf(response))),
          onLost: (why, cause) => lease.noteLost(why, cause),
        },
        grant.grantedTtlSeconds,
        ageMs,
      );
    }
    return lease;
  }
}
