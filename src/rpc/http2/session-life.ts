// The life of a session: what the connection reports, what is held for the peer, GOAWAY, and every way
// in which a session ends. Once a connection error is found nothing more is read; GOAWAY goes out
// and the connection is closed cleanly, so that the peer can read why.

import type { PeerCertificate } from "node:tls";
import { AssertionError } from "../../base/assert.ts";
import type { Connection, ConnectionHandler } from "../../io/network.ts";
import type { FrameReader } from "./frame-reader.ts";
import { FrameType, MAX_STREAM_ID, writeUint32 } from "./frames.ts";
import { completeOptions } from "./options.ts";
import { Output } from "./output.ts";
import { PingBook } from "./ping-book.ts";
import { Sender, type SenderOwner } from "./sender.ts";
import type { SessionHost, SweptSession } from "./session-host.ts";
import type { Stream } from "./stream.ts";
import { ErrorCode, type Http2Options, type Http2Session, type SessionEvents } from "./types.ts";

/** With this much output waiting for the socket, nothing more is read. */
const PAUSE_OUTPUT_BYTES = 512 << 10;
/** How long a closing connection may take to end after GOAWAY. */
const LINGER_MS = 1_000;

export abstract class SessionLife
  implements Http2Session, ConnectionHandler, SenderOwner, SweptSession
{
  abstract readonly isServer: boolean;
  context: unknown = undefined;
  readonly options: Required<Http2Options>;
  readonly host: SessionHost;
  readonly output: Output;
  readonly sender: Sender;
  readonly streams = new Map<number, Stream>();
  readonly whenClosed: Promise<void>;
  lastReceivedMs: number;
  draining = false;
  peerHeaderListBytesMax = Number.POSITIVE_INFINITY;
  /** False once the connection is beyond repair. */
  reading = true;
  /** The highest stream id that the peer has opened. */
  lastPeerStreamId = 0;
  protected abstract readonly reader: FrameReader;
  protected readonly connection: Connection;
  protected readonly events: SessionEvents;
  protected readonly pings: PingBook;
  /** The streams we will serve, after our GOAWAY. */
  protected lastServedStreamId = MAX_STREAM_ID;
  /** Received and not yet consumed, all streams. */
  protected unconsumedBytes = 0;
  #accountedBytes = 0;
  #paused = false;
  /** The end has begun: no stream is left, only the last bytes go out. */
  #closing = false;
  /** The connection is gone. */
  #gone = false;
  #lingerUntilMs = Number.POSITIVE_INFINITY;
  #closeError: Error | undefined = undefined;
  #resolveClosed: () => void = () => {};
  readonly #startedMs: number;
  #blockMark = 0;
  #blockMarkMs = 0;

  constructor(
    connection: Connection,
    events: SessionEvents,
    options: Http2Options | undefined,
    host: SessionHost,
  ) {
    this.connection = connection;
    this.events = events;
    this.options = completeOptions(options);
    this.host = host;
    this.output = new Output(connection, host);
    this.sender = new Sender(this, this.output, this.options);
    this.pings = new PingBook(this.sender, host.clock);
    this.#startedMs = host.clock.now();
    this.lastReceivedMs = this.#startedMs;
    this.whenClosed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    connection.handler = this;
    host.add(this);
  }

  abstract onLocalEnd(stream: Stream): void;
  /** Removes a stream without a frame; the caller tells its receiver. */
  abstract dropStream(stream: Stream): void;
  /** RST_STREAM because of the peer's error; the receiver is told. */
  abstract failStream(stream: Stream, errorCode: number, reason: string): void;
  /** A stream has left the session. */
  protected abstract onStreamGone(): void;
  /** The session ends: streams that wait outside `streams` end too. */
  protected abstract onStreamsLost(errorCode: number, reason: string): void;

  // ---- facts ----

  get remoteAddress(): string {
    return this.connection.remoteAddress;
  }

  get localAddress(): string {
    return this.connection.localAddress;
  }

  get secure(): boolean {
    return this.connection.secure;
  }

  peerCertificate(): PeerCertificate | undefined {
    return this.connection.peerCertificate();
  }

  get closed(): boolean {
    return this.#closing;
  }

  get activeStreams(): number {
    return this.streams.size;
  }

  get framesSent(): number {
    return this.sender.framesSent;
  }

  get bufferedBytes(): number {
    return this.sender.queuedBytes + this.output.pendingBytes + this.unconsumedBytes;
  }

  /** The bytes limits, of this session or of all, are exceeded. */
  get overLimit(): boolean {
    return (
      this.bufferedBytes > this.options.sessionBytesMax ||
      this.host.totalBytes > this.options.totalBytesMax
    );
  }

  // ---- connection events ----

  onData(chunk: Buffer): void {
    if (!this.reading) return;
    this.lastReceivedMs = this.host.clock.now();
    try {
      this.reader.read(chunk);
    } catch (error) {
      this.destroy(error as Error);
      if (error instanceof AssertionError) throw error;
    }
    this.#account();
    if (this.output.pendingBytes > PAUSE_OUTPUT_BYTES && this.output.writing && !this.#paused) {
      this.#paused = true;
      this.connection.pause();
    }
  }

  onWritable(): void {
    this.output.onWritable();
    this.sender.pump();
    if (this.#paused && this.output.pendingBytes <= PAUSE_OUTPUT_BYTES) {
      this.#paused = false;
      this.connection.resume();
    }
    this.#account();
  }

  onEnd(): void {
    this.#close(ErrorCode.CANCEL, "the peer closed the connection", undefined);
  }

  onClose(error: Error | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#closing = true;
    this.reading = false;
    this.draining = true;
    const cause = this.#closeError ?? error;
    this.output.discard();
    this.host.remove(this);
    this.host.totalBytes -= this.#accountedBytes;
    this.#accountedBytes = 0;
    this.#loseStreams(ErrorCode.CANCEL, cause?.message ?? "connection closed");
    this.pings.fail(cause ?? new Error("connection closed"));
    this.events.onClose?.(this, cause);
    this.#resolveClosed();
  }

  /** Keeps the total of bytes over all sessions. */
  #account(): void {
    if (this.#gone) return;
    const bytes = this.bufferedBytes;
    this.host.totalBytes += bytes - this.#accountedBytes;
    this.#accountedBytes = bytes;
  }

  ping(): Promise<number> {
    if (this.closed) return Promise.reject(new Error("connection closed"));
    return this.pings.send();
  }

  // ---- the end ----

  connectionError(errorCode: number, reason: string): void {
    if (!this.reading) return;
    this.goAway(errorCode, reason);
  }

  goAway(errorCode: number, debug = ""): void {
    if (this.#closing) return;
    this.draining = true;
    if (this.lastServedStreamId === MAX_STREAM_ID) this.lastServedStreamId = this.lastPeerStreamId;
    this.writeGoAway(this.lastServedStreamId, errorCode, debug);
    if (errorCode === ErrorCode.NO_ERROR) {
      this.onStreamGone();
      return;
    }
    this.#close(errorCode, debug, new Error(`HTTP/2 error ${errorCode}: ${debug}`));
  }

  protected writeGoAway(lastStreamId: number, errorCode: number, debug: string): void {
    const payload = Buffer.allocUnsafe(8 + Buffer.byteLength(debug));
    writeUint32(payload, writeUint32(payload, 0, lastStreamId), errorCode);
    payload.write(debug, 8);
    this.sender.controlFrame(FrameType.GOAWAY, 0, payload, 0, payload.length);
  }

  async shutdown(graceMs: number): Promise<void> {
    if (this.closed) return;
    const timer = this.host.clock.setTimer(graceMs, () => {
      this.#close(ErrorCode.CANCEL, "shut down", undefined);
    });
    if (this.isServer && !this.draining) {
      // First a warning that refuses nothing; requests that cross it are still served.
      this.draining = true;
      this.writeGoAway(MAX_STREAM_ID, ErrorCode.NO_ERROR, "");
      await this.ping().catch(() => {});
    }
    this.goAway(ErrorCode.NO_ERROR);
    await this.whenClosed;
    timer.cancel();
  }

  destroy(error?: Error): void {
    if (this.#gone) return;
    this.#closeError ??= error;
    this.reading = false;
    this.draining = true;
    this.#closing = true;
    this.#loseStreams(ErrorCode.CANCEL, error?.message ?? "connection destroyed");
    this.connection.destroy(error);
  }

  /** Closes cleanly: what is pending goes out, then FIN; what still comes in is dropped, for a while. */
  #close(errorCode: number, reason: string, error: Error | undefined): void {
    if (this.#closing) return;
    this.#closing = true;
    this.reading = false;
    this.draining = true;
    this.#loseStreams(errorCode, reason);
    this.#closeError ??= error;
    this.#lingerUntilMs = this.host.clock.now() + LINGER_MS;
    if (this.#paused) this.connection.resume();
    this.output.end();
  }

  /** After a GOAWAY, once the last stream is gone. */
  protected closeWhenIdle(): void {
    if (this.draining && this.streams.size === 0) {
      this.#close(ErrorCode.NO_ERROR, "done", undefined);
    }
  }

  #loseStreams(errorCode: number, reason: string): void {
    const lost = [...this.streams.values()];
    this.streams.clear();
    for (const stream of lost) {
      this.dropStream(stream);
      stream.receiver.onReset(errorCode, reason);
    }
    this.onStreamsLost(errorCode, reason);
  }

  sweep(nowMs: number): void {
    this.#account();
    if (nowMs > this.#lingerUntilMs) return this.connection.destroy();
    if (
      this.output.writing &&
      nowMs - this.output.stalledSinceMs > this.options.writeStallTimeoutMs
    ) {
      return this.destroy(new Error("the peer does not read"));
    }
    const limit = this.options.handshakeTimeoutMs;
    if (!this.reader.settingsSeen && nowMs - this.#startedMs > limit) {
      return this.destroy(new Error("no SETTINGS in time"));
    }
    if (!this.reader.midBlock || this.reader.blocksBegun !== this.#blockMark) {
      this.#blockMark = this.reader.blocksBegun;
      this.#blockMarkMs = nowMs;
    } else if (nowMs - this.#blockMarkMs > limit && !this.#paused) {
      return this.connectionError(ErrorCode.ENHANCE_YOUR_CALM, "frame not completed in time");
    }
    this.#sweepStalledStreams(nowMs);
  }

  /** Slow readers are cut off, but only while they hold more than their share. */
  #sweepStalledStreams(nowMs: number): void {
    if (this.sender.queuedBytes === 0 || !this.overLimit) return;
    for (const stream of [...this.streams.values()]) {
      const queue = stream.queue;
      if (queue === undefined || stream.bufferedBytes === 0) continue;
      if (queue.markedBytes !== queue.sentBytes) {
        queue.markedBytes = queue.sentBytes;
        queue.markedMs = nowMs;
      } else if (nowMs - queue.markedMs > this.options.streamStallTimeoutMs) {
        this.failStream(stream, ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read");
      }
    }
    this.#account();
  }
}
