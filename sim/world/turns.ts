// The event loop's turns, taken over: `setImmediate` queues here while a simulation runs, and `settle` runs turn
// after turn until the code under test has nothing left to do but wait for the world. So a simulated moment ends
// exactly when everything that follows from it has happened, and the same way every time.

type Immediate = (...values: unknown[]) => void;

interface QueuedTurn {
  callback: Immediate | undefined;
  readonly values: unknown[];
}

const turnsMax = 100_000;

export class Turns {
  readonly #original = { set: globalThis.setImmediate, clear: globalThis.clearImmediate };
  #queue: QueuedTurn[] = [];
  #isInstalled = false;
  taken = 0;

  install(): void {
    this.#isInstalled = true;
    const set = (callback: Immediate, ...values: unknown[]): QueuedTurn => {
      const turn = { callback: callback as Immediate | undefined, values };
      this.#queue.push(turn);
      return turn;
    };
    const clear = (turn: QueuedTurn | undefined): void => {
      if (turn) turn.callback = undefined;
    };
    globalThis.setImmediate = set as unknown as typeof setImmediate;
    globalThis.clearImmediate = clear as unknown as typeof clearImmediate;
  }

  /** Gives the loop back; what was queued meanwhile by others goes to the real one. */
  restore(): void {
    if (!this.#isInstalled) return;
    this.#isInstalled = false;
    globalThis.setImmediate = this.#original.set;
    globalThis.clearImmediate = this.#original.clear;
    for (const { callback, values } of this.#queue.splice(0)) {
      if (callback) setImmediate(callback, ...values);
    }
  }

  /** Until no promise can go on and no turn is asked for. Throws when that does not end. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < turnsMax; turn++) {
      // A real turn: all that promises can do has been done when it comes.
      await new Promise<void>((resolve) => this.#original.set(resolve));
      this.taken++;
      if (this.#queue.length === 0) return;
      const due = this.#queue;
      this.#queue = [];
      for (const { callback, values } of due) callback?.(...values);
    }
    throw new Error(`the event loop did not come to rest within ${turnsMax} turns`);
  }
}
