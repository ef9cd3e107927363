// Gathers the framed messages of one stream until they are sent in one write. The bytes handed out are never
// written again: a large gathering gives its buffer away, a small one is copied into a chunk that all
// streams share, so that an idle stream holds no memory.

const gatherBytesMin = 4 * 1024;
const shareBytesMax = 8 * 1024;
const sharedChunkBytes = 64 * 1024;
const idleBuffersMax = 16;

/** What a gathering ends in: source[start, end). */
export interface GatheredBytes {
  source: Buffer;
  start: number;
  end: number;
}

/** Buffers of all streams of one service. */
export class OutputPool {
  readonly #idle: Buffer[] = [];
  #shared: Buffer = Buffer.allocUnsafeSlow(sharedChunkBytes);
  #sharedEnd = 0;
  readonly #result: GatheredBytes = { source: this.#shared, start: 0, end: 0 };

  /** A buffer of at least `sizeBytes`. */
  take(sizeBytes: number): Buffer {
    if (sizeBytes <= gatherBytesMin) {
      return this.#idle.pop() ?? Buffer.allocUnsafeSlow(gatherBytesMin);
    }
    return Buffer.allocUnsafeSlow(sizeBytes);
  }

  /** Takes buffer[0, end) back in a form that may be sent. The result is valid until the next call. */
  finish(buffer: Buffer, end: number): GatheredBytes {
    const result = this.#result;
    if (end > shareBytesMax) {
      result.source = buffer;
      result.start = 0;
      result.end = end;
      return result;
    }
    if (end > sharedChunkBytes - this.#sharedEnd) {
      this.#shared = Buffer.allocUnsafeSlow(sharedChunkBytes);
      this.#sharedEnd = 0;
    }
    buffer.copy(this.#shared, this.#sharedEnd, 0, end);
    result.source = this.#shared;
    result.start = this.#sharedEnd;
    this.#sharedEnd += end;
    result.end = this.#sharedEnd;
    this.giveBack(buffer);
    return result;
  }

  /** A buffer whose bytes are not needed any more. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === gatherBytesMin && this.#idle.length < idleBuffersMax) {
      this.#idle.push(buffer);
    }
  }
}
