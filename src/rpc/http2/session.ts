// What server and client sessions share of the protocol: the input side of streams with both receive
// windows, resets, SETTINGS, PING and WINDOW_UPDATE. Cheap frames are counted; a flood of them ends the
// connection.

import type { Connection } from "../../io/network.ts";
import { ClosedStreams } from "./closed-streams.ts";
import { FloodGuard, type FloodKind } from "./flood-guard.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { DEFAULT_WINDOW_BYTES, Flag, FrameType, MAX_WINDOW_BYTES } from "./frames.ts";
import { type HeaderBlock, HpackDecoder } from "./hpack-decoder.ts";
import type { SessionHost } from "./session-host.ts";
import { SessionLife } from "./session-life.ts";
import { type PeerSettings, readSettings, writeOwnSettings } from "./settings.ts";
import { type Stream, StreamState } from "./stream.ts";
import { ErrorCode, type Http2Options, type SessionEvents } from "./types.ts";

export abstract class Session extends SessionLife implements FrameSink {
  readonly closedStreams = new ClosedStreams();
  /** Streams that ended well on both sides. */
  streamsCompleted = 0;
  /** Send window of new streams. */
  peerWindowBytes = DEFAULT_WINDOW_BYTES;
  protected readonly reader: FrameReader;
  readonly #decoder: HpackDecoder;
  readonly #guard: FloodGuard;
  #receiveWindow: number;
  #creditBytes = 0;
  #settingsAcked = false;

  constructor(
    connection: Connection,
    events: SessionEvents,
    options: Http2Options | undefined,
    host: SessionHost,
    expectPreface: boolean,
  ) {
    super(connection, events, options, host);
    const { headerTableBytes, headerListBytesMax, maxFrameBytes, continuationsMax } = this.options;
    this.#decoder = new HpackDecoder(headerTableBytes, headerListBytesMax);
    const limits = { maxFrameBytes, headerBlockBytesMax: headerListBytesMax * 2, continuationsMax };
    this.reader = new FrameReader(this, limits, expectPreface);
    this.#guard = new FloodGuard(floodLimits(this.options), host.clock);
    this.#receiveWindow = Math.max(this.options.connectionWindowBytes, DEFAULT_WINDOW_BYTES);
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

  /** The receive window that a new stream starts with. */
  get newStreamWindowBytes(): number {
    const window = this.options.streamWindowBytes;
    return this.#settingsAcked ? window : Math.max(window, DEFAULT_WINDOW_BYTES);
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
    this.unconsumedBytes += flowBytes;
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
    // What closed too long ago to be remembered may have been reset by us: ignored like such a stream.
    if (this.closedStreams.lookUp(streamId) === "ended") {
      this.connectionError(ErrorCode.STREAM_CLOSED, "DATA on a closed stream");
    }
  }

  onEmptyDataFrame(): void {
    this.calm("emptyData", 0);
  }

  consume(stream: Stream, bytes: number): void {
    const given = Math.min(bytes, stream.unconsumedBytes);
    stream.unconsumedBytes -= given;
    this.unconsumedBytes -= given;
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
    this.dropStream(stream);
    this.onStreamGone();
  }

  dropStream(stream: Stream): void {
    stream.state |= StreamState.CLOSED;
    this.streams.delete(stream.id);
    if (stream.bufferedBytes > 0) this.sender.drop(stream);
    if (stream.unconsumedBytes > 0) {
      this.unconsumedBytes -= stream.unconsumedBytes;
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
    this.dropStream(stream);
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
    this.dropStream(stream);
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
    if (settings.headerListBytesMax >= 0) this.peerHeaderListBytesMax = settings.headerListBytesMax;
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
    if (ack) return this.pings.answered(source, start);
    if (!this.calm("ping", this.sender.framesSent)) return;
    this.sender.controlFrame(FrameType.PING, Flag.ACK, source, start, start + 8);
    this.events.onPing?.(this);
  }

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
    const block = this.#decoder.decode(source, start, end, kind);
    if (block !== undefined) return block;
    if (this.#decoder.failure === "compression") {
      this.connectionError(ErrorCode.COMPRESSION_ERROR, "bad header block");
    } else {
      this.connectionError(ErrorCode.ENHANCE_YOUR_CALM, "header list far too large");
    }
    return undefined;
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
