// The bytes that wait for the socket. Everything that is written during one callback is gathered in
// one buffer and handed over once, by `process.nextTick`, or when the buffer is full. One write is under way at a
// time; while it is, `congested` tells writers of stream data to hold back, so that only small
// control frames add to the buffer.

import type { Connection } from "../../io/network.ts";
import { OUTPUT_BUFFER_BYTES, type SessionHost } from "./session-host.ts";

const EMPTY = Buffer.alloc(0);

export class Output {
  /** Pending bytes are bytes[0, length). Writers `reserve`, write behind `length`, and move it. */
  bytes: Buffer = EMPTY;
  length = 0;
  /** When the write under way began. */
  stalledSinceMs = 0;
  readonly #connection: Connection;
  readonly #host: SessionHost;
  #inFlight: Buffer | undefined = undefined;
  #inFlightBytes = 0;
  #scheduled = false;
  #ending = false;
  #closed = false;

  constructor(connection: Connection, host: SessionHost) {
    this.#connection = connection;
    this.#host = host;
  }

  /** The socket is behind: stream data must wait. */
  get congested(): boolean {
    return this.#inFlight !== undefined && this.length >= OUTPUT_BUFFER_BYTES;
  }

  get writing(): boolean {
    return this.#inFlight !== undefined;
  }

  /** Bytes not yet taken by the operating system. */
  get pendingBytes(): number {
    return this.length + this.#inFlightBytes;
  }

  /** Makes room for `bytes` more, and sees to it that they are sent. Returns the offset to write at. */
  reserve(bytes: number): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(flushOutput, this);
    }
    if (this.bytes.length - this.length < bytes) this.#makeRoom(bytes);
    return this.length;
  }

  #makeRoom(bytes: number): void {
    if (this.length > 0 && this.#inFlight === undefined) this.flush();
    if (this.bytes.length - this.length >= bytes) return;
    if (this.length === 0 && bytes <= OUTPUT_BUFFER_BYTES) {
      this.#host.giveBuffer(this.bytes);
      this.bytes = this.#host.takeBuffer();
      return;
    }
    const grown = Buffer.allocUnsafeSlow(
      Math.max(this.bytes.length * 2, this.length + bytes, OUTPUT_BUFFER_BYTES),
    );
    this.bytes.copy(grown, 0, 0, this.length);
    this.#host.giveBuffer(this.bytes);
    this.bytes = grown;
  }

  /** Hands what is pending to the socket now, unless a write is under way. */
  flush(): void {
    if (this.#inFlight !== undefined) return;
    if (this.length === 0 || this.#closed) {
      if (this.#ending && !this.#closed) this.#finish();
      return;
    }
    const buffer = this.bytes;
    const length = this.length;
    this.length = 0;
    const taken = this.#connection.write(
      length === buffer.length ? buffer : new Uint8Array(buffer.buffer, buffer.byteOffset, length),
    );
    if (!taken) {
      this.#inFlight = buffer;
      this.#inFlightBytes = length;
      this.bytes = EMPTY;
      this.stalledSinceMs = this.#host.clock.now();
    } else if (this.#ending) this.#finish();
  }

  flushScheduled(): void {
    this.#scheduled = false;
    this.flush();
    if (this.length === 0 && this.bytes !== EMPTY) {
      this.#host.giveBuffer(this.bytes);
      this.bytes = EMPTY;
    }
  }

  /** The write under way is done. */
  onWritable(): void {
    const buffer = this.#inFlight;
    if (buffer === undefined) return;
    this.#inFlight = undefined;
    this.#inFlightBytes = 0;
    this.#host.giveBuffer(buffer);
    this.flush();
  }

  /** Sends what is pending, then closes our side of the connection. */
  end(): void {
    this.#ending = true;
    this.flush();
  }

  #finish(): void {
    this.#closed = true;
    this.#connection.end();
  }

  /** The connection is gone. */
  discard(): void {
    this.#closed = true;
    this.length = 0;
    this.bytes = EMPTY;
    this.#inFlight = undefined;
    this.#inFlightBytes = 0;
  }
}

function flushOutput(output: Output): void {
  output.flushScheduled();
}
