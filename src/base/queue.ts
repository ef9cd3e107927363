// A first-in first-out ring with a hard bound. It grows by doubling up to the bound and never
// shrinks; taken places are cleared so that nothing is kept alive.

import { assert } from "./assert.ts";

export class BoundedQueue<T> {
  readonly #itemsMax: number;
  #slots: (T | undefined)[] = new Array(8);
  #head = 0;
  #length = 0;

  constructor(itemsMax: number) {
    assert(Number.isInteger(itemsMax) && itemsMax > 0, "a queue needs a bound of at least 1");
    this.#itemsMax = itemsMax;
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === this.#itemsMax;
  }

  /** Appends; false, and nothing happens, when the bound is reached. */
  push(item: T): boolean {
    if (this.#length === this.#itemsMax) return false;
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length++;
    return true;
  }

  /** Removes and returns the oldest item; undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return item;
  }

  /** The item `offset` places after the oldest, left in place; undefined past the end. */
  peek(offset = 0): T | undefined {
    if (offset < 0 || offset >= this.#length) return undefined;
    return this.#slots[(this.#head + offset) & (this.#slots.length - 1)];
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(this.#slots.length * 2);
    for (let i = 0; i < this.#length; i++) grown[i] = this.peek(i);
    this.#slots = grown;
    this.#head = 0;
  }
}
