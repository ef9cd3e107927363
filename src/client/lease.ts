// A lease that this client holds: it is renewed in the background until it is released, revoked or lost.

import type { LeaseKeepAliveResponse } from "../wire/generated/rpc.ts";
import type { CallOptions } from "./caller.ts";
import { hasReason, LeaseLostError } from "./errors.ts";
import type { Leases, LeaseTimeToLive } from "./leases.ts";
import type { ResponseHeader } from "./results.ts";

export interface LeaseRenewal {
  readonly header: ResponseHeader;
  readonly id: bigint;
  /** From now. */
  readonly ttlSeconds: number;
}

export class Lease implements AsyncDisposable {
  readonly id: bigint;
  /** What the server granted, which may be more than was asked for. */
  readonly grantedTtlSeconds: number;
  /** Of the reply that granted it. */
  readonly header: ResponseHeader;
  /** Resolves when the lease is lost; never when it is revoked or released by its holder. */
  readonly lost: Promise<LeaseLostError>;

  readonly #leases: Leases;
  readonly #abort = new AbortController();
  readonly #stopRenewing: () => void;
  #resolveLost!: (error: LeaseLostError) => void;
  #held = true;

  constructor(
    grant: {
      readonly id: bigint;
      readonly grantedTtlSeconds: number;
      readonly header: ResponseHeader;
    },
    dependencies: { readonly leases: Leases; readonly stopRenewing: () => void },
  ) {
    this.id = grant.id;
    this.grantedTtlSeconds = grant.grantedTtlSeconds;
    this.header = grant.header;
    this.#leases = dependencies.leases;
    this.#stopRenewing = dependencies.stopRenewing;
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve;
    });
  }

  /** Aborts, with a LeaseLostError as its reason, when the lease is lost: hand it to what depends on it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** False once it was lost, revoked or released. */
  get held(): boolean {
    return this.#held;
  }

  onLost(callback: (error: LeaseLostError) => void): void {
    this.lost.then(callback);
  }

  timeToLive(options?: CallOptions & { readonly keys?: boolean }): Promise<LeaseTimeToLive> {
    return this.#leases.timeToLive(this.id, options);
  }

  /** Renews at once, besides what happens in the background. */
  renew(options?: CallOptions): Promise<LeaseRenewal> {
    return this.#leases.keepAliveOnce(this.id, options);
  }

  /** Ends the lease: the keys attached to it are deleted. */
  async revoke(options?: CallOptions): Promise<void> {
    this.release();
    try {
      await this.#leases.revoke(this.id, options);
    } catch (error) {
      if (!hasReason(error, "leaseNotFound")) throw error; // It is gone, which is what was wanted.
    }
  }

  /** Stops renewing; the lease and its keys live on until the TTL is over. */
  release(): void {
    this.#held = false;
    this.#stopRenewing();
  }

  /** Revokes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#held) await this.revoke();
  }

  /** For the one who keeps it alive. */
  noteLost(why: string, cause: unknown): void {
    if (!this.#held) return;
    this.#held = false;
    const error = new LeaseLostError(this.id, why, { cause });
    this.#resolveLost(error);
    this.#abort.abort(error);
  }
}

export function renewal(response: LeaseKeepAliveResponse, header: ResponseHeader): LeaseRenewal {
  return { header, id: response.ID, ttlSeconds: response.TTL };
}
