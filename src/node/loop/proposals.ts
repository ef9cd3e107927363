// Proposals on their way: those that wait to be handed to the core, and all that have no outcome yet, by the
// counter of their request id. Bounded in items and bytes, so that a slow disk or a lost quorum turns into
// a clear refusal.

import type { Proposal } from "../../raft/types.ts";
import type { TicketReceiver } from "../replica-types.ts";

export interface ProposalLimits {
  readonly itemsMax: number;
  readonly bytesMax: number;
}

/** A proposal that has no outcome yet. */
export interface PendingProposal {
  readonly receiver: TicketReceiver;
  readonly ticket: number;
  readonly bytes: number;
  readonly startedMs: number;
}

/** Proposals and the counters of their ids, in the same order. */
export interface WaitingProposals {
  readonly proposals: Proposal[];
  readonly counters: number[];
}

export class Proposals {
  readonly #limits: ProposalLimits;
  #waiting: Proposal[] = [];
  /** The counters of what waits, in the same order. */
  #waitingCounters: number[] = [];
  /** In the order in which they began. */
  readonly #pending = new Map<number, PendingProposal>();
  #bytes = 0;
  /** How many wait that nobody is told of. */
  #duties = 0;

  constructor(limits: ProposalLimits) {
    this.#limits = limits;
  }

  /** How many wait to be handed to the core. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Proposals that have no outcome yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** False when no more are taken now. */
  get hasRoom(): boolean {
    const { itemsMax, bytesMax } = this.#limits;
    const items = Math.max(this.#pending.size, this.#waiting.length);
    return items < itemsMax && this.#bytes < bytesMax;
  }

  /** Queues a proposal under its id's counter; without a receiver nobody is told its outcome. */
  add(
    counter: number,
    proposal: Proposal,
    receiver: TicketReceiver | undefined,
    ticket: number,
    startedMs: number,
  ): void {
    this.#waiting.push(proposal);
    this.#waitingCounters.push(counter);
    if (receiver === undefined) {
      this.#duties++;
      return;
    }
    const bytes = proposal.data.length;
    this.#pending.set(counter, { receiver, ticket, bytes, startedMs });
    this.#bytes += bytes;
  }

  /**
   * Takes what waits, to be handed to the core: at most about `bytesMax`, but one in any case. What the
   * core does not take must be given back by `putBack` before anything else is taken.
   */
  takeWaiting(bytesMax = Number.POSITIVE_INFINITY): WaitingProposals {
    let count = this.#waiting.length;
    if (bytesMax !== Number.POSITIVE_INFINITY) {
      let bytes = 0;
      for (count = 0; count < this.#waiting.length; count++) {
        bytes += (this.#waiting[count] as Proposal).data.length;
        if (count > 0 && bytes > bytesMax) break;
      }
    }
    if (count === this.#waiting.length) {
      const taken = { proposals: this.#waiting, counters: this.#waitingCounters };
      this.#waiting = [];
      this.#waitingCounters = [];
      return taken;
    }
    return {
      proposals: this.#waiting.splice(0, count),
      counters: this.#waitingCounters.splice(0, count),
    };
  }

  /**
   * Forgets what waits and nobody is told of. Those are the duties of a leader, as ending leases; one that leads no
   * more must not hand them on: the next leader may have given those leases more time.
   */
  forgetDuties(): void {
    if (this.#duties === 0) return;
    this.#duties = 0;
    const isAwaited = (_: unknown, i: number) =>
      this.#pending.has(this.#waitingCounters[i] as number);
    this.#waiting = this.#waiting.filter(isAwaited);
    this.#waitingCounters = this.#waitingCounters.filter(isAwaited);
  }

  /** Puts back what the core did not take: it goes first the next time. */
  putBack({ proposals, counters }: WaitingProposals): void {
    this.#waiting = this.#waiting.length === 0 ? proposals : proposals.concat(this.#waiting);
    this.#waitingCounters =
      counters.length === this.#waiting.length ? counters : counters.concat(this.#waitingCounters);
  }

  /** Takes the request with this counter out; undefined when it has its outcome, or nobody waits. */
  take(counter: number): PendingProposal | undefined {
    const pending = this.#pending.get(counter);
    if (pending === undefined) return undefined;
    this.#pending.delete(counter);
    this.#bytes -= pending.bytes;
    return pending;
  }

  /**
   * Takes out all that began at `startedMs` or before. What still waits of it, and before it, is forgotten and
   * will never be applied; the rest may still be.
   */
  takeOlderThan(startedMs: number): PendingProposal[] {
    const old: PendingProposal[] = [];
    let last = -1;
    for (const [counter, pending] of this.#pending) {
      if (pending.startedMs > startedMs) break;
      this.#pending.delete(counter);
      this.#bytes -= pending.bytes;
      old.push(pending);
      last = counter;
    }
    let waiting = 0;
    while (
      waiting < this.#waitingCounters.length &&
      (this.#waitingCounters[waiting] as number) <= last
    ) {
      waiting++;
    }
    this.#waiting.splice(0, waiting);
    this.#waitingCounters.splice(0, waiting);
    return old;
  }

  /** Takes out everything, and forgets what waits. */
  takeAll(): PendingProposal[] {
    this.#waiting = [];
    this.#waitingCounters = [];
    return this.takeOlderThan(Number.POSITIVE_INFINITY);
  }
}
