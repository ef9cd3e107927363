// The lessor: which leases there are, which keys hang on them, and when they end. Pure: commands come from
// the log in the same order on every member, time is an argument (milliseconds, monotonic).
// Only a primary (the leader) lets leases expire; elsewhere they last until a revoke comes through the log.
// Rows are staged with the command that changes them, so that they are as durable as its data.

import { assert } from "../base/assert.ts";
import type { Backend } from "../storage/backend.ts";
import { decodeLease, encodeLease, encodeLeaseId, Lease } from "./lease.ts";
import { LeaseHeap } from "./lease-heap.ts";
import { LeaseKeyRows } from "./lease-key-rows.ts";
import { spreadExpiries } from "./lease-spread.ts";

/** Seconds; a longer one is refused. */
export const leaseTtlMax = 9_000_000_000;

const revokesPerSecondMax = 1000;
const checkpointBatchMax = 1000;

export interface LessorOptions {
  /** A shorter TTL is raised to this many seconds. etcd: one and a half election timeouts, rounded up. */
  readonly minTtlSeconds: number;
  /** How often the time that is left is put in the log, for leases that have longer to live. 0: never. */
  readonly checkpointIntervalMs?: number;
  /** An expired lease that is still there after this time is reported again. */
  readonly revokeRetryMs?: number;
  readonly revokesPerSecond?: number;
}

/** Where rows go: they take effect with the command that is being applied. */
export interface LeaseRows {
  stage(table: "lease" | "leaseKeys", key: Uint8Array, value: Uint8Array | undefined): void;
}

/** Answers of `renew` that are not a TTL. */
export const RenewResult = {
  notFound: -1,
  /** Past its time, its revoke is on the way: wait for it with `whenRevoked`. */
  expired: -2,
  /** Only the primary renews. */
  notPrimary: -3,
  /** A checkpoint of 0 for this lease must go through the log first. */
  needsCheckpoint: -4,
} as const;

export interface LeaseCheckpoint {
  readonly id: bigint;
  /** Seconds. */
  readonly remainingTtl: number;
}

export interface LeaseTimes {
  /** Whole seconds that are left, towards zero; negative when its revoke is late. */
  readonly ttl: number;
  readonly grantedTtl: number;
  /** In byte order; empty unless asked for. */
  readonly keys: readonly Buffer[];
}

export class Lessor {
  readonly #leases = new Map<bigint, Lease>();
  readonly #expiries = new LeaseHeap();
  readonly #checkpoints = new LeaseHeap();
  readonly #rows: LeaseRows;
  readonly #keyRows = new LeaseKeyRows();
  readonly #minTtl: number;
  readonly #checkpointIntervalMs: number;
  readonly #revokeRetryMs: number;
  readonly #revokesPerSecond: number;
  #isPrimary = false;
  /** Revokes that may be asked for now; fills up with time. */
  #revokeTokens = 0;
  #tokensAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LessorOptions, rows: LeaseRows) {
    assert(options.minTtlSeconds >= 1, "leases must live for a second at least");
    this.#rows = rows;
    this.#minTtl = options.minTtlSeconds;
    this.#checkpointIntervalMs = options.checkpointIntervalMs ?? 0;
    this.#revokeRetryMs = options.revokeRetryMs ?? 3000;
    this.#revokesPerSecond = options.revokesPerSecond ?? revokesPerSecondMax;
  }

  /** The leases that `backend` holds; none of them expires before `promote`. */
  static open(options: LessorOptions, deps: { rows: LeaseRows; backend: Backend }): Lessor {
    const lessor = new Lessor(options, deps.rows);
    lessor.#restore(deps.backend);
    return lessor;
  }

  get size(): number {
    return this.#leases.size;
  }

  get isPrimary(): boolean {
    return this.#isPrimary;
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  /** Applies LeaseGrant. `id` is not 0: who proposes gives one. Returns the TTL granted, in seconds. */
  grant(
    id: bigint,
    ttl: number,
    nowMs: number,
  ): { readonly ttl: number } | { readonly error: "notFound" | "ttlTooLarge" | "exists" } {
    if (id === 0n) return { error: "notFound" };
    if (ttl > leaseTtlMax) return { error: "ttlTooLarge" };
    if (this.#leases.has(id)) return { error: "exists" };
    const lease = new Lease(id, Math.max(ttl, this.#minTtl), 0);
    this.#leases.set(id, lease);
    this.#rows.stage("lease", encodeLeaseId(id), encodeLease(lease));
    if (this.#isPrimary) this.#start(lease, nowMs + lease.ttl * 1000, nowMs);
    return { ttl: lease.ttl };
  }

  /** Applies LeaseRevoke: the lease is gone. Returns its keys in byte order, to be deleted in one transaction. */
  revoke(id: bigint): { readonly keys: readonly Buffer[] } | { readonly error: "notFound" } {
    const lease = this.#leases.get(id);
    if (lease === undefined) return { error: "notFound" };
    this.#leases.delete(id);
    this.#rows.stage("lease", encodeLeaseId(id), undefined);
    for (const key of lease.keys) this.#unstage(id, key);
    const keys = lease.sortedKeys();
    release(lease, true);
    return { keys };
  }

  /** Applies one entry of LeaseCheckpoint; unknown leases are passed over. */
  checkpoint(id: bigint, remainingTtl: number, nowMs: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.remainingTtl = remainingTtl;
    this.#rows.stage("lease", encodeLeaseId(id), encodeLease(lease));
    if (this.#isPrimary) this.#scheduleCheckpoint(lease, nowMs);
  }

  /** Hangs a key on a lease, which must exist. */
  attach(id: bigint, key: Buffer): void {
    const lease = this.#leases.get(id);
    assert(lease !== undefined, "a key is attached to a lease that does not exist");
    const text = key.latin1Slice(0, key.length);
    if (lease.keys.has(text)) return;
    lease.keys.add(text);
    const { name, value } = this.#keyRows.add(id, text);
    this.#rows.stage("leaseKeys", name, value);
  }

  /** Takes a key off a lease; nothing happens when the lease is gone or the key is not on it. */
  detach(id: bigint, key: Buffer): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    const text = key.latin1Slice(0, key.length);
    if (!lease.keys.delete(text)) return;
    this.#unstage(id, text);
  }

  /** Starts a lease's time anew. Returns its TTL in seconds, or one of `RenewResult`. */
  renew(id: bigint, nowMs: number): number {
    if (!this.#isPrimary) return RenewResult.notPrimary;
    const lease = this.#leases.get(id);
    if (lease === undefined) return RenewResult.notFound;
    if (lease.expiryMs <= nowMs) return RenewResult.expired;
    if (lease.remainingTtl > 0 && this.#checkpointIntervalMs > 0) {
      return RenewResult.needsCheckpoint;
    }
    lease.expiryMs = nowMs + lease.effectiveTtl * 1000;
    return lease.ttl;
  }

  /**
   * Calls back when an expired lease has been revoked (true), or when this member stops being primary, so that
   * it may live on (false). Calls at once when there is no such lease.
   */
  whenRevoked(id: bigint, callback: (isGone: boolean) => void): void {
    const lease = this.#leases.get(id);
    if (lease === undefined || !this.#isPrimary) {
      callback(lease === undefined);
      return;
    }
    lease.waiters ??= [];
    lease.waiters.push(callback);
  }

  timeToLive(id: bigint, nowMs: number, withKeys: boolean): LeaseTimes | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined) return undefined;
    const leftMs = lease.expiryMs - nowMs;
    const ttl = Number.isFinite(leftMs) ? Math.trunc(leftMs / 1000) + 0 : lease.ttl;
    return { ttl, grantedTtl: lease.ttl, keys: withKeys ? lease.sortedKeys() : [] };
  }

  /** All ids; the one that expires first comes first. */
  leases(): bigint[] {
    return [...this.#leases.values()].sort(byExpiry).map((lease) => lease.id);
  }

  /** Not before this time does `expired` have anything to report; Infinity when nothing expires. */
  get nextExpiryMs(): number {
    return this.#expiries.firstTimeMs;
  }

  /**
   * Leases past their time, at most `limit` and no more than the allowed rate of revokes. Each must be revoked
   * through the log; one that is still there later is reported again.
   */
  expired(nowMs: number, limit: number): bigint[] {
    const ids: bigint[] = [];
    if (!this.#isPrimary) return ids;
    const max = Math.min(limit, this.#refillTokens(nowMs));
    while (ids.length < max && this.#expiries.firstTimeMs <= nowMs) {
      const lease = this.#expiries.pop() as Lease;
      if (this.#leases.get(lease.id) !== lease) continue;
      const dueMs = Math.max(lease.expiryMs, lease.retryAtMs);
      if (dueMs <= nowMs) {
        ids.push(lease.id);
        lease.retryAtMs = nowMs + this.#revokeRetryMs;
        this.#expiries.push(lease, lease.retryAtMs);
      } else {
        this.#expiries.push(lease, dueMs);
      }
    }
    this.#revokeTokens -= ids.length;
    return ids;
  }

  /** Leases whose remaining time is due to be put in the log. */
  dueCheckpoints(nowMs: number, limit = checkpointBatchMax): LeaseCheckpoint[] {
    const due: LeaseCheckpoint[] = [];
    if (!this.#isPrimary) return due;
    while (due.length < limit && this.#checkpoints.firstTimeMs <= nowMs) {
      const lease = this.#checkpoints.pop() as Lease;
      if (this.#leases.get(lease.id) !== lease || lease.expiryMs <= nowMs) continue;
      const remainingTtl = Math.ceil((lease.expiryMs - nowMs) / 1000);
      if (remainingTtl >= lease.ttl) {
        // Renewed in this very moment; its time is full, look again later.
        this.#scheduleCheckpoint(lease, nowMs);
      } else {
        due.push({ id: lease.id, remainingTtl });
      }
    }
    return due;
  }

  /**
   * This member lets leases expire from now on. Every lease starts anew, with `extendMs` more than it had left
   * at its last checkpoint; where many would end at once they are spread over a longer time.
   */
  promote(nowMs: number, extendMs = 0): void {
    this.#isPrimary = true;
    this.#expiries.clear();
    this.#checkpoints.clear();
    const leases = [...this.#leases.values()];
    for (const lease of leases) {
      lease.expiryMs = nowMs + extendMs + lease.effectiveTtl * 1000;
      lease.retryAtMs = 0;
    }
    if (leases.length >= this.#revokesPerSecond) {
      leases.sort(byExpiry);
      spreadExpiries(leases, (3 * this.#revokesPerSecond) / 4);
    }
    for (const lease of leases) this.#start(lease, lease.expiryMs, nowMs);
  }

  /** Another member is in charge now. */
  demote(): void {
    this.#isPrimary = false;
    this.#expiries.clear();
    this.#checkpoints.clear();
    for (const lease of this.#leases.values()) {
      lease.expiryMs = Number.POSITIVE_INFINITY;
      release(lease, false);
    }
  }

  /** The leases of another database take the place of these; this member is not in charge of them. */
  adopt(backend: Backend): void {
    this.demote();
    this.#leases.clear();
    this.#keyRows.clear();
    this.#restore(backend);
  }

  #start(lease: Lease, expiryMs: number, nowMs: number): void {
    lease.expiryMs = expiryMs;
    this.#expiries.push(lease, expiryMs);
    this.#scheduleCheckpoint(lease, nowMs);
  }

  #scheduleCheckpoint(lease: Lease, nowMs: number): void {
    const intervalMs = this.#checkpointIntervalMs;
    if (intervalMs === 0 || lease.effectiveTtl * 1000 <= intervalMs) return;
    this.#checkpoints.push(lease, nowMs + intervalMs);
  }

  #unstage(id: bigint, key: string): void {
    this.#rows.stage("leaseKeys", this.#keyRows.remove(id, key), undefined);
  }

  #refillTokens(nowMs: number): number {
    const burst = this.#revokesPerSecond / 2;
    const gained = ((nowMs - this.#tokensAtMs) / 1000) * this.#revokesPerSecond;
    this.#revokeTokens = Math.min(burst, this.#revokeTokens + gained);
    this.#tokensAtMs = nowMs;
    return Math.floor(this.#revokeTokens);
  }

  #restore(backend: Backend): void {
    backend.scan("lease", {}, (_key, value) => {
      const row = decodeLease(value);
      const ttl = Math.max(row.TTL, this.#minTtl);
      this.#leases.set(row.ID, new Lease(row.ID, ttl, row.RemainingTTL));
      return undefined;
    });
    backend.scanKeys("leaseKeys", {}, (row) => {
      const { id, key } = this.#keyRows.read(row, (name) => backend.get("leaseKeys", name));
      const lease = this.#leases.get(id);
      assert(lease !== undefined, "the database holds a key on a lease that does not exist");
      lease.keys.add(key);
      return undefined;
    });
  }
}

function byExpiry(a: Lease, b: Lease): number {
  if (a.expiryMs !== b.expiryMs) return a.expiryMs - b.expiryMs;
  return a.id < b.id ? -1 : 1;
}

function release(lease: Lease, isGone: boolean): void {
  const waiters = lease.waiters;
  lease.waiters = undefined;
  if (waiters === undefined) return;
  for (const waiter of waiters) waiter(isGone);
}
