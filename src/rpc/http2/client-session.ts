// The client's end of a connection: numbers its requests, keeps to what the server allows at once
// (the rest waits, bounded), and tells apart what may be repeated (REFUSED_STREAM) from what may not.

import type { Connection } from "../../io/network.ts";
import { MAX_STREAM_ID, PREFACE, readUint32 } from "./frames.ts";
import { checkResponse, checkTrailers } from "./header-rules.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { PreparedHeaderList } from "./prepared-headers.ts";
import { Session } from "./session.ts";
import { SessionHost } from "./session-host.ts";
import type { PeerSettings } from "./settings.ts";
import { Stream, StreamState } from "./stream.ts";
import {
  type ClientHandler,
  type ClientHttp2Session,
  ErrorCode,
  type HeaderList,
  type Http2Options,
  type PreparedHeaders,
  type StreamReceiver,
} from "./types.ts";

/** What we open before the server has said how much it takes. */
const STREAMS_MAX_BEFORE_SETTINGS = 100;

interface PendingRequest {
  readonly stream: Stream;
  readonly headers: HeaderList | PreparedHeaders;
  readonly endStream: boolean;
}

export class ClientSession extends Session implements ClientHttp2Session {
  readonly isServer = false;
  streamsMax = STREAMS_MAX_BEFORE_SETTINGS;
  ready = false;
  readonly #handler: ClientHandler;
  #nextStreamId = 1;
  #pending: PendingRequest[] = [];

  constructor(
    connection: Connection,
    handler: ClientHandler,
    options?: Http2Options,
    host: SessionHost = new SessionHost(),
  ) {
    super(connection, handler, options, host, false);
    this.#handler = handler;
    const at = this.output.reserve(PREFACE.length);
    PREFACE.copy(this.output.bytes, at);
    this.output.length = at + PREFACE.length;
    this.writeGreeting();
  }

  request(
    headers: HeaderList | PreparedHeaders,
    endStream: boolean,
    receiver: StreamReceiver,
  ): Stream {
    const stream = new Stream(this, 0, this.peerWindowBytes, this.newStreamWindowBytes, -1);
    stream.receiver = receiver;
    const list = headers instanceof PreparedHeaderList ? headers.list : (headers as HeaderList);
    if (list[0] === ":method" && list[1] === "HEAD") stream.state |= StreamState.HEAD;
    if (endStream) stream.state |= StreamState.END_QUEUED;
    if (this.draining || this.closed || this.#pending.length >= this.options.pendingStreamsMax) {
      process.nextTick(refuse, stream, this.closed ? "connection closed" : "connection draining");
    } else if (this.streams.size < this.streamsMax && this.#pending.length === 0) {
      this.#open(stream, headers, endStream);
    } else {
      this.#pending.push({ stream, headers, endStream });
    }
    return stream;
  }

  #open(stream: Stream, headers: HeaderList | PreparedHeaders, endStream: boolean): void {
    stream.id = this.#nextStreamId;
    this.#nextStreamId += 2;
    // The window may have changed while the request waited.
    stream.sendWindow = this.peerWindowBytes;
    this.streams.set(stream.id, stream);
    if (endStream) stream.state &= ~StreamState.END_QUEUED;
    this.sender.headers(stream, headers, endStream);
    if (!endStream && (stream.bufferedBytes > 0 || stream.writeEnded)) this.sender.opened(stream);
    if (this.#nextStreamId > MAX_STREAM_ID) this.draining = true;
  }

  /** Opens what waits, as far as the server allows. */
  #openPending(): void {
    while (this.#pending.length > 0 && this.streams.size < this.streamsMax && !this.draining) {
      const { stream, headers, endStream } = this.#pending.shift() as PendingRequest;
      if ((stream.state & StreamState.CLOSED) === 0) this.#open(stream, headers, endStream);
    }
  }

  onHeaderBlock(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    endStream: boolean,
  ): void {
    const stream = this.streams.get(streamId);
    const trailers = stream !== undefined && (stream.state & StreamState.RESPONSE_SEEN) !== 0;
    const block = this.decodeBlock(source, start, end, trailers ? 1 : 0);
    if (block === undefined) return;
    if (stream === undefined) return this.#onClosedStream(streamId);
    if ((stream.state & StreamState.REMOTE_ENDED) !== 0) {
      return this.failStream(stream, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM");
    }
    const fault = block.tooLarge
      ? "header list too large"
      : trailers
        ? checkTrailers(block)
        : checkResponse(block);
    if (fault !== "" || (trailers && (!endStream || stream.expectedBytes > 0))) {
      return this.failStream(stream, ErrorCode.PROTOCOL_ERROR, fault || "bad trailers");
    }
    if (trailers) this.#onTrailers(stream, block);
    else this.#onResponse(stream, block, endStream);
  }

  #onResponse(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    const status = block.list[1] as string;
    const informational = status.startsWith("1");
    if (informational && endStream) {
      return this.failStream(stream, ErrorCode.PROTOCOL_ERROR, "1xx that ends the stream");
    }
    if (!informational) {
      stream.state |= StreamState.RESPONSE_SEEN;
      const bodiless =
        (stream.state & StreamState.HEAD) !== 0 || status === "204" || status === "304";
      if (!bodiless) stream.expectedBytes = block.contentLength;
      if (endStream && stream.expectedBytes > 0) {
        return this.failStream(stream, ErrorCode.PROTOCOL_ERROR, "content-length does not match");
      }
    }
    if (endStream) stream.state |= StreamState.REMOTE_ENDED;
    stream.receiver.onHeaders?.(block.list, endStream);
    if (endStream) this.onRemoteEnd(stream);
  }

  #onTrailers(stream: Stream, block: HeaderBlock): void {
    stream.state |= StreamState.REMOTE_ENDED;
    stream.receiver.onTrailers(block.list);
    this.onRemoteEnd(stream);
  }

  #onClosedStream(streamId: number): void {
    if (this.isIdle(streamId)) {
      return this.connectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on an idle stream");
    }
    // Replies to requests that we have reset are ignored, however long ago that was.
    if (this.closedStreams.lookUp(streamId) === "ended") {
      this.connectionError(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream");
    }
  }

  onGoAwayFrame(source: Buffer, start: number, end: number): void {
    const lastStreamId = readUint32(source, start) & MAX_STREAM_ID;
    const errorCode = readUint32(source, start + 4);
    const debug = source.toString("utf8", start + 8, Math.min(end, start + 1_032));
    this.draining = true;
    for (const stream of [...this.streams.values()]) {
      if (stream.id <= lastStreamId) continue;
      this.dropStream(stream);
      stream.receiver.onReset(ErrorCode.REFUSED_STREAM, "the server goes away");
    }
    this.#refusePending("the server goes away");
    this.#handler.onGoAway?.(this, errorCode, debug);
    this.onStreamGone();
  }

  onLocalEnd(stream: Stream): void {
    if ((stream.state & StreamState.REMOTE_ENDED) !== 0) this.completeStream(stream);
  }

  protected isIdle(streamId: number): boolean {
    return streamId >= this.#nextStreamId || (streamId & 1) === 0;
  }

  protected onPeerSettings(settings: PeerSettings): void {
    if (settings.streamsMax >= 0) this.streamsMax = settings.streamsMax;
    else if (!this.ready) this.streamsMax = MAX_STREAM_ID;
    const first = !this.ready;
    this.ready = true;
    if (first) this.#handler.onReady?.(this);
    this.#openPending();
  }

  protected onStreamGone(): void {
    if (this.draining) {
      if (this.streams.size === 0 && this.#pending.length === 0) this.closeWhenIdle();
    } else if (this.#pending.length > 0) this.#openPending();
  }

  protected onStreamsLost(_errorCode: number, reason: string): void {
    this.#refusePending(reason);
  }

  #refusePending(reason: string): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const { stream } of pending) refuse(stream, reason);
  }
}

/** Ends a stream that was never sent. */
function refuse(stream: Stream, reason: string): void {
  if ((stream.state & StreamState.CLOSED) !== 0) return;
  stream.session.dropStream(stream);
  stream.receiver.onReset(ErrorCode.REFUSED_STREAM, reason);
}
