// Leadership handed to another member before this one stops, so that the others need not wait for an
// election.

import { type Clock, sleep } from "../io/clock.ts";
import type { PeerHealth } from "../peer/types.ts";
import type { RaftStatus } from "../raft/ready.ts";

export interface HandOverParts {
  readonly clock: Clock;
  readonly electionTimeoutMs: number;
  readonly status: RaftStatus;
  readonly peers: readonly PeerHealth[];
  transferTo(id: bigint): void;
  isLeader(): boolean;
}

const lookMs = 5;

/** Resolves when another member leads, or after an election timeout; at once when there is nobody to take over. */
export async function handOver(parts: HandOverParts): Promise<void> {
  const { clock, electionTimeoutMs, status, peers } = parts;
  const active = new Set<bigint>();
  for (const peer of peers) if (peer.activeSinceMs !== undefined) active.add(peer.id);
  const [best] = status.progress
    .filter((one) => one.id !== status.id && !one.isLearner && active.has(one.id))
    .sort((a, b) => b.match - a.match);
  if (best === undefined) return;
  parts.transferTo(best.id);
  const deadlineMs = clock.now() + electionTimeoutMs;
  while (parts.isLeader() && clock.now() < deadlineMs) await sleep(clock, lookMs);
}
