// What unary and streaming calls on the server share: one object per call, which is the stream's
// receiver itself. The life of a call is open -> answered | cancelled; whichever comes first decides,
// and the other is ignored. What only some calls need lives in `extras`, made when first needed.

import { assert } from "../../base/assert.ts";
import { Status, type StatusCode, StatusError } from "../../base/status.ts";
import type { Clock } from "../../io/clock.ts";
import { prepareHeaders } from "../http2/prepared-headers.ts";
import type { HeaderList, Http2Session, Http2Stream, StreamReceiver } from "../http2/types.ts";
import { acceptsGzip, compressMessage, expandMessage } from "./compression.ts";
import type { DeadlineEntry, DeadlineWheel } from "./deadline-wheel.ts";
import type { ByteBudget } from "./message-reader.ts";
import { Metadata } from "./metadata.ts";
import type { CallHead, MethodStats, RegisteredMethod } from "./method-table.ts";
import { encodeStatusMessage } from "./status-text.ts";
import type { CallObserver, Encoding, MethodInfo, Peer, ServerCall } from "./types.ts";

/** What all calls of one server share. */
export interface ServerCore {
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly budget: ByteBudget;
  readonly maxReceiveMessageBytes: number;
  readonly maxSendMessageBytes: number;
  /** Output of one stream above which `write` says to wait. */
  readonly streamHighWaterBytes: number;
  /** One Peer object per connection. */
  readonly peers: WeakMap<Http2Session, Peer>;
  /** Told of exceptions out of handlers that are no StatusError. */
  readonly onHandlerError: (error: unknown, method: MethodInfo) => void;
}

interface CallExtras {
  metadata: Metadata | undefined;
  responseHeaders: Metadata | undefined;
  trailers: Metadata | undefined;
  deadlineEntry: DeadlineEntry | undefined;
  observers: CallObserver[] | undefined;
  abort: AbortController | undefined;
  encoding: Encoding;
  compress: boolean;
}

export const okHeaders = prepareHeaders([":status", "200", "content-type", "application/grpc"]);
export const okTrailers = prepareHeaders(["grpc-status", "0"]);

export abstract class ServerCallBase implements ServerCall, StreamReceiver {
  readonly stream: Http2Stream;
  readonly deadlineMs: number;
  protected readonly core: ServerCore;
  protected readonly head: CallHead;
  messageCompressed = false;
  protected headersSent = false;
  #phase: "open" | "answered" | "cancelled" = "open";
  #extras: CallExtras | undefined;

  constructor(core: ServerCore, stream: Http2Stream, head: CallHead) {
    this.core = core;
    this.stream = stream;
    this.head = head;
    this.deadlineMs = head.timeoutMs;
    (head.method as RegisteredMethod).stats.started++;
    if (head.timeoutMs !== Number.POSITIVE_INFINITY) {
      this.deadlineMs = core.clock.now() + head.timeoutMs;
      this.#ensureExtras().deadlineEntry = core.deadlines.add(this.deadlineMs, () =>
        this.#onDeadline(),
      );
    }
  }

  get method(): MethodInfo {
    return this.head.method as RegisteredMethod;
  }

  protected get stats(): MethodStats {
    return (this.head.method as RegisteredMethod).stats;
  }

  get metadata(): Metadata {
    const extras = this.#ensureExtras();
    extras.metadata ??= Metadata.fromHeaders(this.head.headers);
    return extras.metadata;
  }

  get peer(): Peer {
    return peerOf(this.core, this.stream.session);
  }

  get cancelled(): boolean {
    return this.#phase === "cancelled";
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  get signal(): AbortSignal {
    const extras = this.#ensureExtras();
    extras.abort ??= new AbortController();
    if (this.#phase === "cancelled") extras.abort.abort();
    return extras.abort.signal;
  }

  get responseEncoding(): Encoding {
    return this.#extras?.encoding ?? "identity";
  }

  set responseEncoding(encoding: Encoding) {
    if (this.headersSent)
      throw new StatusError(Status.INTERNAL, "response headers are already sent");
    const isAccepted = encoding === "identity" || acceptsGzip(this.head.acceptEncoding);
    this.#ensureExtras().encoding = isAccepted ? encoding : "identity";
  }

  get compress(): boolean {
    return this.#extras?.compress ?? true;
  }

  set compress(value: boolean) {
    this.#ensureExtras().compress = value;
  }

  sendHeaders(metadata: Metadata): void {
    if (this.headersSent)
      throw new StatusError(Status.INTERNAL, "response headers are already sent");
    if (!this.isOpen) return;
    this.#ensureExtras().responseHeaders = metadata;
    this.flushHeaders();
  }

  setTrailers(metadata: Metadata): void {
    this.#ensureExtras().trailers = metadata;
  }

  observe(observer: CallObserver): void {
    const extras = this.#ensureExtras();
    extras.observers ??= [];
    extras.observers.push(observer);
  }

  abstract onData(source: Buffer, start: number, end: number, endStream: boolean): void;
  abstract onTrailers(headers: HeaderList): void;
  abstract onWritable(): void;
  /** Tells the handler; called once, after the call was marked as cancelled. */
  protected abstract onCancelled(): void;

  onReset(_errorCode: number, reason: string): void {
    this.#cancel(Status.CANCELLED, reason);
  }

  /** Sends the response headers unless they are sent. */
  protected flushHeaders(): void {
    if (this.headersSent) return;
    this.headersSent = true;
    const extras = this.#extras;
    if (extras === undefined || (!extras.responseHeaders && extras.encoding === "identity")) {
      this.stream.sendHeaders(okHeaders, false);
      return;
    }
    const list = okHeaders.list.slice();
    if (extras.encoding !== "identity") list.push("grpc-encoding", extras.encoding);
    extras.responseHeaders?.appendTo(list);
    this.stream.sendHeaders(list, false);
  }

  /** Queues one message; the headers must be sent. */
  protected sendMessage(source: Uint8Array, start: number, end: number): void {
    this.stats.messagesSent++;
    const extras = this.#extras;
    if (extras === undefined || extras.encoding === "identity" || !extras.compress) {
      this.stream.sendMessage(source, start, end, false);
      return;
    }
    sendCompressed(this.stream, source, start, end, false);
  }

  /** True when nothing but the fixed headers, one message and the fixed trailers is to be sent. */
  protected get isPlainReply(): boolean {
    const extras = this.#extras;
    return (
      !this.headersSent &&
      (extras === undefined || (extras.encoding === "identity" && extras.trailers === undefined))
    );
  }

  /** Marks the call as answered. False when it has been cancelled. To answer twice is a bug. */
  protected beginAnswer(code: StatusCode, message: string): boolean {
    if (this.#phase === "cancelled") return false;
    assert(this.#phase === "open", "a call was answered twice");
    this.#phase = "answered";
    this.#settle(code, message);
    return true;
  }

  /** Sends the status that ends the call. `beginAnswer` must have been true. */
  protected sendStatus(code: StatusCode, message: string, trailers: Metadata | undefined): void {
    const common = this.#extras?.trailers;
    if (code === Status.OK && common === undefined && trailers === undefined) {
      this.flushHeaders();
      this.stream.sendTrailers(okTrailers);
    } else {
      const list = this.headersSent ? [] : okHeaders.list.slice();
      list.push("grpc-status", String(code));
      if (code !== Status.OK && message !== "")
        list.push("grpc-message", encodeStatusMessage(message));
      common?.appendTo(list);
      trailers?.appendTo(list);
      if (this.headersSent) this.stream.sendTrailers(list);
      else this.stream.sendHeaders(list, true);
      this.headersSent = true;
    }
  }

  /** Expands a compressed request message, or ends the call with the reason why not. */
  protected expand(source: Buffer, start: number, end: number): Buffer | undefined {
    if (this.head.encoding === "identity") {
      this.failCall(Status.INTERNAL, "grpc: compressed flag set with identity or empty encoding");
      return undefined;
    }
    const expanded = expandMessage(source, start, end, this.core.maxReceiveMessageBytes);
    if (Buffer.isBuffer(expanded)) return expanded;
    this.failCall(expanded.code, expanded.message);
    return undefined;
  }

  /** Ends the call with an error that the handler did not ask for; to the handler it is a cancel. */
  failCall(code: StatusCode, message: string, trailers?: Metadata): void {
    if (!this.isOpen) return;
    this.sendStatus(code, message, trailers);
    this.#cancel(code, message);
  }

  /** An exception out of the handler. */
  protected failUnexpected(error: unknown): void {
    this.core.onHandlerError(error, this.method);
  }

  #onDeadline(): void {
    this.failCall(Status.DEADLINE_EXCEEDED, "context deadline exceeded");
  }

  #cancel(code: StatusCode, reason: string): void {
    if (this.#phase !== "open") return;
    this.#phase = "cancelled";
    this.#settle(code, reason);
    this.#extras?.abort?.abort(new StatusError(code, reason));
    this.onCancelled();
  }

  #settle(code: StatusCode, message: string): void {
    const handled = this.stats.handled;
    handled[code] = (handled[code] as number) + 1;
    const extras = this.#extras;
    if (extras === undefined) return;
    if (extras.deadlineEntry !== undefined) this.core.deadlines.remove(extras.deadlineEntry);
    if (extras.observers === undefined) return;
    for (const observer of extras.observers) observer.onEnd(code, message);
  }

  #ensureExtras(): CallExtras {
    this.#extras ??= {
      metadata: undefined,
      responseHeaders: undefined,
      trailers: undefined,
      deadlineEntry: undefined,
      observers: undefined,
      abort: undefined,
      encoding: "identity",
      compress: true,
    };
    return this.#extras;
  }
}

/** Sends one gzip message in a frame of its own. */
export function sendCompressed(
  stream: Http2Stream,
  source: Uint8Array,
  start: number,
  end: number,
  endStream: boolean,
): void {
  const payload = compressMessage(source, start, end);
  const frame = Buffer.allocUnsafe(5 + payload.length);
  frame[0] = 1;
  frame.writeUInt32BE(payload.length, 1);
  payload.copy(frame, 5);
  stream.sendData(frame, 0, frame.length, endStream);
}

/** The same object for all calls of a connection. */
function peerOf(core: ServerCore, session: Http2Session): Peer {
  let peer = core.peers.get(session);
  if (peer === undefined) {
    peer = {
      address: session.remoteAddress,
      secure: session.secure,
      certificate: session.peerCertificate(),
    };
    core.peers.set(session, peer);
  }
  return peer;
}
