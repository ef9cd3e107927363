// A streaming call for tests: writes down the messages that a handler sends, and lets the test play the
// network that drains or does not.

import { Metadata } from "../rpc/grpc/metadata.ts";
import type { MethodInfo, Peer, RawStreamCall } from "../rpc/grpc/types.ts";

export class FakeStreamCall implements RawStreamCall {
  readonly method: MethodInfo = { path: "/a/b", service: "a", name: "b", kind: "bidi" };
  readonly metadata = new Metadata();
  readonly deadlineMs = Number.POSITIVE_INFINITY;
  readonly peer: Peer = { address: "test", secure: false, certificate: undefined };
  cancelled = false;
  readonly messageCompressed = false;
  responseEncoding = "identity" as const;
  compress = true;
  /** Every message sent so far. */
  readonly messages: Buffer[] = [];
  writes = 0;
  /** While true nothing leaves: writes pile up in `bufferedBytes`. */
  stalled = false;
  isPaused = false;
  bufferedBytes = 0;
  status: { readonly code: number; readonly message: string } | undefined;

  sendHeaders(): void {}
  setTrailers(): void {}

  write(source: Uint8Array, start: number, end: number): boolean {
    this.messages.push(Buffer.from(source.subarray(start, end)));
    return this.#count(end - start);
  }

  writeParts(parts: readonly Uint8Array[]): boolean {
    this.messages.push(Buffer.concat(parts));
    return this.#count(this.messages[this.messages.length - 1]?.length ?? 0);
  }

  writeFramed(source: Uint8Array, start: number, end: number, messages: number): boolean {
    const bytes = Buffer.from(source.subarray(start, end));
    let at = 0;
    for (let i = 0; i < messages; i++) {
      if (bytes[at] !== 0) throw new Error("a message without prefix");
      const length = bytes.readUInt32BE(at + 1);
      this.messages.push(bytes.subarray(at + 5, at + 5 + length));
      at += 5 + length;
    }
    if (at !== bytes.length) throw new Error("bytes after the last message");
    return this.#count(bytes.length);
  }

  end(code: number, message: string): void {
    this.status = { code, message };
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  #count(bytes: number): boolean {
    this.writes++;
    if (this.stalled) this.bufferedBytes += bytes;
    return this.bufferedBytes <= 64 * 1024;
  }
}

/** Lets everything that was queued for the end of this turn and the next ones run. */
export async function settle(turns = 3): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
