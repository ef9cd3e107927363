// Lines of output that may hold any bytes, gathered into one chunk.

export class ByteLines {
  readonly #parts: Uint8Array[] = [];

  /** A line out of text and bytes. */
  line(...parts: (string | Uint8Array)[]): this {
    for (const part of parts) this.#parts.push(typeof part === "string" ? Buffer.from(part) : part);
    this.#parts.push(NEWLINE);
    return this;
  }

  /** What another printer made. */
  append(output: string | Uint8Array): this {
    this.#parts.push(typeof output === "string" ? Buffer.from(output) : output);
    return this;
  }

  toBytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

const NEWLINE = Buffer.from("\n");
