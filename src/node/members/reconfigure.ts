// Changes of members on request: checks what can be checked before, proposes the change and waits until
// it is applied here. Promotions need the leader's knowledge and are handed on to it.

import { Status, StatusError } from "../../base/status.ts";
import { type Clock, sleep } from "../../io/clock.ts";
import type { PeerHealth } from "../../peer/types.ts";
import type { RaftStatus } from "../../raft/ready.ts";
import { ConfChangeKind } from "../../wire/conf-change.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../../wire/errors.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import { memberJson, promotionJson } from "../../wire/member-json.ts";
import type { MemberMetrics } from "../member-metrics.ts";
import { memberIdOf } from "./identity.ts";
import type { Membership } from "./membership.ts";
import {
  type ClusterView,
  refuseAddition,
  refuseLearner,
  refusePromotion,
  refuseRemoval,
} from "./quorum-checks.ts";

export interface ConfChangeRequest {
  readonly type: ConfChangeKind;
  readonly nodeId: bigint;
  readonly context?: Uint8Array;
}

export interface ReconfigureOptions {
  readonly memberId: bigint;
  /** Refuse changes that would lose the quorum. */
  readonly strict: boolean;
  /** How long a promotion or a transfer may take when the caller does not say. */
  readonly requestTimeoutMs: number;
  /** How often it is looked whether leadership has moved. */
  readonly heartbeatMs: number;
}

/** What a change of members needs of the replica. */
export interface ReconfigureParts {
  readonly metrics: MemberMetrics;
  readonly clock: Clock;
  readonly membership: Membership;
  /** How the other members fare. */
  health(): readonly PeerHealth[];
  raftStatus(): RaftStatus;
  /** Resolves when the change is applied here and the core may take the next; rejects with a StatusError. */
  propose(change: ConfChangeRequest): Promise<void>;
  transferLeader(to: bigint): void;
  /** Asks the member at these peer URLs, the leader, to promote; rejects with a StatusError. */
  promoteAt(urls: readonly string[], id: bigint, timeoutMs: number): Promise<readonly Member[]>;
}

/** What a leader may say of a promotion that settles it. Anything else is worth another try. */
const settled: ReadonlySet<string> = new Set([
  EtcdErrors.learnerNotReady.message,
  EtcdErrors.memberNotFound.message,
  EtcdErrors.memberNotLearner.message,
]);

const retryMs = 50;
/** Changes that may wait for their turn. */
const waitingMax = 64;

export class Reconfigurer {
  readonly #options: ReconfigureOptions;
  readonly #parts: ReconfigureParts;
  /** The core takes one change at a time; others of this member wait for their turn. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: ReconfigureOptions, parts: ReconfigureParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Adds a member that will be reached at `urls` (checked and sorted); resolves to it. */
  async addMember(urls: readonly string[], isLearner: boolean): Promise<Member> {
    const seconds = Math.floor(this.#parts.clock.wallNow() / 1000);
    const id = memberIdOf(urls, "", seconds);
    const member = { ID: id, name: "", peerURLs: [...urls], clientURLs: [], isLearner };
    await this.#change(
      () => (this.#options.strict ? refuseAddition(this.#view(), isLearner) : undefined),
      {
        type: isLearner ? ConfChangeKind.addLearnerNode : ConfChangeKind.addNode,
        nodeId: id,
        context: Buffer.from(memberJson(member)),
      },
    );
    return member;
  }

  removeMember(id: bigint): Promise<void> {
    const { membership } = this.#parts;
    const refusal = () => {
      if (this.#options.strict) return refuseRemoval(this.#view(), membership.get(id), id);
      // Even so, what nobody votes for any more is never to be had again.
      const isLast = membership.voters().every((voter) => voter.ID === id);
      return isLast ? EtcdErrors.notEnoughStartedMembers : undefined;
    };
    return this.#change(refusal, { type: ConfChangeKind.removeNode, nodeId: id });
  }

  /** Changes where the others reach a member. As in etcd, `urls` are taken as they are. */
  updateMember(id: bigint, urls: readonly string[]): Promise<void> {
    const context = Buffer.from(memberJson({ ID: id, peerURLs: [...urls] }));
    return this.#change(() => undefined, { type: ConfChangeKind.updateNode, nodeId: id, context });
  }

  /** Gives a learner its vote; resolves to the members after it. A follower asks the leader. */
  async promoteMember(
    id: bigint,
    timeoutMs = this.#options.requestTimeoutMs,
  ): Promise<readonly Member[]> {
    if (this.#parts.raftStatus().role === "leader") return this.promoteHere(id);
    const { clock, membership } = this.#parts;
    const deadline = clock.now() + timeoutMs;
    while (clock.now() < deadline) {
      const { leader, role } = this.#parts.raftStatus();
      if (role === "leader") return this.promoteHere(id);
      const urls = membership.get(leader)?.peerURLs ?? [];
      if (urls.length > 0) {
        try {
          return await this.#parts.promoteAt(urls, id, deadline - clock.now());
        } catch (error) {
          if (!(error instanceof StatusError) || settled.has(error.message)) throw error;
        }
      }
      await sleep(clock, retryMs);
    }
    throw toStatusError(EtcdErrors.timeout);
  }

  /** As `promoteMember` at the leader; refuses with "not leader" anywhere else. */
  async promoteHere(id: bigint): Promise<readonly Member[]> {
    const { membership } = this.#parts;
    const refusal = () => {
      const against = refuseLearner(this.#parts.raftStatus(), id);
      if (against || !this.#options.strict) return against;
      return refusePromotion(membership.voters());
    };
    const context = Buffer.from(promotionJson(id));
    const { metrics } = this.#parts;
    try {
      await this.#change(refusal, { type: ConfChangeKind.addNode, nodeId: id, context });
    } catch (error) {
      const { message } = error as Error;
      if (message !== EtcdErrors.notLeader.message) metrics.onPromotionRefused(message);
      throw error;
    }
    metrics.learnersPromoted.value += 1;
    return membership.list();
  }

  /** Makes another member the leader; resolves when it is. Only the leader can. */
  async moveLeader(to: bigint, timeoutMs = this.#options.requestTimeoutMs): Promise<void> {
    const { clock, membership } = this.#parts;
    if (this.#parts.raftStatus().leader !== this.#options.memberId) {
      throw toStatusError(EtcdErrors.notLeader);
    }
    const target = membership.get(to);
    if (!target || target.isLearner) throw toStatusError(EtcdErrors.badLeaderTransferee);
    const deadline = clock.now() + timeoutMs;
    this.#parts.transferLeader(to);
    while (this.#parts.raftStatus().leader !== to) {
      if (clock.now() >= deadline) {
        throw new StatusError(
          Status.UNKNOWN,
          "etcdserver: request timed out, leader transfer took too long",
        );
      }
      await sleep(clock, Math.min(this.#options.heartbeatMs, deadline - clock.now()));
    }
  }

  #change(refusal: () => EtcdError | undefined, change: ConfChangeRequest): Promise<void> {
    if (this.#waiting === waitingMax)
      return Promise.reject(toStatusError(EtcdErrors.tooManyRequests));
    this.#waiting += 1;
    const result = this.#last.then(() => {
      this.#waiting -= 1;
      const against = refusal();
      if (against) throw toStatusError(against);
      return this.#parts.propose(change);
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  #view(): ClusterView {
    const { clock, membership } = this.#parts;
    return {
      self: this.#options.memberId,
      voters: membership.voters(),
      health: this.#parts.health(),
      nowMs: clock.now(),
    };
  }
}
