// What happens when, in a simulated world: callbacks by time, in the order in which they were put in when the time
// is the same. Time stands still while one runs.

interface QueuedEvent {
  readonly atMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

export interface ScheduledEvent {
  cancel(): void;
}

export class EventQueue {
  /** A binary heap: the first to come at 0. */
  readonly #heap: QueuedEvent[] = [];
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** When the next one is due; Infinity when there is none. */
  get nextMs(): number {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return Number.POSITIVE_INFINITY;
      if (first.callback !== undefined) return first.atMs;
      this.#pop();
    }
  }

  schedule(delayMs: number, callback: () => void): ScheduledEvent {
    const event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      callback: callback as (() => void) | undefined,
    };
    this.#push(event);
    return {
      cancel: () => {
        event.callback = undefined;
      },
    };
  }

  /** Moves time to the next event and runs it; false when there is none up to `limitMs`, where time is then. */
  runNext(limitMs: number): boolean {
    if (this.nextMs > limitMs) {
      this.#nowMs = limitMs;
      return false;
    }
    const event = this.#pop();
    this.#nowMs = event.atMs;
    event.callback?.();
    return true;
  }

  #push(event: QueuedEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const other = heap[parent] as QueuedEvent;
      if (isBefore(other, event)) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): QueuedEvent {
    const heap = this.#heap;
    const first = heap[0] as QueuedEvent;
    const last = heap.pop() as QueuedEvent;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as QueuedEvent)) child++;
      const other = heap[child] as QueuedEvent;
      if (isBefore(last, other)) break;
      heap[at] = other;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
