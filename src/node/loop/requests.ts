// What clients wait for in this member: proposals on their way through the log, by the id that their entry
// carries, and reads that need a leader's word. Each ends exactly once.

import type { Clock } from "../../io/clock.ts";
import { EntryType } from "../../raft/types.ts";
import { encodeConfChange } from "../../wire/conf-change.ts";
import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import { encodeCommand } from "../apply/command.ts";
import type { StateMachine } from "../apply/state-machine.ts";
import type { MemberMetrics } from "../member-metrics.ts";
import type { ConfChangeRequest } from "../members/reconfigure.ts";
import type { CommandField, TicketReceiver } from "../replica-types.ts";
import { PromiseReceiver } from "./promise-receiver.ts";
import { type PendingProposal, Proposals } from "./proposals.ts";
import { ReadRounds } from "./read-rounds.ts";
import { RequestIds } from "./request-id.ts";

export interface RequestsOptions {
  readonly memberId: bigint;
  readonly maxRequestBytes: number;
  readonly maxPendingProposals: number;
  readonly maxPendingBytes: number;
}

export interface RequestsParts {
  readonly clock: Clock;
  readonly metrics: MemberMetrics;
}

/** Why a request that began then ends without an outcome. */
export type RefusalOf = (startedMs: number) => EtcdError;

const readRetryMs = 500;

export class Requests {
  readonly proposals: Proposals;
  readonly reads: ReadRounds;
  readonly #options: RequestsOptions;
  readonly #clock: Clock;
  readonly #metrics: MemberMetrics;
  readonly #ids: RequestIds;

  constructor(options: RequestsOptions, { clock, metrics }: RequestsParts) {
    this.#options = options;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#ids = new RequestIds(options.memberId, clock.wallNow());
    const { maxPendingProposals, maxPendingBytes } = options;
    this.proposals = new Proposals({ itemsMax: maxPendingProposals, bytesMax: maxPendingBytes });
    const repeated = metrics.repeatedReadRounds;
    this.reads = new ReadRounds(
      { waitersMax: maxPendingProposals, retryMs: readRetryMs, repeated },
      () => this.#nextReadContext(),
    );
  }

  /** Queues message[start, end) as the command `field`; false: it is too large, and the receiver was told. */
  propose(
    field: CommandField,
    message: Uint8Array,
    start: number,
    end: number,
    receiver: TicketReceiver | undefined,
    ticket: number,
  ): boolean {
    const counter = this.#ids.next();
    const data = encodeCommand(field, this.#ids.prefix, counter, message, start, end);
    if (data.length > this.#options.maxRequestBytes) {
      const { code, message: text } = EtcdErrors.requestTooLarge;
      receiver?.onFailed(ticket, code, text);
      return false;
    }
    const proposal = { type: EntryType.normal, data };
    this.proposals.add(counter, proposal, receiver, ticket, this.#clock.now());
    return true;
  }

  /** Queues a change of members; resolves when it is applied here, rejects when it is refused. */
  proposeConfChange(change: ConfChangeRequest): Promise<void> {
    const counter = this.#ids.next();
    const data = encodeConfChange({ ...change, id: this.#ids.toBigInt(counter) });
    return new Promise((resolve, reject) => {
      const receiver = new PromiseReceiver(() => resolve(), reject);
      const proposal = { type: EntryType.confChange, data };
      this.proposals.add(counter, proposal, receiver, 0, this.#clock.now());
    });
  }

  /** Tells whoever waits for the command that the machine has just applied, or refused. */
  onApplied(machine: StateMachine, refusal: EtcdError | undefined): void {
    if (machine.idPrefix !== this.#ids.prefix) return;
    const pending = this.proposals.take(machine.idCounter);
    if (pending === undefined) return;
    const { receiver, ticket } = pending;
    const { writer } = machine;
    if (refusal) receiver.onFailed(ticket, refusal.code, refusal.message);
    else receiver.onApplied(ticket, writer.buffer, writer.start, writer.end);
  }

  /** Ends all that began at `startedMs` or before. What was handed to the core may still be applied. */
  endOlderThan(startedMs: number, why: RefusalOf): void {
    this.#refuse(this.proposals.takeOlderThan(startedMs), why);
    if (this.reads.waiting === 0) return;
    if (this.reads.endOlderThan(startedMs, why) > 0) this.#metrics.failedReadRounds.value += 1;
  }

  /** Ends all proposals; those that wait are forgotten. */
  refuseProposals(refusal: EtcdError): void {
    this.#refuse(this.proposals.takeAll(), () => refusal);
  }

  refuseAll(refusal: EtcdError): void {
    this.refuseProposals(refusal);
    this.reads.endOlderThan(Number.POSITIVE_INFINITY, () => refusal);
  }

  #refuse(proposals: readonly PendingProposal[], why: RefusalOf): void {
    this.#metrics.proposalsFailed.value += proposals.length;
    for (const { receiver, ticket, startedMs } of proposals) {
      const { code, message } = why(startedMs);
      receiver.onFailed(ticket, code, message);
    }
  }

  #nextReadContext(): Uint8Array {
    this.#metrics.readRounds.value += 1;
    const context = Buffer.allocUnsafe(8);
    context.writeBigUInt64BE(this.#ids.toBigInt(this.#ids.next()));
    return context;
  }
}
