// Linearizable reads that wait for the leader's word. All that gather share one round of the quorum; each
// round, also a repeated one, has a context of its own, so that no late answer to an earlier question can
// pass for an answer to a later one (etcd issue 20418). A change of leader voids the round under way.

import type { Counter } from "../../base/instruments.ts";
import type { EtcdError } from "../../wire/errors.ts";
import type { TicketReceiver } from "../replica-types.ts";

interface Waiter {
  readonly receiver: TicketReceiver;
  readonly ticket: number;
  readonly startedMs: number;
}

/** A round whose answer is not there yet, or whose index is not applied yet. */
interface Round {
  readonly waiters: readonly Waiter[];
  readonly context: Uint8Array;
  readonly askedMs: number;
}

interface ConfirmedRound {
  readonly waiters: readonly Waiter[];
  readonly index: number;
}

export interface ReadRoundsOptions {
  readonly waitersMax: number;
  /** After this time without an answer a round is asked again. */
  readonly retryMs: number;
  /** Counts the rounds that are asked again. */
  readonly repeated: Counter;
}

export class ReadRounds {
  readonly #options: ReadRoundsOptions;
  /** Gives a context that no other round of any member has. */
  readonly #nextContext: () => Uint8Array;
  #gathering: Waiter[] = [];
  #asked: Round | undefined;
  #confirmed: ConfirmedRound[] = [];
  #confirmedWaiters = 0;

  constructor(options: ReadRoundsOptions, nextContext: () => Uint8Array) {
    this.#options = options;
    this.#nextContext = nextContext;
  }

  get waiting(): number {
    return this.#gathering.length + (this.#asked?.waiters.length ?? 0) + this.#confirmedWaiters;
  }

  /** False when too many wait already. */
  add(receiver: TicketReceiver, ticket: number, nowMs: number): boolean {
    if (this.waiting >= this.#options.waitersMax) return false;
    this.#gathering.push({ receiver, ticket, startedMs: nowMs });
    return true;
  }

  /** The context to ask the core with now; undefined when there is nothing to ask. */
  nextQuestion(nowMs: number): Uint8Array | undefined {
    const asked = this.#asked;
    if (asked !== undefined) {
      if (nowMs - asked.askedMs < this.#options.retryMs) return undefined;
      this.#options.repeated.value += 1;
      return this.#ask(asked.waiters, nowMs);
    }
    if (this.#gathering.length === 0) return undefined;
    const waiters = this.#gathering;
    this.#gathering = [];
    return this.#ask(waiters, nowMs);
  }

  /** The round under way was voided (the leader changed): its waiters are asked for again. */
  restart(): void {
    const asked = this.#asked;
    if (asked === undefined) return;
    this.#asked = undefined;
    this.#gathering = [...asked.waiters, ...this.#gathering];
  }

  /** The core's answer: what was asked with `context` may be read once `index` is applied. */
  confirm(context: Uint8Array, index: number): void {
    const asked = this.#asked;
    if (asked === undefined || !equal(asked.context, context)) return;
    this.#asked = undefined;
    this.#confirmed.push({ waiters: asked.waiters, index });
    this.#confirmedWaiters += asked.waiters.length;
  }

  /** Serves every read whose index is applied. */
  release(appliedIndex: number): void {
    while (this.#confirmed.length > 0) {
      const round = this.#confirmed[0] as ConfirmedRound;
      if (round.index > appliedIndex) return;
      this.#confirmed.shift();
      this.#confirmedWaiters -= round.waiters.length;
      for (const { receiver, ticket } of round.waiters) receiver.onReadable(ticket);
    }
  }

  /** Refuses all that began at `startedMs` or before; returns how many these were. */
  endOlderThan(startedMs: number, refusalOf: (startedMs: number) => EtcdError): number {
    const before = this.waiting;
    const keep = (waiters: readonly Waiter[]): Waiter[] =>
      waiters.filter((waiter) => {
        if (waiter.startedMs > startedMs) return true;
        const refusal = refusalOf(waiter.startedMs);
        waiter.receiver.onFailed(waiter.ticket, refusal.code, refusal.message);
        return false;
      });
    this.#gathering = keep(this.#gathering);
    if (this.#asked) {
      const waiters = keep(this.#asked.waiters);
      this.#asked = waiters.length > 0 ? { ...this.#asked, waiters } : undefined;
    }
    this.#confirmed = this.#confirmed.map((round) => ({ ...round, waiters: keep(round.waiters) }));
    this.#confirmedWaiters = this.#confirmed.reduce((sum, round) => sum + round.waiters.length, 0);
    return before - this.waiting;
  }

  #ask(waiters: readonly Waiter[], nowMs: number): Uint8Array {
    const context = this.#nextContext();
    this.#asked = { waiters, context, askedMs: nowMs };
    return context;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
