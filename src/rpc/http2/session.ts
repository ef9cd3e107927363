// What server and client sessions share: the connection's events, the input side of streams with both
// receive windows, SETTINGS, PING, GOAWAY, and every way in which streams and sessions end. Once a
// connection error is found nothing more is read; GOAWAY goes out and the connection is closed cleanly.

import type { PeerCertificate } from "node:tls";
import { AssertionError } from "../../base/assert.ts";
import type { Connection, ConnectionHandler } from "../../io/network.ts";
import { ClosedStreams } from "./closed-streams.ts";
import { FloodGuard, type FloodKind } from "./flood-guard.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import {
  DEFAULT_WINDOW_BYTES,
  Flag,
  FrameType,
  MAX_STREAM_ID,
  MAX_WINDOW_BYTES,
  writeUint32,
} from "./frames.ts";
import { type HeaderBlock, HpackDecoder } from "./hpack-decoder.ts";
import { completeOptions } from "./options.ts";
import { Output } from "./output.ts";
import { PingBook } from "./ping-book.ts";
import { Sender, type SenderOwner } from "./sender.ts";
import type { SessionHost, SweptSession } from "./session-host.ts";
import { type PeerSettings, readSettings, writeOwnSettings } from "./settings.ts";
import { type Stream, StreamState } from "./stream.ts";
import { ErrorCode, type Http2Options, type Http2Session, type SessionEvents } from "./types.ts";

/** With this much output waiting for the socket, nothing more is read. */
const PAUSE_OUTPUT_BYTES = 512 << 10;
/** How long a closing connection may take to end after GOAWAY. */
const LINGER_MS = 1_000;

export abstract class Session
  implements Http2Session, ConnectionHandler, FrameSink, SenderOwner, SweptSession
{
  abstract readonly isServer: boolean;
  context: unknown = undefined;
  readonly options: Required<Http2Options>;
  readonly host: SessionHost;
  readonly output: Output;
  readonly sender: Sender;
  readonly decoder: HpackDecoder;
  readonly streams = new Map<number, Stream>();
  readonly closedStreams = new ClosedStreams();
  readonly whenClosed: Promise<void>;
  lastReceivedMs: number;
  /** Streams that ended well on both sides. */
  streamsCompleted = 0;
  /** The highest stream id that the peer has opened. */
  lastPeerStreamId = 0;
  /** Send window of new streams. */
  peerWindowBytes = DEFAULT_WINDOW_BYTES;
  draining = false;
  reading = true;
  protected readonly connection: Connection;
  protected readonly events: SessionEvents;
  /** The streams we will serve, after our GOAWAY. */
  protected lastServedStreamId = MAX_STREAM_ID;
  readonly #reader: FrameReader;
  readonly #guard: FloodGuard;
  readonly #pings: PingBook;
  #receiveWindow: number;
  #unconsumedBytes = 0;
  #creditBytes = 0;
  #accountedBytes = 0;
  #settingsAcked = false;
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
    expectPreface: boolean,
  ) {
    this.connection = connection;
    this.events = events;
    this.options = completeOptions(options);
    this.host = host;
    this.output = new Output(connection, host);
    this.sender = new Sender(this, this.output, this.options);
    this.decoder = new HpackDecoder(this.options.headerTableBytes, this.options.headerListBytesMax);
    this.#reader = new FrameReader(
      this,
      {
        maxFrameBytes: this.options.maxFrameBytes,
        headerBlockBytesMax: this.options.headerListBytesMax * 2,
        continuationsMax: this.options.continuationsMax,
      },
      expectPreface,
    );
    this.#guard = new FloodGuard(floodLimits(this.options), host.clock);
    this.#pings = new PingBook(this.sender, host.clock);
    this.#receiveWindow = Math.max(this.options.connectionWindowBytes, DEFAULT_WINDOW_BYTES);
    this.#startedMs = host.clock.now();
    this.lastReceivedMs = this.#startedMs;
    this.whenClosed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    connection.handler = this;
    host.add(this);
  }

  /** The first frames: our SETTINGS, and the connection's window when it is larger than the default. */
  protected writeGreeting(): void {
    writeOwnSettings(this.sender, this.options, this.isServer);
    const more = this.#receiveWindow - DEFAULT_WINDOW_BYTES;
    if (more > 0) this.sender.windowUpdateFrame(0, more);
  }

  // ---- what the subclasses decide ----

  abstract onHeaderBlock(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void;
  abstract onGoAwayFrame(source: Buffer, start: number, end: number): void;
  /** The stream was never opened, by either side. */
  protected abstract isIdle(streamId: number): boolean;
  protected abstract onPeerSettings(settings: PeerSettings): void;
  /** A stream has left the session. */
  protected abstract onStreamGone(): void;
  /** The connection is lost or ended on purpose: streams that wait outside `streams` end too. */
  protected abstract onStreamsLost(errorCode: number, reason: string): void;
  abstract onLocalEnd(stream: Stream): void;

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
    return this.sender.queuedBytes + this.output.pendingBytes + this.#unconsumedBytes;
  }

  /** The bytes limits, of this session or of all, are exceeded. */
  get overLimit(): boolean {
    return (
      this.bufferedBytes > this.options.sessionBytesMax ||
      this.host.totalBytes > this.options.totalBytesMax
    );
  }

  /** The receive window that a new stream starts with. */
  get newStreamWindowBytes(): number {
    const window = this.options.streamWindowBytes;
    return this.#settingsAcked ? window : Math.max(window, DEFAULT_WINDOW_BYTES);
  }

  // ---- connection events ----

  onData(chunk: Buffer): void {
    if (!this.reading) return;
    this.lastReceivedMs = this.host.clock.now();
    try {
      this.#reader.read(chunk);
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
    this.#pings.fail(cause ?? new Error("connection closed"));
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

  // ---- DATA and receive windows ----

  onDataFrame(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    flowBytes: number,
    endStream: boolean,
  ): void {
    this.#receiveWindow -= flowBytes;
    if (this.#receiveWindow < 0) {
      return this.connectionError(ErrorCode.FLOW_CONTROL_ERROR, "connection window exceeded");
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined) return this.#dataOnClosed(streamId, flowBytes);
    if ((stream.state & StreamState.REMOTE_ENDED) !== 0) {
      this.#giveBack(flowBytes);
      return this.failStream(stream, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM");
    }
    stream.receiveWindow -= flowBytes;
    stream.unconsumedBytes += flowBytes;
    this.#unconsumedBytes += flowBytes;
    if (stream.receiveWindow < 0) {
      return this.failStream(stream, ErrorCode.FLOW_CONTROL_ERROR, "stream window exceeded");
    }
    const length = end - start;
    if (stream.expectedBytes >= 0) {
      stream.expectedBytes -= length;
      if (stream.expectedBytes < 0 || (endStream && stream.expectedBytes > 0)) {
        return this.failStream(stream, ErrorCode.PROTOCOL_ERROR, "content-length does not match");
      }
    }
    if (endStream) stream.state |= StreamState.REMOTE_ENDED;
    const padding = flowBytes - length;
    if (padding > 0) this.consume(stream, padding);
    if (length > 0 || endStream) stream.receiver.onData(source, start, end, endStream);
    if (endStream) this.onRemoteEnd(stream);
  }

  #dataOnClosed(streamId: number, flowBytes: number): void {
    if (this.isIdle(streamId)) {
      return this.connectionError(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream");
    }
    this.#giveBack(flowBytes);
    const how = this.closedStreams.lookUp(streamId);
    if (how === "ended") {
      this.connectionError(ErrorCode.STREAM_CLOSED, "DATA on a closed stream");
    } else if (how === "unknown") {
      this.streamError(streamId, ErrorCode.STREAM_CLOSED, "DATA on a closed stream");
    }
  }

  onEmptyDataFrame(): void {
    this.calm("emptyData", 0);
  }

  consume(stream: Stream, bytes: number): void {
    const given = Math.min(bytes, stream.unconsumedBytes);
    stream.unconsumedBytes -= given;
    this.#unconsumedBytes -= given;
    this.#giveBack(given);
    if ((stream.state & StreamState.REMOTE_ENDED) !== 0) return;
    stream.creditBytes += given;
    if (stream.creditBytes * 2 < this.options.streamWindowBytes) return;
    stream.receiveWindow += stream.creditBytes;
    this.sender.windowUpdateFrame(stream.id, stream.creditBytes);
    stream.creditBytes = 0;
  }

  #giveBack(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#creditBytes * 2 < this.options.connectionWindowBytes) return;
    this.#receiveWindow += this.#creditBytes;
    this.sender.windowUpdateFrame(0, this.#creditBytes);
    this.#creditBytes = 0;
  }

  /** The input has ended (the receiver knows). */
  onRemoteEnd(stream: Stream): void {
    if ((stream.state & StreamState.LOCAL_ENDED) !== 0) this.completeStream(stream);
  }

  /** Both sides have ended, or what the peer may still send does not matter. */
  completeStream(stream: Stream): void {
    if ((stream.state & StreamState.CLOSED) !== 0) return;
    this.streamsCompleted++;
    this.closedStreams.addEnded(stream.id);
    this.#forget(stream);
    this.onStreamGone();
  }

  /** Removes a stream without a frame; the caller tells its receiver. */
  dropStream(stream: Stream): void {
    this.#forget(stream);
  }

  #forget(stream: Stream): void {
    stream.state |= StreamState.CLOSED;
    this.streams.delete(stream.id);
    if (stream.bufferedBytes > 0) this.sender.drop(stream);
    if (stream.unconsumedBytes > 0) {
      this.#unconsumedBytes -= stream.unconsumedBytes;
      this.#giveBack(stream.unconsumedBytes);
      stream.unconsumedBytes = 0;
    }
  }

  // ---- resets ----

  /** RST_STREAM by the owner's wish: the receiver is not told. */
  resetStream(stream: Stream, errorCode: number): void {
    if (stream.id !== 0 && !this.closed) {
      this.closedStreams.addReset(stream.id);
      this.sender.resetFrame(stream.id, errorCode);
    }
    this.#forget(stream);
    this.onStreamGone();
  }

  /** RST_STREAM because of the peer's error. Provoked resets count like the peer's own. */
  failStream(stream: Stream, errorCode: number, reason: string): void {
    this.resetStream(stream, errorCode);
    stream.receiver.onReset(errorCode, reason);
    this.calm("reset", this.streamsCompleted);
  }

  streamError(streamId: number, errorCode: number, reason: string): void {
    const stream = this.streams.get(streamId);
    if (stream !== undefined) return this.failStream(stream, errorCode, reason);
    this.closedStreams.addReset(streamId);
    this.sender.resetFrame(streamId, errorCode);
    this.calm("reset", this.streamsCompleted);
  }

  onResetFrame(streamId: number, errorCode: number): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined && this.isIdle(streamId)) {
      return this.connectionError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream");
    }
    if (!this.calm("reset", this.streamsCompleted) || stream === undefined) return;
    this.closedStreams.addEnded(streamId);
    this.#forget(stream);
    stream.receiver.onReset(errorCode, "reset by the peer");
    this.onStreamGone();
  }

  // ---- the other frames ----

  onPriorityFrame(_streamId: number): void {
    this.calm("priority", this.streamsCompleted);
  }

  onUnknownFrame(): void {
    this.calm("unknown", 0);
  }

  onWindowUpdateFrame(streamId: number, increment: number): void {
    // What we sent justifies updates; a window opened byte by byte does not.
    const credit = this.streamsCompleted * 2 + (this.sender.dataBytesSent >>> 8);
    if (!this.calm("windowUpdate", credit)) return;
    if (streamId === 0) {
      if (increment === 0) {
        return this.connectionError(ErrorCode.PROTOCOL_ERROR, "window update of 0");
      }
      this.sender.window += increment;
      if (this.sender.window > MAX_WINDOW_BYTES) {
        return this.connectionError(ErrorCode.FLOW_CONTROL_ERROR, "connection window over 2^31-1");
      }
      return this.sender.pump();
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) {
        this.connectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
      }
      return;
    }
    if (increment === 0) {
      return this.failStream(stream, ErrorCode.PROTOCOL_ERROR, "window update of 0");
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW_BYTES) {
      return this.failStream(stream, ErrorCode.FLOW_CONTROL_ERROR, "stream window over 2^31-1");
    }
    this.sender.windowOpened(stream);
    this.sender.pump();
  }

  onSettingsFrame(source: Buffer, start: number, end: number): void {
    if (!this.calm("settings", 0)) return;
    const settings = readSettings(source, start, end, this.isServer);
    if (typeof settings === "string") {
      const window = settings === "window";
      return this.connectionError(
        window ? ErrorCode.FLOW_CONTROL_ERROR : ErrorCode.PROTOCOL_ERROR,
        `bad SETTINGS: ${settings}`,
      );
    }
    if (settings.headerTableBytes >= 0)
      this.sender.encoder.setTableBytes(settings.headerTableBytes);
    if (settings.windowBytes >= 0) this.#changePeerWindow(settings.windowBytes);
    if (!this.reading) return;
    this.sender.controlFrame(FrameType.SETTINGS, Flag.ACK, source, start, start);
    this.onPeerSettings(settings);
    this.sender.pump();
  }

  #changePeerWindow(bytes: number): void {
    const change = bytes - this.peerWindowBytes;
    this.peerWindowBytes = bytes;
    for (const stream of this.streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_WINDOW_BYTES) {
        return this.connectionError(ErrorCode.FLOW_CONTROL_ERROR, "stream window over 2^31-1");
      }
      this.sender.windowOpened(stream);
    }
  }

  onSettingsAck(): void {
    this.#settingsAcked = true;
  }

  onPingFrame(source: Buffer, start: number, ack: boolean): void {
    if (ack) return this.#pings.answered(source, start);
    if (!this.calm("ping", this.sender.framesSent)) return;
    this.sender.controlFrame(FrameType.PING, Flag.ACK, source, start, start + 8);
    this.events.onPing?.(this);
  }

  ping(): Promise<number> {
    if (this.closed) return Promise.reject(new Error("connection closed"));
    return this.#pings.send();
  }

  // ---- the end ----

  /** Counts a cheap frame; false when it was one too many and the connection ends. */
  protected calm(kind: FloodKind, credit: number): boolean {
    if (this.#guard.allow(kind, credit)) return true;
    this.connectionError(ErrorCode.ENHANCE_YOUR_CALM, `too many frames: ${kind}`);
    return false;
  }

  /** Decodes a block, or ends the connection. */
  protected decodeBlock(
    source: Buffer,
    start: number,
    end: number,
    kind: number,
  ): HeaderBlock | undefined {
    const block = this.decoder.decode(source, start, end, kind);
    if (block !== undefined) return block;
    if (this.decoder.failure === "compression") {
      this.connectionError(ErrorCode.COMPRESSION_ERROR, "bad header block");
    } else {
      this.connectionError(ErrorCode.ENHANCE_YOUR_CALM, "header list far too large");
    }
    return undefined;
  }

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
      this.#forget(stream);
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
    if (!this.#reader.settingsSeen && nowMs - this.#startedMs > limit) {
      return this.destroy(new Error("no SETTINGS in time"));
    }
    if (!this.#reader.midBlock || this.#reader.blocksBegun !== this.#blockMark) {
      this.#blockMark = this.#reader.blocksBegun;
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

function floodLimits(options: Required<Http2Options>): Readonly<Record<FloodKind, number>> {
  return {
    settings: options.settingsPerSecondMax,
    ping: options.pingsPerSecondMax,
    emptyData: options.emptyDataPerSecondMax,
    reset: options.resetsPerSecondMax,
    priority: options.prioritiesPerSecondMax,
    windowUpdate: options.windowUpdatesPerSecondMax,
    unknown: options.unknownFramesPerSecondMax,
  };
}
