// One stream: its state, its windows, and the output that waits for a window. A small plain object,
// because a busy server makes hundreds of thousands of them a second; the work is done by the
// session (input) and its Sender (output).

import type { Sender } from "./sender.ts";
import type { Session } from "./session.ts";
import type { HeaderList, Http2Stream, PreparedHeaders, StreamReceiver } from "./types.ts";

/** Bits of `Stream.state`. */
export const StreamState = {
  /** The peer has sent END_STREAM. */
  REMOTE_ENDED: 1,
  /** We have sent END_STREAM. */
  LOCAL_ENDED: 2,
  /** Gone from the session: ended on both sides, or reset. */
  CLOSED: 4,
  /** Client: the final (not 1xx) response headers have come. */
  RESPONSE_SEEN: 8,
  /** In the sender's list of streams that can send. */
  READY: 16,
  /** Above the high-water mark: onWritable is owed. */
  CHOKED: 32,
  /** END_STREAM goes out with the last queued byte. */
  END_QUEUED: 64,
  /** Client: a HEAD request, whose response has a content-length but no body. */
  HEAD: 128,
} as const;

/** Output that waits for a window or the socket, in order. */
export class SendQueue {
  readonly sources: Uint8Array[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  head = 0;
  trailers: HeaderList | PreparedHeaders | undefined = undefined;
  /** Bytes that ever left the queue, and where that stood when the stream was last seen to move. */
  sentBytes = 0;
  markedBytes = -1;
  markedMs = 0;
}

const ignoringReceiver: StreamReceiver = {
  onData() {},
  onTrailers() {},
  onHeaders() {},
  onReset() {},
  onWritable() {},
};

export class Stream implements Http2Stream {
  id: number;
  readonly session: Session;
  readonly sender: Sender;
  receiver: StreamReceiver = ignoringReceiver;
  context: unknown = undefined;
  state = 0;
  sendWindow: number;
  /** What the peer may still send. */
  receiveWindow: number;
  /** Received and not yet consumed. */
  unconsumedBytes = 0;
  /** Consumed and not yet given back by WINDOW_UPDATE. */
  creditBytes = 0;
  /** What content-length still promises; -1 without one. */
  expectedBytes: number;
  bufferedBytes = 0;
  queue: SendQueue | undefined = undefined;

  constructor(
    session: Session,
    id: number,
    sendWindow: number,
    receiveWindow: number,
    expectedBytes: number,
  ) {
    this.session = session;
    this.sender = session.sender;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.expectedBytes = expectedBytes;
  }

  get writeEnded(): boolean {
    return (
      (this.state & (StreamState.LOCAL_ENDED | StreamState.CLOSED | StreamState.END_QUEUED)) !== 0
    );
  }

  sendHeaders(headers: HeaderList | PreparedHeaders, endStream: boolean): void {
    if (!this.writeEnded) this.sender.headers(this, headers, endStream);
  }

  sendData(source: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (!this.writeEnded) this.sender.data(this, source, start, end, endStream);
  }

  sendMessage(source: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (!this.writeEnded) this.sender.message(this, source, start, end, endStream);
  }

  sendUnary(
    headers: PreparedHeaders,
    source: Uint8Array,
    start: number,
    end: number,
    trailers: PreparedHeaders,
  ): void {
    if (!this.writeEnded) this.sender.unary(this, headers, source, start, end, trailers);
  }

  sendTrailers(headers: HeaderList | PreparedHeaders): void {
    if (!this.writeEnded) this.sender.trailers(this, headers);
  }

  reset(errorCode: number): void {
    if ((this.state & StreamState.CLOSED) === 0) this.session.resetStream(this, errorCode);
  }

  consume(bytes: number): void {
    if ((this.state & StreamState.CLOSED) === 0) this.session.consume(this, bytes);
  }
}
