// Deadlines of many calls on one timer: a wheel of slots, each a linked list, so that adding and
// removing cost the same however many calls there are. A deadline fires up to one slot late and never
// early; the timer stands still while no call has a deadline.

import type { Clock, Timer } from "../../io/clock.ts";

const slotMs = 4;
const slotCount = 512;

/** One pending deadline. Kept by its owner to take it off again. */
export interface DeadlineEntry {
  readonly deadlineMs: number;
  readonly onDeadline: () => void;
  slot: number;
  previous: DeadlineEntry | undefined;
  next: DeadlineEntry | undefined;
}

export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #slots: (DeadlineEntry | undefined)[] = new Array(slotCount).fill(undefined);
  #count = 0;
  #timer: Timer | undefined;
  /** The tick (in slots since the clock's zero) that the timer waits for. */
  #timerTick = 0;
  /** All ticks up to and including this one have been worked off. */
  #doneTick = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#count;
  }

  add(deadlineMs: number, onDeadline: () => void): DeadlineEntry {
    if (this.#count === 0) this.#doneTick = Math.floor(this.#clock.now() / slotMs) - 1;
    const tick = Math.max(Math.ceil(deadlineMs / slotMs), this.#doneTick + 1);
    const slot = tick % slotCount;
    const next = this.#slots[slot];
    const entry: DeadlineEntry = { deadlineMs, onDeadline, slot, previous: undefined, next };
    if (next !== undefined) next.previous = entry;
    this.#slots[slot] = entry;
    this.#count++;
    const wakeTick = Math.min(tick, this.#doneTick + slotCount);
    if (this.#timer === undefined || wakeTick < this.#timerTick) this.#arm(wakeTick);
    return entry;
  }

  /** Takes an entry off; does nothing when it is off already. */
  remove(entry: DeadlineEntry): void {
    if (entry.slot < 0) return;
    if (entry.previous !== undefined) entry.previous.next = entry.next;
    else this.#slots[entry.slot] = entry.next;
    if (entry.next !== undefined) entry.next.previous = entry.previous;
    entry.slot = -1;
    entry.previous = entry.next = undefined;
    this.#count--;
  }

  #arm(tick: number): void {
    this.#timer?.cancel();
    this.#timerTick = tick;
    const delayMs = Math.max(0, tick * slotMs - this.#clock.now());
    this.#timer = this.#clock.setTimer(delayMs, () => this.#onTimer(), { unref: true });
  }

  #onTimer(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    const nowTick = Math.floor(nowMs / slotMs);
    // After a long stall each slot needs one visit only.
    const first = Math.max(this.#doneTick + 1, nowTick - slotCount + 1);
    const due: DeadlineEntry[] = [];
    for (let tick = first; tick <= nowTick; tick++) this.#collect(tick % slotCount, nowMs, due);
    this.#doneTick = Math.max(this.#doneTick, nowTick);
    for (const entry of due) entry.onDeadline();
    if (this.#count > 0 && this.#timer === undefined) this.#arm(this.#nextTick());
  }

  #collect(slot: number, nowMs: number, due: DeadlineEntry[]): void {
    let entry = this.#slots[slot];
    while (entry !== undefined) {
      const next: DeadlineEntry | undefined = entry.next;
      if (entry.deadlineMs <= nowMs) {
        this.remove(entry);
        due.push(entry);
      }
      entry = next;
    }
  }

  /** The next tick whose slot holds an entry, which may belong to a later turn of the wheel. */
  #nextTick(): number {
    for (let tick = this.#doneTick + 1; tick < this.#doneTick + slotCount; tick++) {
      if (this.#slots[tick % slotCount] !== undefined) return tick;
    }
    return this.#doneTick + slotCount;
  }
}
