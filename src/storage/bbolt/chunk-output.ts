// Bytes that go to a file one after another, gathered to chunks so that the file gets few large writes. Appending
// never waits: the owner looks at `isBehind` and waits for `drained()`. Invariant: at most one write is under way.

import { assert } from "../../base/assert.ts";
import type { DiskFile } from "../../io/disk.ts";

/** Chunks that may wait before appending counts as behind; and before it is a bug that nobody looked. */
const behindFrom = 2;
const queuedMax = 256;

export class ChunkOutput {
  readonly #file: DiskFile;
  readonly #chunkBytes: number;
  #chunk: Buffer;
  #filled = 0;
  /** Where the current chunk begins in the file. */
  #chunkPosition: number;
  readonly #queue: { readonly chunk: Buffer; readonly end: number; readonly position: number }[] =
    [];
  readonly #spare: Buffer[] = [];
  #isWriting = false;
  #failure: { readonly error: unknown } | undefined;
  #waiters: (() => void)[] = [];

  constructor(file: DiskFile, position: number, chunkBytes: number) {
    this.#file = file;
    this.#chunkBytes = chunkBytes;
    this.#chunk = Buffer.allocUnsafe(chunkBytes);
    this.#chunkPosition = position;
  }

  /** Where the next byte goes in the file. */
  get position(): number {
    return this.#chunkPosition + this.#filled;
  }

  /** More waits to be written than should: wait for `drained()`. Also true once a write has failed. */
  get isBehind(): boolean {
    return this.#queue.length >= behindFrom || this.#failure !== undefined;
  }

  append(source: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end) {
      if (this.#filled === this.#chunkBytes) this.#turn();
      const count = Math.min(end - from, this.#chunkBytes - this.#filled);
      source.copy(this.#chunk, this.#filled, from, from + count);
      this.#filled += count;
      from += count;
    }
  }

  appendZeros(count: number): void {
    let left = count;
    while (left > 0) {
      if (this.#filled === this.#chunkBytes) this.#turn();
      const step = Math.min(left, this.#chunkBytes - this.#filled);
      this.#chunk.fill(0, this.#filled, this.#filled + step);
      this.#filled += step;
      left -= step;
    }
  }

  /** Resolves when appending is not behind any more; rejects with the error of the write that failed. */
  async drained(): Promise<void> {
    while (this.#failure === undefined && this.#queue.length >= behindFrom) await this.#step();
    this.#throwFailure();
  }

  /** Writes all that was appended. */
  async flush(): Promise<void> {
    if (this.#filled > 0) this.#turn();
    await this.settled();
    this.#throwFailure();
  }

  /** Resolves when no write is under way any more, however they ended. */
  async settled(): Promise<void> {
    while (this.#isWriting) await this.#step();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #step(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Hands the current chunk over and begins another. */
  #turn(): void {
    const position = this.#chunkPosition;
    if (this.#failure === undefined) {
      assert(this.#queue.length < queuedMax, "the writer did not wait for its output");
      this.#queue.push({ chunk: this.#chunk, end: this.#filled, position });
      this.#chunk = this.#spare.pop() ?? Buffer.allocUnsafe(this.#chunkBytes);
      if (!this.#isWriting) void this.#writeQueue();
    }
    this.#chunkPosition = position + this.#filled;
    this.#filled = 0;
  }

  async #writeQueue(): Promise<void> {
    this.#isWriting = true;
    try {
      for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
        await this.#file.write(next.chunk, 0, next.end, next.position);
        this.#queue.shift();
        if (this.#spare.length < behindFrom) this.#spare.push(next.chunk);
        if (this.#queue.length < behindFrom) this.#wake();
      }
    } catch (error) {
      this.#failure = { error };
      this.#queue.length = 0;
    }
    this.#isWriting = false;
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
