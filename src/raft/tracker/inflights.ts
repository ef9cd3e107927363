// The appends that were sent to one member and not acknowledged yet: a queue of (last index, payload
// bytes), bounded in messages and, softly, in bytes. Kept in a ring of plain numbers that grows with
// what is really in flight, so that thousands of allowed messages cost nothing while few are out.

import { assert } from "../../base/assert.ts";

export class Inflights {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  /** Pairs (index, bytes); the length is a power of two. */
  #ring: number[] = [];
  #start = 0;
  #count = 0;
  #bytes = 0;

  /** `maxBytes` 0: no limit in bytes. A message that begins below that limit may end above it. */
  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Nothing more may be sent until something is acknowledged. */
  get isFull(): boolean {
    if (this.#count === this.#maxMessages) return true;
    return this.#maxBytes !== 0 && this.#bytes >= this.#maxBytes;
  }

  /** A message whose last entry is `index` leaves. Not when full; indexes never go back. */
  add(index: number, bytes: number): void {
    assert(!this.isFull, "no append is sent while the window is full");
    if (this.#count * 2 === this.#ring.length) this.#grow();
    const at = (this.#start + this.#count * 2) & (this.#ring.length - 1);
    this.#ring[at] = index;
    this.#ring[at + 1] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Everything up to `index` has arrived. */
  freeUpTo(index: number): void {
    const mask = this.#ring.length - 1;
    while (this.#count > 0 && (this.#ring[this.#start] as number) <= index) {
      this.#bytes -= this.#ring[this.#start + 1] as number;
      this.#start = (this.#start + 2) & mask;
      this.#count--;
    }
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const old = this.#ring;
    const grown = new Array<number>(Math.max(8, old.length * 2)).fill(0);
    for (let i = 0; i < old.length; i++) {
      grown[i] = old[(this.#start + i) & (old.length - 1)] as number;
    }
    this.#ring = grown;
    this.#start = 0;
  }
}
