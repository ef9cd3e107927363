// Reads that wait until a quorum has confirmed that their leader still leads. Each round of heartbeats
// carries the number of the last read that waits, counted from the beginning of the term: whoever
// echoes it confirms that read and all before it. A new term begins with a new ReadOnly.

import type { Message } from "./message.ts";

export interface WaitingRead {
  /** The readIndex message that asked. */
  readonly request: Message;
  /** What was committed when it was asked. */
  readonly index: number;
}

/** Who gets no answer asks again. */
const maxWaiting = 10_000;
const none: readonly WaitingRead[] = [];
const noContext = new Uint8Array(0);

export class ReadOnly {
  #waiting: WaitingRead[] = [];
  /** Reads that were confirmed and have left `#waiting`. */
  #confirmed = 0;
  readonly #acked = new Map<bigint, number>();

  /** Who has confirmed how far. */
  get acknowledged(): ReadonlyMap<bigint, number> {
    return this.#acked;
  }

  /** False when too many wait already. */
  add(index: number, request: Message): boolean {
    if (this.#waiting.length >= maxWaiting) return false;
    this.#waiting.push({ request, index });
    return true;
  }

  /** What a heartbeat carries so that its echo confirms all that wait; empty when nothing waits. */
  heartbeatContext(): Uint8Array {
    if (this.#waiting.length === 0) return noContext;
    const context = new Uint8Array(8);
    const view = new DataView(context.buffer);
    view.setBigUint64(0, BigInt(this.#confirmed + this.#waiting.length), true);
    return context;
  }

  /** A member echoed a heartbeat's context. One that this leader did not send is ignored. */
  acknowledge(from: bigint, context: Uint8Array): void {
    if (context.length !== 8) return;
    const view = new DataView(context.buffer, context.byteOffset, 8);
    const position = Number(view.getBigUint64(0, true));
    if (position > this.#confirmed + this.#waiting.length) return;
    if (position > (this.#acked.get(from) ?? 0)) this.#acked.set(from, position);
  }

  /** A quorum has confirmed all reads up to number `position`: takes them out. */
  confirmTo(position: number): readonly WaitingRead[] {
    const count = Math.min(position - this.#confirmed, this.#waiting.length);
    if (count <= 0) return none;
    this.#confirmed += count;
    return this.#waiting.splice(0, count);
  }
}
