// The seam between HTTP/2 and what runs on it. Sessions call receivers and handlers synchronously
// from the parse loop: they must not throw (a throw ends the session with INTERNAL_ERROR) and must
// not block. Output is gathered and written once per callback, by `process.nextTick`.

import type { PeerCertificate } from "node:tls";

/**
 * name, value, name, value ... Names are lower case, values latin1, pseudo headers come first.
 * Lists that come from a session are shared between requests with the same header block: never
 * change one. Two requests with the very same list object have the same headers, so what was worked
 * out from a list may be kept beside it (the identity is a sound cache key, and the usual case).
 */
export type HeaderList = readonly string[];

/** A constant header list whose HPACK form each session caches. Make it once, with `prepareHeaders(list)`. */
export interface PreparedHeaders {
  readonly list: HeaderList;
}

/** What receives a stream's input. */
export interface StreamReceiver {
  /**
   * Body bytes source[start, end). `source` may be kept (it is never overwritten, but pins up to
   * 64 KiB). Bytes count against both receive windows until `stream.consume(n)`; what is not consumed
   * when the stream closes is given back by the session, so a unary handler need not consume.
   * One DATA frame may arrive in several pieces. `end === start` with `endStream` is possible.
   */
  onData(source: Buffer, start: number, end: number, endStream: boolean): void;
  /** Server: trailers of the request. Client: trailers of the response. Always ends the stream's input. */
  onTrailers(headers: HeaderList): void;
  /** Client only: response headers, 1xx included (`:status` is first). `endStream`: a response without body ("trailers only"). */
  onHeaders?(headers: HeaderList, endStream: boolean): void;
  /**
   * The stream ended abnormally: RST_STREAM by the peer, a protocol error, or a lost connection. At most
   * once; never after both sides ended; not for `stream.reset()` by the owner itself. `errorCode` is an `ErrorCode`.
   * Client: REFUSED_STREAM means that the server did not begin the request (safe to retry).
   */
  onReset(errorCode: number, reason: string): void;
  /** Buffered output fell under the low-water mark after having been above the high-water mark. */
  onWritable(): void;
}

export interface Http2Stream {
  /** 0 on a client stream that still waits for the peer's MAX_CONCURRENT_STREAMS. */
  readonly id: number;
  readonly session: Http2Session;
  receiver: StreamReceiver;
  /** Free for the owner of the stream. */
  context: unknown;
  /** No more output is possible: ended, reset or connection lost. Sends on a closed stream do nothing. */
  readonly writeEnded: boolean;
  /** Bytes accepted by sendData and not yet handed to the socket. */
  readonly bufferedBytes: number;
  /** Server: 1xx, final response or (Trailers-Only) a whole response with `endStream`. */
  sendHeaders(headers: HeaderList | PreparedHeaders, endStream: boolean): void;
  /** Sends source[start, end). The caller must not change the bytes afterwards. Queues past the flow-control window. */
  sendData(source: Uint8Array, start: number, end: number, endStream: boolean): void;
  /** As sendData, with the 5-byte gRPC prefix (0, length) written in front by the session. */
  sendMessage(source: Uint8Array, start: number, end: number, endStream: boolean): void;
  /** Server, the hot path: HEADERS, DATA (gRPC prefix and source[start, end)) and trailing HEADERS in one go. */
  sendUnary(
    headers: PreparedHeaders,
    source: Uint8Array,
    start: number,
    end: number,
    trailers: PreparedHeaders,
  ): void;
  /** Ends the output with trailers, after all queued data. */
  sendTrailers(headers: HeaderList | PreparedHeaders): void;
  /** RST_STREAM now; queued output is dropped. The receiver is not called any more. */
  reset(errorCode: number): void;
  /** Gives receive-window credit back (stream and connection). Does nothing once the stream is closed. */
  consume(bytes: number): void;
}

/** Server and client. */
export interface Http2Session {
  readonly isServer: boolean;
  /** "address:port" or "[address]:port" of the peer; "unix:" for a unix socket. */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** TLS. */
  readonly secure: boolean;
  /** The peer's certificate; undefined without TLS or when it showed none. */
  peerCertificate(): PeerCertificate | undefined;
  /** Free for the owner of the session (keepalive state, authentication...). */
  context: unknown;
  readonly activeStreams: number;
  /** Bytes held for this peer: output not yet handed to the socket, and input not yet consumed. */
  readonly bufferedBytes: number;
  /** The bytes held for this peer, or for all peers together, exceed their limit: take on nothing more for it. */
  readonly overLimit: boolean;
  /** Clock time (ms) when bytes last arrived. */
  readonly lastReceivedMs: number;
  /** How many HEADERS and DATA frames were sent; only ever grows (keepalive enforcement compares it). */
  readonly framesSent: number;
  readonly closed: boolean;
  /** The longest header list (HTTP/2's count) that the peer says it accepts; Infinity when it says nothing. Not enforced here. */
  readonly peerHeaderListBytesMax: number;
  /** A GOAWAY was sent or received: no new streams. */
  readonly draining: boolean;
  /** Round trip in ms. Rejects when the session closes first. */
  ping(): Promise<number>;
  /** GOAWAY. NO_ERROR only forbids new streams; any other code closes the connection once it is written. */
  goAway(errorCode: number, debug?: string): void;
  /** GOAWAY, waits for the open streams, closes; after `graceMs` the rest is cut. */
  shutdown(graceMs: number): Promise<void>;
  /** Closes at once; open streams get onReset. */
  destroy(error?: Error): void;
  /** Settles when the session is closed; never rejects. */
  readonly whenClosed: Promise<void>;
}

/** Events of a session itself. */
export interface SessionEvents {
  /** Once. `error` is undefined after an orderly end. */
  onClose?(session: Http2Session, error: Error | undefined): void;
  /** A PING (not an acknowledgement) came; the session has already answered it. For keepalive enforcement. */
  onPing?(session: Http2Session): void;
}

export interface ServerHandler extends SessionEvents {
  /** Every request. The headers are checked (pseudo headers present and legal). Returns who gets the input; with `endStream` there is none to come. */
  onStream(stream: Http2Stream, headers: HeaderList, endStream: boolean): StreamReceiver;
}

export interface ClientHandler extends SessionEvents {
  /** The server's SETTINGS arrived: the connection works. Once. */
  onReady?(session: ClientHttp2Session): void;
  /** The server goes away. Streams it will not serve have been reset with REFUSED_STREAM before this call. */
  onGoAway?(session: ClientHttp2Session, errorCode: number, debug: string): void;
}

export interface ClientHttp2Session extends Http2Session {
  /**
   * Opens a stream. Over the peer's MAX_CONCURRENT_STREAMS it waits (bounded by `pendingStreamsMax`);
   * when the session can not take it at all, the receiver gets onReset(REFUSED_STREAM) on the next tick.
   */
  request(
    headers: HeaderList | PreparedHeaders,
    endStream: boolean,
    receiver: StreamReceiver,
  ): Http2Stream;
  /** What the peer allows at once. */
  readonly streamsMax: number;
  /** The server's SETTINGS have arrived. */
  readonly ready: boolean;
}

/** Limits and sizes. Everything has a default (`defaultHttp2Options`). */
export interface Http2Options {
  /** Streams the peer may have open at once (we advertise it, always finite). */
  readonly maxConcurrentStreams?: number;
  /** Receive window of one stream and of the connection, bytes. */
  readonly streamWindowBytes?: number;
  readonly connectionWindowBytes?: number;
  /** Our SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes?: number;
  /** Decoded header list, by HTTP/2's count (name + value + 32 each). Over it: 431 or a reset; far over it: the connection ends. */
  readonly headerListBytesMax?: number;
  /** HPACK table we let the peer's encoder use, and the most that our encoder uses of what the peer allows. */
  readonly headerTableBytes?: number;
  readonly encoderTableBytesMax?: number;
  /** CONTINUATION frames in one header block. */
  readonly continuationsMax?: number;
  /** Frames a second of each cheap kind before ENHANCE_YOUR_CALM. */
  readonly settingsPerSecondMax?: number;
  readonly pingsPerSecondMax?: number;
  readonly emptyDataPerSecondMax?: number;
  readonly resetsPerSecondMax?: number;
  readonly prioritiesPerSecondMax?: number;
  readonly windowUpdatesPerSecondMax?: number;
  readonly unknownFramesPerSecondMax?: number;
  /** Bytes held for one peer, over which its new streams are refused; and in all sessions that share a `SessionHost`. */
  readonly sessionBytesMax?: number;
  readonly totalBytesMax?: number;
  /** Buffered output of one stream above which it counts as not writable, and below which onWritable is called. */
  readonly streamHighWaterBytes?: number;
  readonly streamLowWaterBytes?: number;
  /** The peer's preface and SETTINGS, and any begun header block, must be complete within this. */
  readonly handshakeTimeoutMs?: number;
  /** The socket takes no byte for this long while output waits: the connection is destroyed. */
  readonly writeStallTimeoutMs?: number;
  /** Streams without send window for this long are reset, but only while a bytes limit is exceeded. */
  readonly streamStallTimeoutMs?: number;
  /** Client: requests that may wait for the peer's MAX_CONCURRENT_STREAMS. */
  readonly pendingStreamsMax?: number;
}

/** RFC 9113 section 7. */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];
