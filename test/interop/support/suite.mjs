// Counts what passes and what fails, and says so in the form that the interop runner reads.

export class Suite {
  #name;
  #passed = 0;
  #failed = 0;

  constructor(name) {
    this.#name = name;
  }

  async test(name, body) {
    const limit = new AbortController();
    const timeout = new Promise((_, reject) => {
      const timer = setTimeout(() => reject(new Error("took longer than 30 s")), 30_000);
      limit.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    try {
      await Promise.race([body(), timeout]);
      this.#passed += 1;
    } catch (error) {
      this.#failed += 1;
      console.log(`FAIL ${this.#name}: ${name}\n${error?.stack ?? error}`);
    } finally {
      limit.abort();
    }
  }

  /** Prints the counts and ends the process. */
  finish() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    process.exit(this.#failed > 0 ? 1 : 0);
  }
}
