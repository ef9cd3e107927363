// What the sessions of one listener or one client share: the clock, output buffers, the total of bytes
// held for peers, and one timer that looks after all of them once a second.

import { type Clock, systemClock, type Timer } from "../../io/clock.ts";

export const OUTPUT_BUFFER_BYTES = 64 << 10;
const SPARE_BUFFERS_MAX = 64;
const SWEEP_INTERVAL_MS = 1_000;

export interface SweptSession {
  /** Looks for timeouts. Called about once a second. */
  sweep(nowMs: number): void;
}

export class SessionHost {
  readonly clock: Clock;
  /** Bytes held for all peers. */
  totalBytes = 0;
  readonly #sessions = new Set<SweptSession>();
  readonly #spare: Buffer[] = [];
  #timer: Timer | undefined = undefined;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  add(session: SweptSession): void {
    this.#sessions.add(session);
    this.#arm();
  }

  remove(session: SweptSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  takeBuffer(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(OUTPUT_BUFFER_BYTES);
  }

  /** Buffers of another size, and more than a few, are left to the collector. */
  giveBuffer(buffer: Buffer): void {
    if (buffer.length === OUTPUT_BUFFER_BYTES && this.#spare.length < SPARE_BUFFERS_MAX) {
      this.#spare.push(buffer);
    }
  }

  #arm(): void {
    this.#timer ??= this.clock.setTimer(SWEEP_INTERVAL_MS, () => this.#sweep(), { unref: true });
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.clock.now();
    for (const session of this.#sessions) session.sweep(now);
    if (this.#sessions.size > 0) this.#arm();
  }
}
