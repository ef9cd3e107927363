// One life of a simulated process: everything that reaches it from outside (time, messages, disk completions,
// requests) goes through `deliver`, so that it can be stopped for a while, and so that after its end nothing of it
// goes on: its promises never resolve, its timers never fire.

export class ProcessLife {
  #isOver = false;
  #isPaused = false;
  #held: (() => void)[] = [];

  get isOver(): boolean {
    return this.#isOver;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Now, after the pause, or never. */
  deliver(callback: () => void): void {
    if (this.#isOver) return;
    if (this.#isPaused) this.#held.push(callback);
    else callback();
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What was held back comes at once, in order. */
  resume(): void {
    this.#isPaused = false;
    for (const callback of this.#held.splice(0)) this.deliver(callback);
  }

  end(): void {
    this.#isOver = true;
    this.#held = [];
  }
}
