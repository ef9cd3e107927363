// Long work in slices, so that the member serves between them: whoever works asks for a rest after each piece, and
// gets one when its slice is used up.

import { Status, StatusError } from "../../base/status.ts";
import type { Clock } from "../../io/clock.ts";

/** What a request may have to wait for the work at hand. */
const sliceMsDefault = 1;
/** A clock that stands still, as in tests, must not keep everyone else waiting. */
const piecesMax = 64;

export class Pace {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  readonly #signal: AbortSignal | undefined;
  #startedMs: number;
  #pieces = 0;

  /** Once `signal` is aborted, `rest` throws its reason. */
  constructor(clock: Clock, signal?: AbortSignal, sliceMs = sliceMsDefault) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#signal = signal;
    this.#startedMs = clock.now();
  }

  async rest(): Promise<void> {
    if (this.#signal?.aborted) throw cancelled(this.#signal);
    this.#pieces++;
    const usedMs = this.#clock.now() - this.#startedMs;
    if (usedMs < this.#sliceMs && this.#pieces < piecesMax) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#startedMs = this.#clock.now();
    this.#pieces = 0;
    if (this.#signal?.aborted) throw cancelled(this.#signal);
  }
}

function cancelled({ reason }: AbortSignal): StatusError {
  if (reason instanceof StatusError) return reason;
  return new StatusError(Status.CANCELLED, "the snapshot was cancelled", { cause: reason });
}
