// One call on the client. It lives through waiting for a connection, a stream, and perhaps a second
// stream when a server refused the first unseen; it ends once. Everything that was written is kept
// for such a repeat until the server answers, but only up to a bound.

import { Status, type StatusCode } from "../../base/status.ts";
import {
  type ClientHttp2Session,
  ErrorCode,
  type HeaderList,
  type Http2Stream,
  type PreparedHeaders,
  type StreamReceiver,
} from "../http2/types.ts";
import { compressMessage, expandMessage, parseEncoding } from "./compression.ts";
import type { DeadlineEntry, DeadlineWheel } from "./deadline-wheel.ts";
import { type ByteBudget, MessageReader, writeFrameHeader } from "./message-reader.ts";
import { Metadata } from "./metadata.ts";
import { isGrpcContentType } from "./method-table.ts";
import { unsentTrailers } from "./rpc-error.ts";
import {
  codeOfHttpStatus,
  codeOfReset,
  decodeStatusMessage,
  parseStatusCode,
} from "./status-text.ts";
import type {
  CallOptions,
  ClientCallHandle,
  ClientCallListener,
  Encoding,
  MethodInfo,
  WriteOptions,
} from "./types.ts";

/** What a call needs of its channel. */
export interface CallOwner {
  readonly deadlines: DeadlineWheel;
  readonly budget: ByteBudget;
  readonly streamHighWaterBytes: number;
  nowMs(): number;
  /** The request headers of this call as they are now. */
  headersFor(call: ClientCall, session: ClientHttp2Session): HeaderList | PreparedHeaders;
  /** Finds a session for the call: calls `begin` or `finish`, now or later. */
  place(call: ClientCall): void;
  /** The call has ended and needs no session any more. */
  onFinished(call: ClientCall): void;
}

interface Output {
  readonly frame: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** The frame already begins with the five bytes of the prefix. */
  readonly prefixed: boolean;
}

/** What is kept for repeating a refused call, and how often it is repeated. */
const keptBytesMax = 262_144;
const attemptsMax = 4;

export class ClientCall implements ClientCallHandle, StreamReceiver {
  readonly method: MethodInfo;
  readonly options: CallOptions;
  readonly deadlineMs: number;
  readonly #owner: CallOwner;
  readonly #listener: ClientCallListener;
  readonly #maxReceiveBytes: number;
  readonly #maxSendBytes: number;
  #ended = false;
  #stream: Http2Stream | undefined;
  #reader: MessageReader;
  /** Written and not known to have been seen by the server; undefined once a repeat is out of the question. */
  #kept: Output[] | undefined = [];
  #keptBytes = 0;
  #attempts = 0;
  #halfClosed = false;
  #paused = false;
  #reading = false;
  #drainOwed = false;
  #headersSeen = false;
  #responseEncoding: Encoding | undefined = "identity";
  #responseEncodingName = "";
  /** The status that came, while messages before it are still to be delivered. */
  #outcome: { code: StatusCode; message: string; trailers: Metadata } | undefined;
  #deadlineEntry: DeadlineEntry | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    owner: CallOwner,
    method: MethodInfo,
    options: CallOptions,
    limits: { readonly maxReceiveBytes: number; readonly maxSendBytes: number },
    deadlineMs: number,
    listener: ClientCallListener,
  ) {
    this.#owner = owner;
    this.method = method;
    this.options = options;
    this.deadlineMs = deadlineMs;
    this.#listener = listener;
    this.#maxReceiveBytes = limits.maxReceiveBytes;
    this.#maxSendBytes = limits.maxSendBytes;
    this.#reader = new MessageReader(limits.maxReceiveBytes, owner.budget);
  }

  /** Starts deadline and cancellation, and looks for a session. */
  start(): void {
    const signal = this.options.signal;
    if (signal?.aborted) {
      this.#endLater(Status.CANCELLED, "context canceled");
      return;
    }
    if (signal !== undefined) {
      this.#onAbort = () => this.cancel();
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
    if (this.deadlineMs !== Number.POSITIVE_INFINITY) {
      this.#deadlineEntry = this.#owner.deadlines.add(this.deadlineMs, () =>
        this.#abort(Status.DEADLINE_EXCEEDED, "context deadline exceeded"),
      );
    }
    this.#owner.place(this);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The channel found a session. */
  begin(session: ClientHttp2Session): void {
    if (this.#ended) return;
    this.#attempts++;
    const kept = this.#kept as Output[];
    const endsAtOnce = this.#halfClosed && kept.length === 0;
    const stream = session.request(this.#owner.headersFor(this, session), endsAtOnce, this);
    this.#stream = stream;
    for (let i = 0; i < kept.length; i++) {
      this.#send(kept[i] as Output, this.#halfClosed && i === kept.length - 1);
    }
    this.#checkKept();
    if (this.#drainOwed && stream.bufferedBytes <= this.#owner.streamHighWaterBytes) {
      this.#drainOwed = false;
      queueMicrotask(() => {
        if (!this.#ended) this.#listener.onDrain();
      });
    }
  }

  write(source: Uint8Array, start: number, end: number, options?: WriteOptions): boolean {
    if (this.#ended || this.#halfClosed) return true;
    if (end - start > this.#maxSendBytes) {
      const text = `trying to send message larger than max (${end - start} vs. ${this.#maxSendBytes})`;
      this.#abort(Status.RESOURCE_EXHAUSTED, text, true);
      return true;
    }
    const output = this.#frame(source, start, end, options?.compress ?? true);
    if (this.#kept !== undefined) {
      this.#kept.push(output);
      this.#keptBytes += output.end - output.start;
    }
    if (this.#stream === undefined) {
      if (this.#keptBytes <= this.#owner.streamHighWaterBytes) return true;
    } else {
      this.#send(output, false);
      this.#checkKept();
      if (this.#stream.bufferedBytes <= this.#owner.streamHighWaterBytes) return true;
    }
    this.#drainOwed = true;
    return false;
  }

  /** `write` and `halfClose` in one, so that the message ends the stream. */
  writeLast(source: Uint8Array, start: number, end: number): void {
    if (this.#stream !== undefined || end - start > this.#maxSendBytes) {
      this.write(source, start, end);
      this.halfClose();
      return;
    }
    const output = this.#frame(source, start, end, true);
    this.#kept?.push(output);
    this.#keptBytes += output.end - output.start;
    this.#halfClosed = true;
  }

  halfClose(): void {
    if (this.#ended || this.#halfClosed) return;
    this.#halfClosed = true;
    this.#stream?.sendData(noBytes, 0, 0, true);
  }

  cancel(reason = "context canceled"): void {
    this.#abort(Status.CANCELLED, reason);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#ended) this.#read();
  }

  onHeaders(headers: HeaderList, endStream: boolean): void {
    const status = Number(headers[1]);
    if (this.#ended || (status >= 100 && status < 200)) return;
    this.#kept = undefined;
    if (endStream) {
      this.#onStatus(headers, status);
      return;
    }
    if (this.#headersSeen) return;
    this.#headersSeen = true;
    const contentType = findHeader(headers, "content-type") ?? "";
    if (status !== 200 || !isGrpcContentType(contentType)) {
      this.#failNotGrpc(headers, status, contentType);
      return;
    }
    this.#responseEncodingName = findHeader(headers, "grpc-encoding") ?? "";
    this.#responseEncoding = parseEncoding(this.#responseEncodingName);
    this.#listener.onHeaders(Metadata.fromHeaders(headers));
  }

  onData(source: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.#ended) return;
    this.#reader.push(source, start, end);
    if (endStream) {
      this.#outcome = {
        code: Status.INTERNAL,
        message: "server closed the stream without sending trailers",
        trailers: new Metadata(),
      };
    }
    this.#read();
  }

  onTrailers(headers: HeaderList): void {
    if (!this.#ended) this.#onStatus(headers, 200);
  }

  onReset(errorCode: number, reason: string): void {
    if (this.#ended) return;
    const stream = this.#stream;
    this.#stream = undefined;
    if (errorCode === ErrorCode.REFUSED_STREAM && this.#repeat()) return;
    if (this.#outcome !== undefined) return;
    const isLost = stream === undefined || stream.session.closed;
    let code: StatusCode = isLost ? Status.UNAVAILABLE : codeOfReset(errorCode);
    // The server's clock may ring before our timer does.
    if (code === Status.CANCELLED && this.#owner.nowMs() >= this.deadlineMs) {
      code = Status.DEADLINE_EXCEEDED;
    }
    const text = isLost
      ? `error reading from server: ${reason}`
      : `stream terminated by RST_STREAM with error code: ${nameOfErrorCode(errorCode)}`;
    this.#outcome = { code, message: text, trailers: new Metadata() };
    this.#read();
  }

  onWritable(): void {
    if (!this.#drainOwed || this.#ended) return;
    this.#drainOwed = false;
    this.#listener.onDrain();
  }

  /** Ends the call from the channel's side, without a stream. */
  finish(code: StatusCode, message: string): void {
    this.#finish(code, message, unsentTrailers);
  }

  #frame(source: Uint8Array, start: number, end: number, compress: boolean): Output {
    if (this.options.encoding !== "gzip" || !compress) {
      return { frame: source, start, end, prefixed: false };
    }
    const payload = compressMessage(source, start, end);
    const frame = Buffer.allocUnsafe(5 + payload.length);
    writeFrameHeader(frame, true, payload.length);
    payload.copy(frame, 5);
    return { frame, start: 0, end: frame.length, prefixed: true };
  }

  #send(output: Output, endStream: boolean): void {
    const stream = this.#stream as Http2Stream;
    if (output.prefixed) stream.sendData(output.frame, output.start, output.end, endStream);
    else stream.sendMessage(output.frame, output.start, output.end, endStream);
  }

  #checkKept(): void {
    if (this.#keptBytes > keptBytesMax) this.#kept = undefined;
  }

  /** Begins again on another session, when nothing has been lost. */
  #repeat(): boolean {
    if (this.#kept === undefined || this.#attempts >= attemptsMax) return false;
    this.#owner.place(this);
    return true;
  }

  /** Delivers messages, and the outcome behind them. Not entered twice. */
  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    const reader = this.#reader;
    while (!this.#ended && !this.#paused && reader.next()) this.#onMessage(reader);
    this.#reading = false;
    if (this.#ended) return;
    if (reader.failure !== undefined) {
      this.#abort(reader.failure.code, reader.failure.message);
      return;
    }
    const credit = reader.takeCredit();
    if (credit > 0) this.#stream?.consume(credit);
    if (this.#outcome === undefined || this.#paused) return;
    let { code, message } = this.#outcome;
    if (reader.isMidMessage && code === Status.OK) {
      code = Status.INTERNAL;
      message = "unexpected EOF in a response message";
    }
    this.#finish(code, message, this.#outcome.trailers);
  }

  #onMessage(reader: MessageReader): void {
    if (!reader.compressed) {
      this.#listener.onMessage(reader.message, reader.start, reader.end, false);
      return;
    }
    if (this.#responseEncoding === undefined) {
      const name = JSON.stringify(this.#responseEncodingName);
      this.#abort(Status.INTERNAL, `grpc: Decompressor is not installed for grpc-encoding ${name}`);
      return;
    }
    if (this.#responseEncoding === "identity") {
      this.#abort(Status.INTERNAL, "grpc: compressed flag set with identity or empty encoding");
      return;
    }
    const { message, start, end } = reader;
    const expanded = expandMessage(message, start, end, this.#maxReceiveBytes);
    if (Buffer.isBuffer(expanded)) this.#listener.onMessage(expanded, 0, expanded.length, true);
    else this.#abort(expanded.code, expanded.message);
  }

  #onStatus(headers: HeaderList, httpStatus: number): void {
    const statusText = findHeader(headers, "grpc-status");
    const trailers = Metadata.fromHeaders(headers);
    if (statusText === undefined) {
      const contentType = findHeader(headers, "content-type") ?? "";
      if (httpStatus !== 200 || (!this.#headersSeen && !isGrpcContentType(contentType))) {
        this.#failNotGrpc(headers, httpStatus, contentType);
        return;
      }
      const message = "server closed the stream without sending a grpc-status";
      this.#outcome = { code: Status.INTERNAL, message, trailers };
    } else {
      const message = decodeStatusMessage(findHeader(headers, "grpc-message") ?? "");
      this.#outcome = { code: parseStatusCode(statusText), message, trailers };
    }
    this.#read();
  }

  #failNotGrpc(headers: HeaderList, httpStatus: number, contentType: string): void {
    const text =
      httpStatus !== 200
        ? `unexpected HTTP status code received from server: ${httpStatus}`
        : `received unexpected content-type ${JSON.stringify(contentType)}`;
    const code = httpStatus === 200 ? Status.UNKNOWN : codeOfHttpStatus(httpStatus);
    this.#resetStream(ErrorCode.CANCEL);
    this.#finish(code, text, Metadata.fromHeaders(headers));
  }

  #abort(code: StatusCode, message: string, later = false): void {
    if (this.#ended) return;
    this.#resetStream(ErrorCode.CANCEL);
    if (later) this.#endLater(code, message);
    else this.#finish(code, message, new Metadata());
  }

  #resetStream(errorCode: number): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.reset(errorCode);
  }

  /** For failures inside a call of the owner, who is not ready to hear of them. */
  #endLater(code: StatusCode, message: string): void {
    queueMicrotask(() => this.#finish(code, message, new Metadata()));
  }

  #finish(code: StatusCode, message: string, trailers: Metadata): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#kept = undefined;
    this.#reader.release();
    if (this.#deadlineEntry !== undefined) this.#owner.deadlines.remove(this.#deadlineEntry);
    if (this.#onAbort !== undefined) {
      this.options.signal?.removeEventListener("abort", this.#onAbort);
    }
    // The server has ended; what we still had to say is of no use to it.
    const stream = this.#stream;
    if (stream !== undefined && (!this.#halfClosed || stream.bufferedBytes > 0)) {
      stream.reset(ErrorCode.NO_ERROR);
    }
    this.#stream = undefined;
    this.#owner.onFinished(this);
    this.#listener.onEnd(code, message, trailers);
  }
}

const noBytes = new Uint8Array(0);

function findHeader(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i] === name) return headers[i + 1];
  }
  return undefined;
}

function nameOfErrorCode(code: number): string {
  for (const [name, value] of Object.entries(ErrorCode)) if (value === code) return name;
  return String(code);
}
