// Metadata: the headers and trailers of a call that belong to the application. It refuses names and
// values that HTTP/2 can not carry and the names that gRPC keeps for itself. Values of names ending in
// "-bin" are bytes, all others printable ASCII. Order within a name is kept.

import { Status, StatusError } from "../../base/status.ts";
import type { HeaderList } from "../http2/types.ts";

export type MetadataValue = string | Uint8Array;

/** Plain form: `{ "x-id": "1", "trace-bin": bytes, "x-many": ["a", "b"] }`. */
export type MetadataInit = Readonly<Record<string, MetadataValue | readonly MetadataValue[]>>;

const nameForm = /^[0-9a-z_.-]+$/;
const valueForm = /^[\x20-\x7e]*$/;

/** Headers of the transport. They are neither shown as metadata nor may they be set. */
const transportNames: ReadonlySet<string> = new Set([
  "connection",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-timeout",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

export class Metadata {
  /** name, value, name, value ... */
  readonly #entries: MetadataValue[] = [];

  constructor(init?: MetadataInit) {
    if (init === undefined) return;
    for (const name of Object.keys(init)) {
      const value = init[name];
      if (Array.isArray(value)) for (const one of value) this.append(name, one);
      else if (value !== undefined) this.append(name, value as MetadataValue);
    }
  }

  /** Metadata of a received header list. Entries that are not metadata are left out. */
  static fromHeaders(headers: HeaderList): Metadata {
    const metadata = new Metadata();
    const entries = metadata.#entries;
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] as string;
      if (name.charCodeAt(0) === 0x3a || transportNames.has(name)) continue;
      const value = headers[i + 1] as string;
      if (!name.endsWith("-bin")) {
        entries.push(name, value);
        continue;
      }
      // Several values of one binary name may arrive joined by commas.
      for (const part of value.split(",")) entries.push(name, decodeBinary(part));
    }
    return metadata;
  }

  /** The first value of `name`, or undefined. */
  get(name: `${string}-bin`): Uint8Array | undefined;
  get(name: string): string | undefined;
  get(name: string): MetadataValue | undefined {
    const wanted = name.toLowerCase();
    for (let i = 0; i < this.#entries.length; i += 2) {
      if (this.#entries[i] === wanted) return this.#entries[i + 1];
    }
    return undefined;
  }

  getAll(name: `${string}-bin`): Uint8Array[];
  getAll(name: string): string[];
  getAll(name: string): MetadataValue[] {
    const wanted = name.toLowerCase();
    const values: MetadataValue[] = [];
    for (let i = 0; i < this.#entries.length; i += 2) {
      if (this.#entries[i] === wanted) values.push(this.#entries[i + 1] as MetadataValue);
    }
    return values;
  }

  /** Replaces all values of `name`. */
  set(name: string, value: MetadataValue): void {
    this.delete(name);
    this.append(name, value);
  }

  /** Adds one value. Throws a StatusError INTERNAL when name or value can not be sent. */
  append(name: string, value: MetadataValue): void {
    const lower = name.toLowerCase();
    checkEntry(lower, value);
    this.#entries.push(lower, value);
  }

  delete(name: string): void {
    const unwanted = name.toLowerCase();
    const entries = this.#entries;
    let kept = 0;
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === unwanted) continue;
      entries[kept++] = entries[i] as string;
      entries[kept++] = entries[i + 1] as MetadataValue;
    }
    entries.length = kept;
  }

  /** Appends everything in `other`. */
  merge(other: Metadata): void {
    for (const value of other.#entries) this.#entries.push(value);
  }

  clone(): Metadata {
    const copy = new Metadata();
    copy.merge(this);
    return copy;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  *[Symbol.iterator](): IterableIterator<[name: string, value: MetadataValue]> {
    for (let i = 0; i < this.#entries.length; i += 2) {
      yield [this.#entries[i] as string, this.#entries[i + 1] as MetadataValue];
    }
  }

  /** Appends the wire form to `headers`. */
  appendTo(headers: string[]): void {
    for (let i = 0; i < this.#entries.length; i += 2) {
      const value = this.#entries[i + 1] as MetadataValue;
      headers.push(
        this.#entries[i] as string,
        typeof value === "string" ? value : encodeBinary(value),
      );
    }
  }
}

function checkEntry(name: string, value: MetadataValue): void {
  if (!nameForm.test(name) || transportNames.has(name)) {
    throw new StatusError(Status.INTERNAL, `metadata name ${JSON.stringify(name)} is not allowed`);
  }
  const isBinary = name.endsWith("-bin");
  if (isBinary ? typeof value === "string" : typeof value !== "string") {
    const form = isBinary ? "bytes" : "a string";
    throw new StatusError(Status.INTERNAL, `metadata ${JSON.stringify(name)} takes ${form}`);
  }
  if (typeof value === "string" && !valueForm.test(value)) {
    throw new StatusError(
      Status.INTERNAL,
      `header key "${name}" contains value with non-printable ASCII characters`,
    );
  }
}

function encodeBinary(value: Uint8Array): string {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return padding === 0 ? text : text.slice(0, -padding);
}

/** Takes padded and bare base64; what is no base64 is skipped over. */
function decodeBinary(text: string): Uint8Array {
  return Buffer.from(text, "base64");
}
