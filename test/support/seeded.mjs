// Chance with a seed, for tests that must be able to say how to run them again.

/** Numbers from a seed, the same for the same seed. */
export class Seeded {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  chance(probability) {
    return this.next() < probability;
  }

  /** The list in another order. */
  shuffled(list) {
    const order = list.map((each) => ({ each, at: this.next() }));
    return order.sort((a, b) => a.at - b.at).map(({ each }) => each);
  }
}
