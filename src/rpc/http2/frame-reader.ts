// Finds frames in what the socket delivers and checks what can be checked without knowing any stream:
// lengths, ids, padding, the order of HEADERS and CONTINUATION. Frames are parsed in place; only one
// that is cut by the end of a chunk is copied together. DATA is passed on as it comes, piece by piece.

import { assert } from "../../base/assert.ts";
import { Flag, FRAME_HEADER_BYTES, FrameType, PREFACE, readUint32 } from "./frames.ts";
import { ErrorCode } from "./types.ts";

/** What a session does with frames. Every offset pair is a half-open range of `source`. */
export interface FrameSink {
  /** False once the connection is beyond repair: the reader drops everything. */
  readonly reading: boolean;
  /** A piece of a DATA frame. `flowBytes` includes padding. `first` and `last` mark the frame's ends. */
  onDataFrame(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    flowBytes: number,
    endStream: boolean,
  ): void;
  /** A DATA frame without bytes that does not end the stream. */
  onEmptyDataFrame(): void;
  onHeaderBlock(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void;
  onPriorityFrame(streamId: number): void;
  onResetFrame(streamId: number, errorCode: number): void;
  onSettingsFrame(source: Buffer, start: number, end: number): void;
  onSettingsAck(): void;
  onPingFrame(source: Buffer, start: number, ack: boolean): void;
  onGoAwayFrame(source: Buffer, start: number, end: number): void;
  onWindowUpdateFrame(streamId: number, increment: number): void;
  onUnknownFrame(): void;
  connectionError(errorCode: number, reason: string): void;
  streamError(streamId: number, errorCode: number, reason: string): void;
}

export interface FrameReaderLimits {
  readonly maxFrameBytes: number;
  /** Compressed header block over several frames. */
  readonly headerBlockBytesMax: number;
  readonly continuationsMax: number;
}

const EMPTY = Buffer.alloc(0);

export class FrameReader {
  /** A header block has begun and is not complete; counts them, for timeouts. */
  blocksBegun = 0;
  readonly #sink: FrameSink;
  readonly #limits: FrameReaderLimits;
  #prefaceLeft: number;
  #settingsSeen = false;

  // A frame cut by the end of a chunk: its first #carryBytes bytes.
  #carry: Buffer = EMPTY;
  #carryBytes = 0;

  // A DATA frame (without padding) of which bytes are still to come.
  #dataLeft = 0;
  #dataStreamId = 0;
  #dataEndStream = false;

  // A header block whose CONTINUATION is still to come.
  #blockStreamId = 0;
  #block: Buffer = EMPTY;
  #blockBytes = 0;
  #blockEndStream = false;
  #blockSelfDependent = false;
  #continuations = 0;

  constructor(sink: FrameSink, limits: FrameReaderLimits, expectPreface: boolean) {
    this.#sink = sink;
    this.#limits = limits;
    this.#prefaceLeft = expectPreface ? PREFACE.length : 0;
  }

  /** The peer's preface and first SETTINGS have come. */
  get settingsSeen(): boolean {
    return this.#settingsSeen;
  }

  /** In the middle of a header block (of several frames, or of a frame in several chunks). */
  get midBlock(): boolean {
    return this.#blockStreamId !== 0 || this.#carryBytes > 0;
  }

  read(chunk: Buffer): void {
    const end = chunk.length;
    const sink = this.#sink;
    const maxFrameBytes = this.#limits.maxFrameBytes;
    let at = this.#prefaceLeft > 0 ? this.#readPreface(chunk) : 0;
    if (this.#carryBytes > 0) at = this.#readCarry(chunk, at);
    while (sink.reading) {
      if (this.#dataLeft > 0) {
        at = this.#readData(chunk, at);
        if (at === end) return;
        continue;
      }
      const available = end - at;
      if (available < FRAME_HEADER_BYTES) return this.#keep(chunk, at, FRAME_HEADER_BYTES);
      const length =
        ((chunk[at] as number) << 16) |
        ((chunk[at + 1] as number) << 8) |
        (chunk[at + 2] as number);
      if (length > maxFrameBytes) {
        return sink.connectionError(ErrorCode.FRAME_SIZE_ERROR, "frame over the maximum size");
      }
      if (available < FRAME_HEADER_BYTES + length) {
        if (!this.#beginData(chunk, at, length)) {
          return this.#keep(chunk, at, FRAME_HEADER_BYTES + length);
        }
        at += FRAME_HEADER_BYTES;
        if (at === end) return;
        continue;
      }
      this.#frame(chunk, at, length);
      at += FRAME_HEADER_BYTES + length;
    }
  }

  #readPreface(chunk: Buffer): number {
    const expected = PREFACE.length - this.#prefaceLeft;
    const bytes = Math.min(this.#prefaceLeft, chunk.length);
    for (let i = 0; i < bytes; i++) {
      if (chunk[i] !== PREFACE[expected + i]) {
        this.#sink.connectionError(ErrorCode.PROTOCOL_ERROR, "bad connection preface");
        return chunk.length;
      }
    }
    this.#prefaceLeft -= bytes;
    return bytes;
  }

  /** Keeps the beginning of a frame of `frameBytes` (at least its header) for the next chunk. */
  #keep(chunk: Buffer, at: number, frameBytes: number): void {
    const bytes = chunk.length - at;
    if (bytes === 0) return;
    // A new buffer each time: DATA that is delivered from it may be kept by the receiver.
    this.#carry = Buffer.allocUnsafeSlow(frameBytes);
    chunk.copy(this.#carry, 0, at);
    this.#carryBytes = bytes;
    this.blocksBegun++;
  }

  /** Completes the kept frame as far as the chunk reaches. Returns where the chunk goes on. */
  #readCarry(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#carryBytes < FRAME_HEADER_BYTES) {
      at = this.#fillCarry(chunk, at, FRAME_HEADER_BYTES);
      if (this.#carryBytes < FRAME_HEADER_BYTES) return at;
    }
    const carry = this.#carry;
    const length =
      ((carry[0] as number) << 16) | ((carry[1] as number) << 8) | (carry[2] as number);
    if (length > this.#limits.maxFrameBytes) {
      this.#sink.connectionError(ErrorCode.FRAME_SIZE_ERROR, "frame over the maximum size");
      return chunk.length;
    }
    const frameBytes = FRAME_HEADER_BYTES + length;
    if (
      this.#carryBytes === FRAME_HEADER_BYTES &&
      length > 0 &&
      this.#beginData(carry, 0, length)
    ) {
      this.#dropCarry();
      return at;
    }
    if (carry.length < frameBytes) {
      this.#carry = Buffer.allocUnsafeSlow(frameBytes);
      carry.copy(this.#carry, 0, 0, this.#carryBytes);
    }
    at = this.#fillCarry(chunk, at, frameBytes);
    if (this.#carryBytes < frameBytes) return at;
    const frame = this.#carry;
    this.#dropCarry();
    this.#frame(frame, 0, length);
    return at;
  }

  #fillCarry(chunk: Buffer, at: number, upTo: number): number {
    const bytes = Math.min(upTo - this.#carryBytes, chunk.length - at);
    chunk.copy(this.#carry, this.#carryBytes, at, at + bytes);
    this.#carryBytes += bytes;
    return at + bytes;
  }

  #dropCarry(): void {
    this.#carry = EMPTY;
    this.#carryBytes = 0;
  }

  /** Starts delivering a DATA frame whose payload is incomplete. False: it must be completed first. */
  #beginData(source: Buffer, at: number, length: number): boolean {
    const flags = source[at + 4] as number;
    if (source[at + 3] !== FrameType.DATA || (flags & Flag.PADDED) !== 0) return false;
    if (this.#blockStreamId !== 0 || !this.#settingsSeen) return false;
    const streamId = readUint32(source, at + 5) & 0x7fffffff;
    if (streamId === 0) return false;
    this.#dataLeft = length;
    this.#dataStreamId = streamId;
    this.#dataEndStream = (flags & Flag.END_STREAM) !== 0;
    return true;
  }

  #readData(chunk: Buffer, at: number): number {
    const bytes = Math.min(this.#dataLeft, chunk.length - at);
    if (bytes === 0) return at;
    this.#dataLeft -= bytes;
    const endStream = this.#dataLeft === 0 && this.#dataEndStream;
    this.#sink.onDataFrame(chunk, at, at + bytes, this.#dataStreamId, bytes, endStream);
    return at + bytes;
  }

  #frame(source: Buffer, at: number, length: number): void {
    const sink = this.#sink;
    const type = source[at + 3] as number;
    const flags = source[at + 4] as number;
    const streamId =
      (((source[at + 5] as number) & 0x7f) << 24) |
      ((source[at + 6] as number) << 16) |
      ((source[at + 7] as number) << 8) |
      (source[at + 8] as number);
    const start = at + FRAME_HEADER_BYTES;
    const end = start + length;
    if (this.#blockStreamId !== 0 && type !== FrameType.CONTINUATION) {
      return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "header block interrupted");
    }
    if (!this.#settingsSeen) {
      if (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0) {
        return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "first frame is not SETTINGS");
      }
      this.#settingsSeen = true;
    }
    if (type === FrameType.DATA) return this.#data(source, start, end, streamId, flags);
    if (type === FrameType.HEADERS) return this.#headers(source, start, end, streamId, flags);
    return this.#other(source, start, end, streamId, type, flags);
  }

  #data(source: Buffer, start: number, end: number, streamId: number, flags: number): void {
    const sink = this.#sink;
    const length = end - start;
    if (streamId === 0) return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0");
    let from = start;
    let to = end;
    if ((flags & Flag.PADDED) !== 0) {
      const padding = source[start] as number;
      if (length === 0 || padding >= length) {
        return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "padding over the frame's length");
      }
      from = start + 1;
      to = end - padding;
    }
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if (from === to && !endStream) sink.onEmptyDataFrame();
    sink.onDataFrame(source, from, to, streamId, length, endStream);
  }

  #headers(source: Buffer, start: number, end: number, streamId: number, flags: number): void {
    const sink = this.#sink;
    if (streamId === 0) {
      return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0");
    }
    let from = start;
    let to = end;
    if ((flags & Flag.PADDED) !== 0) {
      if (from < to) to -= source[from] as number;
      from++;
    }
    let selfDependent = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (from + 5 <= to) selfDependent = (readUint32(source, from) & 0x7fffffff) === streamId;
      from += 5;
    }
    if (from > to) {
      const padded = (flags & Flag.PADDED) !== 0;
      return sink.connectionError(
        padded ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FRAME_SIZE_ERROR,
        "HEADERS shorter than its padding and priority",
      );
    }
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if ((flags & Flag.END_HEADERS) !== 0) {
      return sink.onHeaderBlock(source, from, to, streamId, endStream, selfDependent);
    }
    this.#blockStreamId = streamId;
    this.#blockEndStream = endStream;
    this.#blockSelfDependent = selfDependent;
    this.#blockBytes = 0;
    this.#continuations = 0;
    this.blocksBegun++;
    this.#appendBlock(source, from, to);
  }

  #continuation(source: Buffer, start: number, end: number, streamId: number, flags: number): void {
    const sink = this.#sink;
    if (streamId === 0 || streamId !== this.#blockStreamId) {
      return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without its HEADERS");
    }
    if (++this.#continuations > this.#limits.continuationsMax) {
      return sink.connectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames");
    }
    this.#appendBlock(source, start, end);
    if ((flags & Flag.END_HEADERS) === 0 || !sink.reading) return;
    const block = this.#block;
    this.#blockStreamId = 0;
    this.#block = EMPTY;
    sink.onHeaderBlock(
      block,
      0,
      this.#blockBytes,
      streamId,
      this.#blockEndStream,
      this.#blockSelfDependent,
    );
  }

  #appendBlock(source: Buffer, start: number, end: number): void {
    const bytes = this.#blockBytes + end - start;
    if (bytes > this.#limits.headerBlockBytesMax) {
      return this.#sink.connectionError(ErrorCode.ENHANCE_YOUR_CALM, "header block too large");
    }
    if (this.#block.length < bytes) {
      const grown = Buffer.allocUnsafeSlow(Math.max(bytes, this.#block.length * 2));
      this.#block.copy(grown, 0, 0, this.#blockBytes);
      this.#block = grown;
    }
    source.copy(this.#block, this.#blockBytes, start, end);
    this.#blockBytes = bytes;
  }

  #other(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    type: number,
    flags: number,
  ): void {
    const sink = this.#sink;
    const length = end - start;
    switch (type) {
      case FrameType.PRIORITY:
        if (streamId === 0) return this.#wrongStream(type);
        if (length !== 5) {
          return sink.streamError(streamId, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong size");
        }
        if ((readUint32(source, start) & 0x7fffffff) === streamId) {
          return sink.streamError(streamId, ErrorCode.PROTOCOL_ERROR, "stream depends on itself");
        }
        return sink.onPriorityFrame(streamId);
      case FrameType.RST_STREAM:
        if (streamId === 0) return this.#wrongStream(type);
        if (length !== 4) return this.#wrongSize(type);
        return sink.onResetFrame(streamId, readUint32(source, start));
      case FrameType.SETTINGS:
        if (streamId !== 0) return this.#wrongStream(type);
        if ((flags & Flag.ACK) !== 0) {
          return length === 0 ? sink.onSettingsAck() : this.#wrongSize(type);
        }
        if (length % 6 !== 0) return this.#wrongSize(type);
        return sink.onSettingsFrame(source, start, end);
      case FrameType.PUSH_PROMISE:
        return sink.connectionError(ErrorCode.PROTOCOL_ERROR, "push is not enabled");
      case FrameType.PING:
        if (streamId !== 0) return this.#wrongStream(type);
        if (length !== 8) return this.#wrongSize(type);
        return sink.onPingFrame(source, start, (flags & Flag.ACK) !== 0);
      case FrameType.GOAWAY:
        if (streamId !== 0) return this.#wrongStream(type);
        if (length < 8) return this.#wrongSize(type);
        return sink.onGoAwayFrame(source, start, end);
      case FrameType.WINDOW_UPDATE:
        if (length !== 4) return this.#wrongSize(type);
        return sink.onWindowUpdateFrame(streamId, readUint32(source, start) & 0x7fffffff);
      case FrameType.CONTINUATION:
        return this.#continuation(source, start, end, streamId, flags);
      default:
        assert(type > FrameType.CONTINUATION, "every known frame type has its case");
        return sink.onUnknownFrame();
    }
  }

  #wrongStream(type: number): void {
    this.#sink.connectionError(ErrorCode.PROTOCOL_ERROR, `frame type ${type} on a wrong stream`);
  }

  #wrongSize(type: number): void {
    this.#sink.connectionError(ErrorCode.FRAME_SIZE_ERROR, `frame type ${type} of a wrong size`);
  }
}
