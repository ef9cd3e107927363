// Time as an input. Everything that waits or measures takes a Clock, so that tests and the simulator
// can own time.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds from some fixed point; never goes back. May have a fraction. */
  now(): number;
  /** Milliseconds since 1970. May jump. */
  wallNow(): number;
  /** Calls `callback` once, `delayMs` or more from now. Does not keep the process alive by itself when `unref`. */
  setTimer(delayMs: number, callback: () => void, options?: { readonly unref?: boolean }): Timer;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(delayMs, callback, options) {
    const handle = setTimeout(callback, delayMs);
    if (options?.unref) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves `ms` or more from now. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(Math.max(ms, 1), resolve);
  });
}

/** Calls `callback` every `ms`, from one call to the next, until cancelled. Does not keep the process alive. */
export function repeat(clock: Clock, ms: number, callback: () => void): Timer {
  let timer: Timer;
  const schedule = () => {
    timer = clock.setTimer(
      ms,
      () => {
        schedule();
        callback();
      },
      { unref: true },
    );
  };
  schedule();
  return { cancel: () => timer.cancel() };
}
