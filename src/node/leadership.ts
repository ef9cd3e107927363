// Who leads, since when, and what this member's own leadership starts and ends: the clock of leases, the
// check of the cluster's version. It also knows why a request that ran out of time may have done so.

import type { Clock } from "../io/clock.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { PeerHealth } from "../peer/types.ts";
import type { Role, SoftState } from "../raft/ready.ts";
import { type EtcdError, EtcdErrors } from "../wire/errors.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { Membership } from "./members/membership.ts";

export interface LeadershipParts {
  readonly memberId: bigint;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly lessor: Lessor;
  readonly membership: Membership;
  readonly metrics: MemberMetrics;
  peers(): readonly PeerHealth[];
}

export class Leadership {
  readonly #parts: LeadershipParts;
  #leader = 0n;
  #role: Role = "follower";
  #electedMs = Number.NEGATIVE_INFINITY;
  #lostMs: number;
  #tickedMs = Number.POSITIVE_INFINITY;
  readonly #waiters: (() => void)[] = [];
  readonly #begun = deferred();

  constructor(parts: LeadershipParts) {
    this.#parts = parts;
    this.#lostMs = parts.clock.now();
  }

  /** 0n while none is known. */
  get leader(): bigint {
    return this.#leader;
  }

  get role(): Role {
    return this.#role;
  }

  /** Since when no leader is known, in the clock's milliseconds; undefined while one is. */
  get leaderlessSinceMs(): number | undefined {
    return this.#leader === 0n ? this.#lostMs : undefined;
  }

  /** Takes the core's word. Returns true when the leader is another one than before. */
  onSoftState(state: SoftState): boolean {
    const { clock, metrics, lessor } = this.#parts;
    const isChange = state.leader !== this.#leader;
    const nowMs = clock.now();
    if (isChange) {
      if (state.leader === 0n) this.#lostMs = nowMs;
      else {
        this.#electedMs = nowMs;
        metrics.leaderChanges.value += 1;
      }
    }
    if (this.#role === "leader" && state.role !== "leader") lessor.demote();
    this.#leader = state.leader;
    this.#role = state.role;
    if (isChange) for (const wake of this.#waiters.splice(0)) wake();
    return isChange;
  }

  /** Heartbeats are about to go out, if this member leads. */
  onTick(): void {
    const { clock, heartbeatMs, metrics } = this.#parts;
    const nowMs = clock.now();
    if (this.#role === "leader" && nowMs - this.#tickedMs > 2 * heartbeatMs) {
      metrics.lateHeartbeats.value += this.#parts.peers().length;
    }
    this.#tickedMs = nowMs;
  }

  /**
   * The first entry of this leader's term is applied, and so everything that any leader before has acknowledged: it
   * lets leases run from now on. Clients may have renewed at the leader before, so each gets an election's time on
   * top, unless there was no other member that could have led.
   */
  begin(isAlone: boolean): void {
    const { lessor, clock, electionTimeoutMs } = this.#parts;
    lessor.promote(clock.now(), isAlone ? 0 : electionTimeoutMs);
    this.#begun.resolve();
  }

  /** Resolves when this member has begun to lead for the first time; rejects when it can not go on. */
  whenBegun(): Promise<void> {
    return this.#begun.promise;
  }

  /** The member can not go on. */
  fail(error: Error): void {
    this.#begun.reject(error);
  }

  /** Resolves at the next change of leader, or after `timeoutMs`. */
  changed(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.clock.setTimer(timeoutMs, resolve, { unref: true });
      this.#waiters.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** What to say to a request that began at `startedMs` and got no outcome in time: as etcd says it. */
  refusalOfTimeout(startedMs: number): EtcdError {
    const { electionTimeoutMs, memberId } = this.#parts;
    if (startedMs > this.#electedMs - 2 * electionTimeoutMs && startedMs < this.#electedMs) {
      return EtcdErrors.timeoutDueToLeaderFail;
    }
    if (this.#leader === 0n) return EtcdErrors.timeout;
    const isConnected =
      this.#leader === memberId
        ? this.#reachesQuorumSince(startedMs)
        : this.#reachesSince(this.#leader, startedMs);
    return isConnected ? EtcdErrors.timeout : EtcdErrors.timeoutDueToConnectionLost;
  }

  #reachesSince(id: bigint, sinceMs: number): boolean {
    return this.#parts.peers().some((peer) => peer.id === id && isActive(peer, sinceMs));
  }

  #reachesQuorumSince(sinceMs: number): boolean {
    const { membership, memberId } = this.#parts;
    const voters = membership.voters().map((member) => member.ID);
    const active = new Set(
      this.#parts
        .peers()
        .filter((peer) => isActive(peer, sinceMs))
        .map((peer) => peer.id),
    );
    const reached = voters.filter((id) => id === memberId || active.has(id)).length;
    return reached > Math.floor(voters.length / 2);
  }
}

function isActive(peer: PeerHealth, sinceMs: number): boolean {
  return peer.activeSinceMs !== undefined && peer.activeSinceMs <= sinceMs;
}

function deferred() {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Nobody may be waiting.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
