// Leases live by the leader's clock. What a client asks of another member about their time is asked of the
// leader; the leader itself first makes sure that it still is one.

import { StatusError } from "../base/status.ts";
import type { Clock } from "../io/clock.ts";
import { type LeaseTimes, type Lessor, RenewResult } from "../lease/lessor.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import { LeaseCheckpointRequest } from "../wire/generated/rpc.ts";
import type { Leadership } from "./leadership.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { Membership } from "./members/membership.ts";
import type { PeerCalls } from "./members/peer-calls.ts";
import { CommandField, type Replica } from "./replica-types.ts";

export interface LeaseCallsParts {
  readonly clock: Clock;
  readonly lessor: Lessor;
  readonly membership: Membership;
  readonly leadership: Leadership;
  readonly metrics: MemberMetrics;
  readonly calls: PeerCalls;
  readonly replica: Pick<Replica, "proposeAsync" | "readIndexAsync">;
  readonly requestTimeoutMs: number;
}

const retryMs = 50;

export class LeaseCalls {
  readonly #parts: LeaseCallsParts;

  constructor(parts: LeaseCallsParts) {
    this.#parts = parts;
  }

  /** Starts a lease's time anew; its TTL in seconds. Rejects when there is no such lease. */
  renew(id: bigint): Promise<number> {
    return this.#atLeader(
      () => this.#renewHere(id),
      (urls, timeoutMs) => this.#parts.calls.renewLease(urls, id, timeoutMs),
    );
  }

  times(id: bigint, withKeys: boolean): Promise<LeaseTimes | undefined> {
    return this.#atLeader(
      async () => {
        await this.#parts.replica.readIndexAsync();
        const { lessor, clock } = this.#parts;
        if (!lessor.isPrimary) throw toStatusError(EtcdErrors.leaderChanged);
        return lessor.timeToLive(id, clock.now(), withKeys);
      },
      (urls, timeoutMs) => this.#parts.calls.leaseTimes(urls, id, withKeys, timeoutMs),
    );
  }

  async #renewHere(id: bigint): Promise<number> {
    const { lessor, clock, metrics, replica } = this.#parts;
    // A leader that has been replaced without knowing must not promise time that another one does not give.
    await replica.readIndexAsync();
    for (;;) {
      const ttl = lessor.renew(id, clock.now());
      if (ttl >= 0) {
        metrics.leasesRenewed.value += 1;
        return ttl;
      }
      if (ttl === RenewResult.needsCheckpoint) await this.#clearCheckpoint(id);
      else if (ttl === RenewResult.expired) {
        const isGone = await new Promise<boolean>((resolve) => lessor.whenRevoked(id, resolve));
        if (isGone) throw toStatusError(EtcdErrors.leaseNotFound);
      } else if (ttl === RenewResult.notFound) throw toStatusError(EtcdErrors.leaseNotFound);
      else throw toStatusError(EtcdErrors.leaderChanged);
    }
  }

  /** A renewed lease must not fall back to the remaining time that the log remembers. */
  async #clearCheckpoint(id: bigint): Promise<void> {
    const request = LeaseCheckpointRequest.fromPartial({
      checkpoints: [{ ID: id, remainingTTL: 0 }],
    });
    const message = LeaseCheckpointRequest.encode(request).finish();
    await this.#parts.replica.proposeAsync(CommandField.leaseCheckpoint, message);
  }

  async #atLeader<T>(
    here: () => Promise<T>,
    there: (urls: readonly string[], timeoutMs: number) => Promise<T>,
  ): Promise<T> {
    const { clock, leadership, membership, requestTimeoutMs } = this.#parts;
    const deadlineMs = clock.now() + requestTimeoutMs;
    for (;;) {
      const leftMs = deadlineMs - clock.now();
      if (leftMs <= 0) throw toStatusError(EtcdErrors.timeout);
      try {
        if (leadership.role === "leader") return await here();
        const urls = membership.get(leadership.leader)?.peerURLs ?? [];
        if (urls.length > 0) return await there(urls, leftMs);
      } catch (error) {
        if (!isPassing(error)) throw error;
      }
      await leadership.changed(Math.min(retryMs, leftMs));
    }
  }
}

/** Worth another try: the leader changed, or can not be reached now. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof StatusError)) return false;
  const passing = [EtcdErrors.leaderChanged, EtcdErrors.noLeader, EtcdErrors.notLeader];
  return passing.some(({ message }) => message === error.message);
}
