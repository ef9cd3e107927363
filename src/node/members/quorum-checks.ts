// The strict checks before a change of members is proposed: would the cluster still have a quorum of
// members that run and are connected? Pure; the numbers are etcd's.

import type { PeerHealth } from "../../peer/types.ts";
import type { RaftStatus } from "../../raft/ready.ts";
import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import type { Member } from "../../wire/generated/rpc.ts";

/** How long a connection must have stood to count. */
const healthyMs = 5000;
/** A learner may get its vote once it has this share of the leader's log. */
const learnerReadyShare = 0.9;

/** Who can be counted on, in the eyes of one member. */
export interface ClusterView {
  readonly self: bigint;
  /** Members with a vote. */
  readonly voters: readonly Member[];
  readonly health: readonly PeerHealth[];
  readonly nowMs: number;
}

/** Refuses an addition that could stop the cluster: the new member counts as one that does not run. */
export function refuseAddition(view: ClusterView, isLearner: boolean): EtcdError | undefined {
  const { voters } = view;
  if (!isLearner) {
    const started = voters.filter(isStarted).length;
    const isSecondOfTwo = started === 1 && voters.length === 1;
    if (!isSecondOfTwo && started < quorumOf(voters.length + 1)) {
      return EtcdErrors.notEnoughStartedMembers;
    }
  }
  // A lone member may always get company.
  if (voters.length === 1) return undefined;
  return connected(view) < quorumOf(voters.length + 1) ? EtcdErrors.unhealthy : undefined;
}

/** Refuses a removal after which those who run and are connected were too few. */
export function refuseRemoval(view: ClusterView, member: Member | undefined, id: bigint) {
  if (member?.isLearner) return undefined;
  const { voters, health, self } = view;
  const rest = voters.filter((voter) => voter.ID !== id);
  if (rest.filter(isStarted).length < quorumOf(rest.length)) {
    return EtcdErrors.notEnoughStartedMembers;
  }
  // Who is gone already is no part of the quorum that works.
  if (id !== self && activeSince(health, id) === undefined) return undefined;
  const needed = 1 + Math.trunc((voters.length - 1) / 2);
  return connected(view) - 1 < needed ? EtcdErrors.unhealthy : undefined;
}

/** Refuses a promotion after which the members that run were too few; the learner counts as running. */
export function refusePromotion(voters: readonly Member[]): EtcdError | undefined {
  const started = 1 + voters.filter(isStarted).length;
  return started < quorumOf(voters.length + 1) ? EtcdErrors.notEnoughStartedMembers : undefined;
}

/** What the leader's progress says against a learner's vote. `notLeader` when this member can not tell. */
export function refuseLearner(status: RaftStatus, id: bigint): EtcdError | undefined {
  if (status.role !== "leader") return EtcdErrors.notLeader;
  const learner = status.progress.find((one) => one.id === id);
  if (!learner) return EtcdErrors.memberNotFound;
  const own = status.progress.find((one) => one.id === status.id);
  const share = learner.match / (own?.match ?? status.lastIndex);
  return share < learnerReadyShare ? EtcdErrors.learnerNotReady : undefined;
}

/** The voter among `ids` whose connection has stood longest; undefined when none is connected. */
export function longestConnected(
  health: readonly PeerHealth[],
  ids: readonly bigint[],
): bigint | undefined {
  let best: { readonly id: bigint; readonly sinceMs: number } | undefined;
  for (const id of ids) {
    const sinceMs = activeSince(health, id);
    if (sinceMs !== undefined && (best === undefined || sinceMs < best.sinceMs)) {
      best = { id, sinceMs };
    }
  }
  return best?.id;
}

/** A member that has told its name. */
function isStarted(member: Member): boolean {
  return member.name !== "";
}

function quorumOf(members: number): number {
  return Math.trunc(members / 2) + 1;
}

function activeSince(health: readonly PeerHealth[], id: bigint): number | undefined {
  return health.find((peer) => peer.id === id)?.activeSinceMs;
}

function connected({ self, voters, health, nowMs }: ClusterView): number {
  return voters.filter(({ ID }) => {
    if (ID === self) return true;
    const sinceMs = activeSince(health, ID);
    return sinceMs !== undefined && sinceMs < nowMs - healthyMs;
  }).length;
}
