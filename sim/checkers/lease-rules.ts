// What a client may rely on with leases: one that it keeps alive is not lost before its time, one that nobody keeps
// alive any more does not stay, and one that was revoked is gone. Times are the world's, in milliseconds.

import type { Report } from "./history.ts";

interface LeaseFacts {
  readonly id: bigint;
  /** As granted; a server may raise what was asked for. */
  ttlMs: number;
  /** When the last grant or keepalive that was acknowledged was asked for: it lives from then on at least. */
  keptFromMs: number;
  /** When somebody last asked for anything that may have kept it. */
  touchedMs: number;
  revokeAsked: boolean;
  goneAtMs: number | undefined;
}

export class LeaseRules {
  readonly #report: Report;
  readonly #leases = new Map<bigint, LeaseFacts>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** A grant or keepalive was asked for. */
  noteAsked(id: bigint, ttlMs: number, atMs: number): void {
    const lease = this.#lease(id);
    lease.ttlMs = Math.max(lease.ttlMs, ttlMs);
    lease.touchedMs = Math.max(lease.touchedMs, atMs);
  }

  /** It was acknowledged, with this TTL. */
  noteKept(id: bigint, ttlMs: number, askedMs: number, answeredMs: number): void {
    const lease = this.#lease(id);
    lease.ttlMs = ttlMs;
    lease.touchedMs = Math.max(lease.touchedMs, answeredMs);
    if (lease.keptFromMs >= askedMs) return;
    lease.keptFromMs = askedMs;
    if (lease.goneAtMs !== undefined) this.#checkGone(lease, lease.goneAtMs);
  }

  noteRevokeAsked(id: bigint): void {
    this.#lease(id).revokeAsked = true;
  }

  /** Some member, the first one, does not have the lease any more. */
  noteGone(id: bigint, atMs: number): void {
    const lease = this.#lease(id);
    if (lease.goneAtMs !== undefined) return;
    lease.goneAtMs = atMs;
    this.#checkGone(lease, atMs);
  }

  isRevokeAsked(id: bigint): boolean {
    return this.#leases.get(id)?.revokeAsked === true;
  }

  /** Leases that should be gone: nobody touched them for their TTL and `graceMs` (failovers start them anew). */
  checkEnded(held: readonly bigint[], nowMs: number, quietSinceMs: number, graceMs: number): void {
    for (const id of held) {
      const lease = this.#leases.get(id);
      if (lease === undefined) continue;
      const dueMs = Math.max(lease.touchedMs, quietSinceMs) + lease.ttlMs + graceMs;
      if (nowMs <= dueMs) continue;
      this.#report({
        property: "leases end",
        text: `lease ${id} (${lease.ttlMs} ms) is still there at ${nowMs} ms, last touched at ${lease.touchedMs} ms`,
      });
    }
  }

  #checkGone(lease: LeaseFacts, atMs: number): void {
    if (lease.revokeAsked) return;
    const safeUntilMs = lease.keptFromMs + lease.ttlMs;
    // Gone, then kept alive again: it can not have been asked for after it was gone.
    if (lease.keptFromMs < 0 || atMs >= safeUntilMs) return;
    this.#report({
      property: "leases last",
      text: `lease ${lease.id} was gone at ${atMs} ms, though kept alive at ${lease.keptFromMs} ms for ${lease.ttlMs} ms`,
    });
  }

  #lease(id: bigint): LeaseFacts {
    let lease = this.#leases.get(id);
    if (lease === undefined) {
      lease = {
        id,
        ttlMs: 0,
        keptFromMs: -1,
        touchedMs: 0,
        revokeAsked: false,
        goneAtMs: undefined,
      };
      this.#leases.set(id, lease);
    }
    return lease;
  }
}
