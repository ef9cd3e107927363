// The first election of a member that was started with others: once they are connected there is nothing
// to wait for, so its clock is put forward to shortly before an election. A leader that is there already
// speaks up in time.

import type { Clock, Timer } from "../io/clock.ts";
import type { PeerHealth } from "../peer/types.ts";

export interface FirstElectionOptions {
  readonly hastensFirstElection?: boolean;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
}

/** The member that waits for its first election. */
export interface ElectingMember {
  peers(): readonly PeerHealth[];
  /** Undefined while a leader is known. */
  readonly leaderlessSinceMs: number | undefined;
}

const lookEveryMs = 50;
/** Then the usual time has passed anyway. */
const lookForMs = 5000;
/** A leader's heartbeat comes once a tick. */
const ticksLeft = 2;

/** Looks for a while; not at all when the options say so. */
export function hastenFirstElection(
  options: FirstElectionOptions,
  clock: Clock,
  member: ElectingMember,
  core: { tick(): void },
): Timer {
  const electionTicks = Math.round(options.electionTimeoutMs / options.heartbeatMs);
  const endMs = clock.now() + lookForMs;
  let isStopped = !options.hastensFirstElection;
  const look = () => {
    if (isStopped || member.leaderlessSinceMs === undefined) return;
    if (connectedOf(member.peers()) > 1) {
      for (let i = 0; i < electionTicks - ticksLeft; i++) core.tick();
    } else if (clock.now() < endMs) {
      clock.setTimer(lookEveryMs, look, { unref: true });
    }
  };
  look();
  return {
    cancel: () => {
      isStopped = true;
    },
  };
}

function connectedOf(peers: readonly PeerHealth[]): number {
  return peers.filter((peer) => peer.activeSinceMs !== undefined).length;
}
