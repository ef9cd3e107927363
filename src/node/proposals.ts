// Proposals on their way through the log: those that wait for the next batch, and those whose entries
// are being written. Bounded in items and bytes, so that a slow disk turns into a clear refusal.

import type { Proposal } from "../raft/types.ts";
import type { TicketReceiver } from "./replica-types.ts";

export interface ProposalLimits {
  readonly itemsMax: number;
  readonly bytesMax: number;
}

/** Who waits for the proposals of one batch; the same positions as the batch's proposals. */
export class ProposalBatch {
  readonly proposals: Proposal[] = [];
  readonly receivers: (TicketReceiver | undefined)[] = [];
  readonly tickets: number[] = [];
  bytes = 0;

  get size(): number {
    return this.proposals.length;
  }
}

export class Proposals {
  readonly #limits: ProposalLimits;
  #waiting = new ProposalBatch();
  #itemsTotal = 0;
  #bytesTotal = 0;

  constructor(limits: ProposalLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Proposals that have no outcome yet. */
  get pending(): number {
    return this.#itemsTotal;
  }

  /** Queues a proposal for the next batch; false when the queue is full. */
  add(proposal: Proposal, receiver: TicketReceiver | undefined, ticket: number): boolean {
    const bytes = proposal.data.length;
    if (this.#itemsTotal >= this.#limits.itemsMax || this.#bytesTotal >= this.#limits.bytesMax) {
      return false;
    }
    this.#itemsTotal += 1;
    this.#bytesTotal += bytes;
    const batch = this.#waiting;
    batch.proposals.push(proposal);
    batch.receivers.push(receiver);
    batch.tickets.push(ticket);
    batch.bytes += bytes;
    return true;
  }

  /** Takes all that waits, to be appended now. */
  takeWaiting(): ProposalBatch {
    const batch = this.#waiting;
    this.#waiting = new ProposalBatch();
    return batch;
  }

  /** Every proposal of `batch` has its outcome. */
  settled(batch: ProposalBatch): void {
    this.#itemsTotal -= batch.size;
    this.#bytesTotal -= batch.bytes;
  }
}
