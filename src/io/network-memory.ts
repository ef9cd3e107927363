// Connections in memory, for tests and the simulator: two ends of a pipe that deliver on a later turn of
// the event loop, with a bound after which `write` reports that the peer is behind.

import { Duplex } from "node:stream";
import type { Connection, ConnectionHandler } from "./network.ts";

const deafHandler: ConnectionHandler = {
  onData() {},
  onWritable() {},
  onEnd() {},
  onClose() {},
};

/** One end of a pipe. `capacityBytes`: what may be on its way before `write` returns false. */
export class MemoryConnection implements Connection {
  handler: ConnectionHandler = deafHandler;
  readonly remoteAddress = "memory:1";
  readonly localAddress = "memory:2";
  readonly protocol: string = "";
  readonly secure: boolean = false;
  readonly #capacityBytes: number;
  #peer: MemoryConnection | undefined = undefined;
  #incoming: Buffer[] = [];
  #incomingBytes = 0;
  #paused = false;
  #scheduled = false;
  #peerWaits = false;
  #endSent = false;
  #endReceived = false;
  #endDelivered = false;
  #closed = false;

  private constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  static pair(capacityBytes = 1 << 20): [MemoryConnection, MemoryConnection] {
    const left = new MemoryConnection(capacityBytes);
    const right = new MemoryConnection(capacityBytes);
    left.#peer = right;
    right.#peer = left;
    return [left, right];
  }

  peerCertificate(): undefined {
    return undefined;
  }

  write(bytes: Uint8Array): boolean {
    const peer = this.#peer;
    if (peer === undefined || this.#closed || this.#endSent || peer.#closed) return true;
    peer.#incoming.push(Buffer.from(bytes));
    peer.#incomingBytes += bytes.length;
    peer.#schedule();
    peer.#peerWaits = peer.#incomingBytes > peer.#capacityBytes;
    return !peer.#peerWaits;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    if (this.#endSent || this.#closed) return;
    this.#endSent = true;
    const peer = this.#peer;
    if (peer !== undefined) {
      peer.#endReceived = true;
      peer.#schedule();
    }
    this.#schedule();
  }

  destroy(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#incoming = [];
    this.#incomingBytes = 0;
    setImmediate(() => this.handler.onClose(error));
    const peer = this.#peer;
    if (peer !== undefined) {
      peer.#endReceived = true;
      peer.#schedule();
    }
  }

  handOver(seen: Buffer): Duplex {
    const stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        this.write(chunk);
        done();
      },
      final: (done) => {
        this.end();
        done();
      },
    });
    this.handler = {
      onData: (chunk) => void stream.push(chunk),
      onWritable() {},
      onEnd: () => void stream.push(null),
      onClose: () => void stream.destroy(),
    };
    if (seen.length > 0) stream.push(seen);
    return stream;
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (!this.#paused && !this.#closed) {
      const chunk = this.#incoming.shift();
      if (chunk === undefined) break;
      this.#incomingBytes -= chunk.length;
      this.handler.onData(chunk);
    }
    if (this.#peerWaits && this.#incomingBytes <= this.#capacityBytes) {
      this.#peerWaits = false;
      const peer = this.#peer;
      setImmediate(() => {
        if (peer !== undefined && !peer.#closed) peer.handler.onWritable();
      });
    }
    if (this.#closed || this.#paused || this.#incoming.length > 0 || !this.#endReceived) return;
    if (!this.#endDelivered) {
      this.#endDelivered = true;
      this.handler.onEnd();
    }
    if (this.#endSent && !this.#closed) {
      this.#closed = true;
      this.handler.onClose(undefined);
    }
  }
}
