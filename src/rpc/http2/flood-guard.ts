// Counts frames that cost the peer little. Each kind may come so many times a second, plus what useful
// work done in the same time justifies. The clock is read only when a counter reaches its limit.

import type { Clock } from "../../io/clock.ts";

export type FloodKind =
  | "settings"
  | "ping"
  | "emptyData"
  | "reset"
  | "priority"
  | "windowUpdate"
  | "unknown";

class Counter {
  readonly perSecondMax: number;
  count = 0;
  sinceMs: number;
  creditBase = 0;

  constructor(perSecondMax: number, nowMs: number) {
    this.perSecondMax = perSecondMax;
    this.sinceMs = nowMs;
  }
}

export class FloodGuard {
  readonly #clock: Clock;
  readonly #counters: Readonly<Record<FloodKind, Counter>>;

  constructor(limits: Readonly<Record<FloodKind, number>>, clock: Clock) {
    this.#clock = clock;
    const now = clock.now();
    this.#counters = {
      settings: new Counter(limits.settings, now),
      ping: new Counter(limits.ping, now),
      emptyData: new Counter(limits.emptyData, now),
      reset: new Counter(limits.reset, now),
      priority: new Counter(limits.priority, now),
      windowUpdate: new Counter(limits.windowUpdate, now),
      unknown: new Counter(limits.unknown, now),
    };
  }

  /**
   * Counts one frame. False: it is a flood. `credit` is a total that only grows (work done for this
   * peer); what it grew by since the counter started again is allowed on top of the limit.
   */
  allow(kind: FloodKind, credit: number): boolean {
    const counter = this.#counters[kind];
    if (++counter.count <= counter.perSecondMax) return true;
    const now = this.#clock.now();
    if (now - counter.sinceMs >= 1000) {
      counter.sinceMs = now;
      counter.count = 1;
      counter.creditBase = credit;
      return true;
    }
    return counter.count <= counter.perSecondMax + credit - counter.creditBase;
  }
}
