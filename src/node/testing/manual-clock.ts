// Time that stands still until a test moves it.

import type { Clock, Timer } from "../../io/clock.ts";

interface Alarm {
  readonly atMs: number;
  readonly callback: () => void;
}

export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const alarm = { atMs: this.#nowMs + delayMs, callback };
    this.#alarms.add(alarm);
    return { cancel: () => this.#alarms.delete(alarm) };
  }

  /** Moves on and calls what is due, in order of time; timers set meanwhile are called when they are due too. */
  advance(byMs: number): void {
    const end = this.#nowMs + byMs;
    for (;;) {
      let next: Alarm | undefined;
      for (const alarm of this.#alarms) {
        if (alarm.atMs <= end && (!next || alarm.atMs < next.atMs)) next = alarm;
      }
      if (!next) break;
      this.#alarms.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = end;
  }
}
