// How long commands take to apply, by kind and outcome. The clock is read once for a run of commands of one
// kind, and each of them counts with the mean: a put takes hardly longer than reading the clock.

import { Counter, exponentialBounds, Histogram } from "../../base/instruments.ts";

/** A command that takes longer is slow. */
const slowMs = 100;

export interface AppliedKind {
  /** A CommandField, or another one that etcd may have put into the log. */
  readonly field: number;
  readonly success: boolean;
  /** In seconds. */
  readonly times: Histogram;
}

export class ApplyTimes {
  readonly slow = new Counter();
  readonly #kinds = new Map<number, AppliedKind>();
  /** The run under way; 0: none. */
  #field = 0;
  #succeeded = 0;
  #refused = 0;
  #startedMs = 0;

  kinds(): Iterable<AppliedKind> {
    return this.#kinds.values();
  }

  /** A batch of entries is about to be applied. */
  begin(nowMs: number): void {
    this.#field = 0;
    this.#startedMs = nowMs;
  }

  /** A command of this kind is about to be applied. */
  next(field: number, now: () => number): void {
    if (field === this.#field) return;
    this.end(now());
    this.#field = field;
  }

  /** The command is applied, or was refused. */
  count(success: boolean): void {
    if (success) this.#succeeded++;
    else this.#refused++;
  }

  /** The run is over: the batch is applied. */
  end(nowMs: number): void {
    const total = this.#succeeded + this.#refused;
    if (total > 0) {
      const meanMs = (nowMs - this.#startedMs) / total;
      if (this.#succeeded > 0) this.#times(true).observe(meanMs / 1000, this.#succeeded);
      if (this.#refused > 0) this.#times(false).observe(meanMs / 1000, this.#refused);
      if (meanMs > slowMs) this.slow.value += total;
    }
    this.#field = 0;
    this.#succeeded = 0;
    this.#refused = 0;
    this.#startedMs = nowMs;
  }

  #times(success: boolean): Histogram {
    const at = this.#field * 2 + (success ? 1 : 0);
    let kind = this.#kinds.get(at);
    if (kind === undefined) {
      const times = new Histogram(exponentialBounds(0.0001, 2, 20));
      kind = { field: this.#field, success, times };
      this.#kinds.set(at, kind);
    }
    return kind.times;
  }
}
