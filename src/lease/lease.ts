// One lease as the lessor holds it, and its rows in the database: table `lease` maps the id (8 bytes,
// big-endian) to an encoded leasepb.Lease, table `leaseKeys` see lease-key-rows.ts.

import { Lease as LeaseMessage } from "../wire/generated/lease.ts";

export class Lease {
  readonly id: bigint;
  /** Seconds. */
  readonly ttl: number;
  /** Checkpointed seconds that were left; 0: none, the full TTL counts. */
  remainingTtl: number;
  /** Infinity while this member is not the one that lets leases expire. */
  expiryMs = Number.POSITIVE_INFINITY;
  /** Not reported as expired again before this time. */
  retryAtMs = 0;
  /** Attached keys as latin1 strings. */
  readonly keys = new Set<string>();
  /** Called once the lease is gone, or can no longer expire here (then with false). */
  waiters: ((isGone: boolean) => void)[] | undefined;

  constructor(id: bigint, ttl: number, remainingTtl: number) {
    this.id = id;
    this.ttl = ttl;
    this.remainingTtl = remainingTtl;
  }

  /** Seconds that count when its time starts anew without a renewal. */
  get effectiveTtl(): number {
    return this.remainingTtl > 0 ? this.remainingTtl : this.ttl;
  }

  /** Attached keys in byte order: every member must delete them in the same order. */
  sortedKeys(): Buffer[] {
    return [...this.keys].sort().map((key) => Buffer.from(key, "latin1"));
  }
}

export function encodeLeaseId(id: bigint): Buffer {
  const row = Buffer.allocUnsafe(8);
  row.writeBigInt64BE(BigInt.asIntN(64, id));
  return row;
}

export function encodeLeaseKey(id: bigint, key: string): Buffer {
  const row = Buffer.allocUnsafe(8 + key.length);
  row.writeBigInt64BE(BigInt.asIntN(64, id));
  row.latin1Write(key, 8, key.length);
  return row;
}

export function decodeLeaseKey(row: Buffer): { readonly id: bigint; readonly key: string } {
  return { id: row.readBigInt64BE(0), key: row.latin1Slice(8, row.length) };
}

export function encodeLease(lease: Lease): Buffer {
  const message = { ID: lease.id, TTL: lease.ttl, RemainingTTL: lease.remainingTtl };
  return Buffer.from(LeaseMessage.encode(message).finish());
}

export function decodeLease(row: Uint8Array): LeaseMessage {
  return LeaseMessage.decode(row);
}
