// The clock of one simulated machine: runs with the world's time, from a start of its own; its wall clock jumps
// when somebody sets it. Timers belong to a life.

import type { Clock, Timer } from "../../src/io/clock.ts";
import type { EventQueue } from "./event-queue.ts";
import type { ProcessLife } from "./process-life.ts";

const wallStartMs = 1_700_000_000_000;

/** What of a clock belongs to the machine and outlives a process. */
export interface MachineTime {
  /** Added to the world's time. */
  readonly offsetMs: number;
  wallOffsetMs: number;
}

export class MemberClock implements Clock {
  readonly #queue: EventQueue;
  readonly #life: ProcessLife;
  readonly #time: MachineTime;

  constructor(queue: EventQueue, life: ProcessLife, time: MachineTime) {
    this.#queue = queue;
    this.#life = life;
    this.#time = time;
  }

  now(): number {
    return this.#queue.nowMs + this.#time.offsetMs;
  }

  wallNow(): number {
    return wallStartMs + this.#queue.nowMs + this.#time.wallOffsetMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const event = this.#queue.schedule(delayMs, () =>
      // Held back by a pause, it may still be cancelled before it runs.
      this.#life.deliver(() => {
        if (!isCancelled) callback();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        event.cancel();
      },
    };
  }
}
