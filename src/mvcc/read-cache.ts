// Values read from the backend, kept as bytes for keys that are read again and again. Bounded in bytes. Two
// generations: what was used since the young one began survives when the old one is given up.

/** What an entry takes beside its bytes, about. */
const entryOverheadBytes = 160;

export class ReadCache {
  readonly #generationBytesMax: number;
  #young = new Map<string, Uint8Array>();
  #old = new Map<string, Uint8Array>();
  #youngBytes = 0;

  constructor(bytesMax: number) {
    this.#generationBytesMax = bytesMax / 2;
  }

  get(key: string): Uint8Array | undefined {
    const value = this.#young.get(key);
    if (value) return value;
    const old = this.#old.get(key);
    if (old) this.put(key, old);
    return old;
  }

  /** `key` must not have been put since the young generation began. */
  put(key: string, value: Uint8Array): void {
    const bytes = key.length + value.length + entryOverheadBytes;
    if (bytes > this.#generationBytesMax / 4) return;
    if (this.#youngBytes + bytes > this.#generationBytesMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }

  /** Forgets keys that have changed. */
  drop(keys: Iterable<string>): void {
    if (this.#young.size === 0 && this.#old.size === 0) return;
    for (const key of keys) {
      this.#young.delete(key);
      this.#old.delete(key);
    }
  }
}
