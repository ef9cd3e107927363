// A network that delays, loses, doubles and reorders what members send, and that can be cut in one direction or in
// both. It carries anything; who is attached under an id gets what is sent to it.

import type { Random } from "../../src/base/random.ts";
import type { EventQueue } from "./event-queue.ts";

/** How bad all links are at a time. */
export interface NetworkConditions {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Probabilities of one message. */
  readonly loss: number;
  readonly duplicate: number;
  /** Of being much later than others, which overtake it. */
  readonly straggle: number;
}

export const calmNetwork: NetworkConditions = {
  delayMinMs: 0.2,
  delayMaxMs: 2,
  loss: 0,
  duplicate: 0,
  straggle: 0,
};

export type Sent = "sent" | "lost" | "cut";

const straggleMs = 1500;

export class Network<Id, Parcel> {
  conditions: NetworkConditions = calmNetwork;
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #receivers = new Map<Id, (parcel: Parcel) => void>();
  readonly #cuts = new Map<Id, Set<Id>>();
  /** When the last parcel of a link arrives: none overtakes another unless it straggles. */
  readonly #lastArrivals = new Map<Id, Map<Id, number>>();

  constructor(queue: EventQueue, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  attach(id: Id, receive: (parcel: Parcel) => void): void {
    this.#receivers.set(id, receive);
  }

  detach(id: Id): void {
    this.#receivers.delete(id);
  }

  isAttached(id: Id): boolean {
    return this.#receivers.has(id);
  }

  /** Nothing goes from one to the other any more; the way back stays open. */
  cut(from: Id, to: Id): void {
    let cuts = this.#cuts.get(from);
    if (cuts === undefined) {
      cuts = new Set();
      this.#cuts.set(from, cuts);
    }
    cuts.add(to);
  }

  isCut(from: Id, to: Id): boolean {
    return this.#cuts.get(from)?.has(to) === true;
  }

  /** All ways are open again, as bad as they are. */
  open(): void {
    this.#cuts.clear();
  }

  /** All ways are open again, and the network is as it should be. */
  heal(): void {
    this.open();
    this.conditions = calmNetwork;
  }

  /** Whoever is attached when it arrives gets it, or nobody. */
  send(from: Id, to: Id, parcel: Parcel, isRepeatable = true): Sent {
    if (this.isCut(from, to)) return "cut";
    const random = this.#random;
    const { loss, duplicate } = this.conditions;
    if (loss > 0 && random.chance(loss)) return "lost";
    this.#deliver(from, to, parcel);
    if (isRepeatable && duplicate > 0 && random.chance(duplicate)) this.#deliver(from, to, parcel);
    return "sent";
  }

  /** A time on the way, for what is not a parcel. */
  delayMs(): number {
    const { delayMinMs, delayMaxMs } = this.conditions;
    return delayMinMs + this.#random.float() * (delayMaxMs - delayMinMs);
  }

  #deliver(from: Id, to: Id, parcel: Parcel): void {
    const { straggle } = this.conditions;
    let delayMs = this.delayMs();
    if (straggle > 0 && this.#random.chance(straggle)) {
      delayMs += this.#random.float() * straggleMs;
    } else {
      delayMs = this.#inOrder(from, to, delayMs);
    }
    // What was on its way when the link was cut still arrives.
    this.#queue.schedule(delayMs, () => this.#receivers.get(to)?.(parcel));
  }

  #inOrder(from: Id, to: Id, delayMs: number): number {
    let arrivals = this.#lastArrivals.get(from);
    if (arrivals === undefined) {
      arrivals = new Map();
      this.#lastArrivals.set(from, arrivals);
    }
    const arrivalMs = Math.max(this.#queue.nowMs + delayMs, arrivals.get(to) ?? 0);
    arrivals.set(to, arrivalMs);
    return arrivalMs - this.#queue.nowMs;
  }
}
