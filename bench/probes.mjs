// Writes at a steady pace, to see what else happens: how long none is acknowledged, and how long each takes. A write
// is due at its time whether the ones before it have come back or not, so a pause counts in full.
const everyMs = 5;
const probeTimeoutMs = 8_000;
const key = Buffer.from("probe");
const value = Buffer.alloc(256, "p");

/** The longest time without an acknowledged write at any of these members. */
export class LongestGap {
  #lastMs = performance.now();
  #longestMs = 0;
  #timer;

  constructor(members) {
    this.#timer = setInterval(() => {
      for (const { client } of members) {
        client.call("put", { key, value }, { timeoutMs: probeTimeoutMs }).then(
          () => this.#onAcknowledged(),
          () => {},
        );
      }
    }, everyMs);
  }

  /** Gaps count from now on. */
  mark() {
    this.#longestMs = 0;
    this.#lastMs = performance.now();
  }

  /** Resolves to milliseconds. */
  async stop() {
    clearInterval(this.#timer);
    this.#onAcknowledged();
    return this.#longestMs;
  }

  #onAcknowledged() {
    const nowMs = performance.now();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }
}

/** So many writes a second at one member, and how long each took from when it was due. */
export class PacedWrites {
  #timesMs = [];
  #open = new Set();
  #timer;

  constructor({ client }, perSecond) {
    const startedMs = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedMs) / 1000) * perSecond);
      for (; sent < due; sent += 1) this.#send(client, startedMs + (sent / perSecond) * 1000);
    }, 1);
  }

  #send(client, dueMs) {
    const written = client.call("put", { key, value }, { timeoutMs: probeTimeoutMs }).then(
      () => this.#timesMs.push(performance.now() - dueMs),
      () => this.#timesMs.push(probeTimeoutMs),
    );
    this.#open.add(written);
    written.finally(() => this.#open.delete(written));
  }

  /** What was measured so far does not count. */
  forget() {
    this.#timesMs = [];
  }

  /** Resolves to the times in milliseconds, ascending, when all writes have come back. */
  async stop() {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    return this.#timesMs.sort((a, b) => a - b);
  }
}
