// Helpers of the session tests: a server whose handler records what it gets, a raw peer that writes
// frames by hand and reads them back, and a clock that the test moves.

import type { Clock, Timer } from "../../io/clock.ts";
import type { ConnectionHandler } from "../../io/network.ts";
import { MemoryConnection } from "../../io/network-memory.ts";
import { Flag, FrameType, PREFACE, readUint32, writeFrameHeader } from "./frames.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { prepareHeaders } from "./prepared-headers.ts";
import { ServerSession } from "./server-session.ts";
import { SessionHost } from "./session-host.ts";
import type { Http2Options, Http2Stream, StreamReceiver } from "./types.ts";

export const grpcHeaders = prepareHeaders([":status", "200", "content-type", "application/grpc"]);
export const grpcTrailers = prepareHeaders(["grpc-status", "0"]);
export const requestHeaders = [
  ...[":method", "POST", ":scheme", "http", ":path", "/s/m", ":authority", "test"],
  ...["content-type", "application/grpc", "te", "trailers"],
];

/** A clock that stands still until it is told; timers fire when it passes them. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    while (true) {
      const next = [...this.#timers].filter((timer) => timer.at <= until);
      next.sort((a, b) => a.at - b.at);
      const timer = next[0];
      if (timer === undefined) break;
      this.#timers.delete(timer);
      this.#now = timer.at;
      timer.callback();
    }
    this.#now = until;
  }
}

/** Collects a stream's input. */
export class Recorder implements StreamReceiver {
  readonly events: string[] = [];
  body = "";
  bytes = 0;
  headers: readonly string[] = [];
  trailers: readonly string[] = [];
  resetCode = -1;
  ended = false;
  writable = 0;
  onEnded: () => void = () => {};

  onData(source: Buffer, start: number, end: number, endStream: boolean): void {
    this.bytes += end - start;
    if (this.body.length < 1_000) this.body += source.toString("latin1", start, end);
    if (endStream) this.#end();
  }

  onHeaders(headers: readonly string[], endStream: boolean): void {
    this.events.push(`headers ${headers[1]}`);
    this.headers = headers;
    if (endStream) this.#end();
  }

  onTrailers(headers: readonly string[]): void {
    this.trailers = headers;
    this.#end();
  }

  onReset(errorCode: number): void {
    this.resetCode = errorCode;
    this.onEnded();
  }

  onWritable(): void {
    this.writable++;
  }

  #end(): void {
    this.ended = true;
    this.onEnded();
  }
}

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export interface RawPeerOptions {
  readonly http2?: Http2Options;
  readonly capacityBytes?: number;
  /** How the server answers; default: a unary reply at the end of the request. */
  readonly onStream?: (stream: Http2Stream) => StreamReceiver;
  readonly greet?: boolean;
}

/** A client made of bare frames against a real ServerSession. */
export class RawPeer implements ConnectionHandler {
  readonly clock = new ManualClock();
  readonly host = new SessionHost(this.clock);
  readonly connection: MemoryConnection;
  readonly session: ServerSession;
  readonly encoder = new HpackEncoder(4096);
  readonly frames: RawFrame[] = [];
  receivedBytes = 0;
  closed = false;
  #left: Buffer = Buffer.alloc(0);

  constructor(options: RawPeerOptions = {}) {
    const [ours, theirs] = MemoryConnection.pair(options.capacityBytes);
    this.connection = ours;
    ours.handler = this;
    const onStream = options.onStream ?? ((stream) => replyAtEnd(stream));
    this.session = new ServerSession(
      theirs,
      {
        onStream(stream, _headers, endStream) {
          const receiver = onStream(stream);
          if (endStream) receiver.onData(Buffer.alloc(0), 0, 0, true);
          return receiver;
        },
      },
      options.http2,
      this.host,
    );
    if (options.greet !== false) {
      this.raw(PREFACE);
      this.frame(FrameType.SETTINGS, 0, 0, Buffer.alloc(0));
    }
  }

  raw(bytes: Uint8Array): void {
    this.connection.write(bytes);
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.raw(makeFrame(type, flags, streamId, payload));
  }

  request(streamId: number, endStream: boolean, headers: readonly string[] = requestHeaders): void {
    const block = this.encoder.encode(headers);
    const flags = Flag.END_HEADERS | (endStream ? Flag.END_STREAM : 0);
    this.frame(FrameType.HEADERS, flags, streamId, block.bytes.subarray(0, block.length));
  }

  onData(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    let left = this.#left.length === 0 ? chunk : Buffer.concat([this.#left, chunk]);
    while (left.length >= 9) {
      const length = left.readUIntBE(0, 3);
      if (left.length < 9 + length) break;
      const payload = left.subarray(9, 9 + length);
      const [type, flags] = [left[3] as number, left[4] as number];
      this.frames.push({ type, flags, streamId: readUint32(left, 5), payload });
      left = left.subarray(9 + length);
    }
    this.#left = left;
  }

  onWritable(): void {}

  onEnd(): void {
    this.closed = true;
    this.connection.end();
  }

  onClose(): void {
    this.closed = true;
  }

  /** Lets everything that is under way arrive. */
  async settle(): Promise<void> {
    for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  ofType(type: number): RawFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The error code of the first GOAWAY; -1 without one. */
  get goAwayCode(): number {
    const frame = this.ofType(FrameType.GOAWAY)[0];
    return frame === undefined ? -1 : readUint32(frame.payload, 4);
  }
}

export function makeFrame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array,
): Buffer {
  const frame = Buffer.alloc(9 + payload.length);
  writeFrameHeader(frame, 0, payload.length, type, flags, streamId);
  frame.set(payload, 9);
  return frame;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Answers with `reply` when the request has ended. */
export function replyAtEnd(stream: Http2Stream, reply: Uint8Array = Buffer.from("ok")): Recorder {
  const recorder = new Recorder();
  recorder.onEnded = () => {
    if (recorder.ended) stream.sendUnary(grpcHeaders, reply, 0, reply.length, grpcTrailers);
  };
  return recorder;
}
