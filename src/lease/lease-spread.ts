// After a change of leader all leases start anew, and those of one size would end in one moment. This moves
// the ends apart, never to an earlier time.

import type { Lease } from "./lease.ts";

/** Delays ends so that none of `leases`, sorted by end, has more than `perSecond` others within its second. */
export function spreadExpiries(leases: readonly Lease[], perSecond: number): void {
  const gapMs = 1000 / perSecond;
  let freeAtMs = Number.NEGATIVE_INFINITY;
  for (const lease of leases) {
    if (lease.expiryMs < freeAtMs) lease.expiryMs = freeAtMs;
    freeAtMs = Math.max(lease.expiryMs, freeAtMs) + gapMs;
  }
}
