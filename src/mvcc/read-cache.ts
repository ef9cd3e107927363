// Values read from the backend, kept as bytes for keys that are read again and again. Bounded in bytes; what was
// added first goes first, since what is read often comes back at once.

/** What an entry takes beside its bytes, about. */
const entryOverheadBytes = 160;

export class ReadCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Uint8Array | undefined {
    return this.#entries.get(key);
  }

  /** `key` must not be in the cache. */
  put(key: string, value: Uint8Array): void {
    const bytes = cost(key, value);
    if (bytes > this.#bytesMax / 8) return;
    this.#entries.set(key, value);
    this.#bytes += bytes;
    if (this.#bytes <= this.#bytesMax) return;
    for (const [oldest, old] of this.#entries) {
      this.#entries.delete(oldest);
      this.#bytes -= cost(oldest, old);
      if (this.#bytes <= this.#bytesMax) return;
    }
  }

  /** Forgets keys that have changed. */
  drop(keys: Iterable<string>): void {
    if (this.#entries.size === 0) return;
    for (const key of keys) {
      const value = this.#entries.get(key);
      if (!value) continue;
      this.#entries.delete(key);
      this.#bytes -= cost(key, value);
    }
  }
}

function cost(key: string, value: Uint8Array): number {
  return key.length + value.length + entryOverheadBytes;
}
