// How long to wait before the next try: doubling from `minMs` to `maxMs`, each delay drawn from its
// upper half so that many clients do not come back at the same moment.

export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** A number in [0, 1). */
  readonly random?: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How many delays were handed out since the last reset. */
  get attempts(): number {
    return this.#attempts;
  }

  nextDelayMs(): number {
    const { minMs, maxMs, random = Math.random } = this.#options;
    const full = Math.min(maxMs, minMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return full / 2 + (full / 2) * random();
  }

  reset(): void {
    this.#attempts = 0;
  }
}
