// The output side of a session: encodes header blocks in the order in which they leave, cuts data into
// frames within both flow-control windows, and takes turns between streams that have data queued.
// Invariant: a stream with queued bytes, an id and an open window is in the ready list, once.

import {
  copyBytes,
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  GRPC_PREFIX_BYTES,
  writeFrameHeader,
  writeUint32,
} from "./frames.ts";
import { type EncodedBlock, HpackEncoder } from "./hpack-encoder.ts";
import type { Output } from "./output.ts";
import { SendQueue, type Stream, StreamState } from "./stream.ts";
import type { HeaderList, PreparedHeaders } from "./types.ts";

/** Room reserved for the trailers of a unary reply; prepared trailers need a byte or a few. */
const SMALL_BLOCK_BYTES = 64;
/** Messages up to this size are copied behind their prefix when they must be queued. */
const JOINED_MESSAGE_BYTES_MAX = 4_096;

export interface SenderOwner {
  /** We have sent END_STREAM. */
  onLocalEnd(stream: Stream): void;
}

export interface SenderLimits {
  readonly encoderTableBytesMax: number;
  readonly streamHighWaterBytes: number;
  readonly streamLowWaterBytes: number;
}

export class Sender {
  readonly output: Output;
  readonly encoder: HpackEncoder;
  /** The connection's send window. */
  window = DEFAULT_WINDOW_BYTES;
  /** The largest frame that we send. */
  frameBytesMax = DEFAULT_FRAME_BYTES;
  framesSent = 0;
  /** Payload bytes sent; only grows. */
  dataBytesSent = 0;
  /** Bytes queued in all streams. */
  queuedBytes = 0;
  readonly #owner: SenderOwner;
  readonly #limits: SenderLimits;
  #ready: Stream[] = [];
  #readyHead = 0;
  #pumping = false;

  constructor(owner: SenderOwner, output: Output, limits: SenderLimits) {
    this.#owner = owner;
    this.output = output;
    this.#limits = limits;
    this.encoder = new HpackEncoder(limits.encoderTableBytesMax);
  }

  headers(stream: Stream, headers: HeaderList | PreparedHeaders, endStream: boolean): void {
    this.#block(stream.id, this.encoder.encodeAny(headers), endStream);
    if (endStream) this.#end(stream);
  }

  trailers(stream: Stream, headers: HeaderList | PreparedHeaders): void {
    if (stream.bufferedBytes === 0 && stream.id !== 0) return this.headers(stream, headers, true);
    stream.queue ??= new SendQueue();
    stream.queue.trailers = headers;
    stream.state |= StreamState.END_QUEUED;
  }

  data(stream: Stream, source: Uint8Array, start: number, end: number, endStream: boolean): void {
    const length = end - start;
    if (this.#fits(stream, length)) {
      const output = this.output;
      const at = output.reserve(FRAME_HEADER_BYTES + length);
      const bytes = output.bytes;
      const flags = endStream ? Flag.END_STREAM : 0;
      const from = writeFrameHeader(bytes, at, length, FrameType.DATA, flags, stream.id);
      output.length = copyBytes(bytes, from, source, start, end);
      this.#count(stream, length);
      if (endStream) this.#end(stream);
      return;
    }
    if (length > 0) this.#enqueue(stream, source, start, end);
    this.#queued(stream, endStream);
  }

  message(
    stream: Stream,
    source: Uint8Array,
    start: number,
    end: number,
    endStream: boolean,
  ): void {
    const length = GRPC_PREFIX_BYTES + end - start;
    if (this.#fits(stream, length)) {
      const output = this.output;
      const at = output.reserve(FRAME_HEADER_BYTES + length);
      const flags = endStream ? Flag.END_STREAM : 0;
      output.length = writeMessageFrame(output.bytes, at, stream.id, flags, source, start, end);
      this.#count(stream, length);
      if (endStream) this.#end(stream);
      return;
    }
    const joined = length <= JOINED_MESSAGE_BYTES_MAX;
    const prefix = Buffer.allocUnsafe(joined ? length : GRPC_PREFIX_BYTES);
    prefix[0] = 0;
    writeUint32(prefix, 1, end - start);
    if (joined) copyBytes(prefix, GRPC_PREFIX_BYTES, source, start, end);
    this.#enqueue(stream, prefix, 0, prefix.length);
    if (!joined) this.#enqueue(stream, source, start, end);
    this.#queued(stream, endStream);
  }

  unary(
    stream: Stream,
    headers: PreparedHeaders,
    source: Uint8Array,
    start: number,
    end: number,
    trailers: PreparedHeaders,
  ): void {
    const length = GRPC_PREFIX_BYTES + end - start;
    const output = this.output;
    if (!this.#fits(stream, length))
      return this.#slowUnary(stream, headers, source, start, end, trailers);
    const head = this.encoder.encodePrepared(headers);
    if (head.length > SMALL_BLOCK_BYTES) {
      this.#block(stream.id, head, false);
      this.message(stream, source, start, end, false);
      return this.trailers(stream, trailers);
    }
    let at = output.reserve(length + 3 * FRAME_HEADER_BYTES + 2 * SMALL_BLOCK_BYTES);
    const bytes = output.bytes;
    at = writeFrameHeader(bytes, at, head.length, FrameType.HEADERS, Flag.END_HEADERS, stream.id);
    const headBytes = head.bytes;
    for (let i = 0; i < head.length; i++) bytes[at++] = headBytes[i] as number;
    at = writeMessageFrame(bytes, at, stream.id, 0, source, start, end);
    const tail = this.encoder.encodePrepared(trailers);
    this.framesSent++;
    this.#count(stream, length);
    if (tail.length > SMALL_BLOCK_BYTES) {
      output.length = at;
      this.#block(stream.id, tail, true);
      return this.#end(stream);
    }
    const flags = Flag.END_HEADERS | Flag.END_STREAM;
    at = writeFrameHeader(bytes, at, tail.length, FrameType.HEADERS, flags, stream.id);
    const tailBytes = tail.bytes;
    for (let i = 0; i < tail.length; i++) bytes[at++] = tailBytes[i] as number;
    output.length = at;
    this.framesSent++;
    this.#end(stream);
  }

  #slowUnary(
    stream: Stream,
    headers: PreparedHeaders,
    source: Uint8Array,
    start: number,
    end: number,
    trailers: PreparedHeaders,
  ): void {
    this.headers(stream, headers, false);
    this.message(stream, source, start, end, false);
    this.trailers(stream, trailers);
  }

  /** A client stream got its id and its HEADERS are written: what was queued meanwhile follows. */
  opened(stream: Stream): void {
    if (stream.bufferedBytes > 0) this.#makeReady(stream);
    else if ((stream.state & StreamState.END_QUEUED) !== 0) this.#finishQueue(stream);
    this.pump();
  }

  /** The stream's send window grew. */
  windowOpened(stream: Stream): void {
    if (stream.bufferedBytes > 0 && stream.sendWindow > 0 && stream.id !== 0) {
      this.#makeReady(stream);
    }
  }

  /** Forgets what is queued. */
  drop(stream: Stream): void {
    this.queuedBytes -= stream.bufferedBytes;
    stream.bufferedBytes = 0;
    stream.queue = undefined;
  }

  resetFrame(streamId: number, errorCode: number): void {
    const at = this.output.reserve(FRAME_HEADER_BYTES + 4);
    const bytes = this.output.bytes;
    const from = writeFrameHeader(bytes, at, 4, FrameType.RST_STREAM, 0, streamId);
    this.output.length = writeUint32(bytes, from, errorCode);
  }

  windowUpdateFrame(streamId: number, increment: number): void {
    const at = this.output.reserve(FRAME_HEADER_BYTES + 4);
    const bytes = this.output.bytes;
    const from = writeFrameHeader(bytes, at, 4, FrameType.WINDOW_UPDATE, 0, streamId);
    this.output.length = writeUint32(bytes, from, increment);
  }

  /** SETTINGS, PING, GOAWAY: a frame whose payload is at hand. */
  controlFrame(type: number, flags: number, payload: Uint8Array, start: number, end: number): void {
    const at = this.output.reserve(FRAME_HEADER_BYTES + end - start);
    const bytes = this.output.bytes;
    const from = writeFrameHeader(bytes, at, end - start, type, flags, 0);
    this.output.length = copyBytes(bytes, from, payload, start, end);
  }

  /** Sends queued data, a frame a stream in turn, as far as the windows and the socket allow. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#readyHead < this.#ready.length && this.window > 0 && !this.output.congested) {
      const stream = this.#ready[this.#readyHead++] as Stream;
      stream.state &= ~StreamState.READY;
      const length = Math.min(
        stream.bufferedBytes,
        stream.sendWindow,
        this.window,
        this.frameBytesMax,
      );
      if ((stream.state & StreamState.CLOSED) !== 0 || length <= 0) continue;
      this.#sendQueued(stream, length);
    }
    if (this.#readyHead === this.#ready.length) {
      if (this.#readyHead > 0) this.#ready = [];
      this.#readyHead = 0;
    } else if (this.#readyHead > 1024) {
      this.#ready = this.#ready.slice(this.#readyHead);
      this.#readyHead = 0;
    }
    this.#pumping = false;
  }

  #sendQueued(stream: Stream, length: number): void {
    const queue = stream.queue as SendQueue;
    const last =
      length === stream.bufferedBytes &&
      (stream.state & StreamState.END_QUEUED) !== 0 &&
      queue.trailers === undefined;
    const output = this.output;
    const start = output.reserve(FRAME_HEADER_BYTES + length);
    const bytes = output.bytes;
    const flags = last ? Flag.END_STREAM : 0;
    let at = writeFrameHeader(bytes, start, length, FrameType.DATA, flags, stream.id);
    const end = at + length;
    while (at < end) {
      const head = queue.head;
      const from = queue.starts[head] as number;
      const to = Math.min(queue.ends[head] as number, from + end - at);
      at = copyBytes(bytes, at, queue.sources[head] as Uint8Array, from, to);
      queue.starts[head] = to;
      if (to === queue.ends[head]) this.#shiftQueue(queue);
    }
    output.length = end;
    this.#count(stream, length);
    queue.sentBytes += length;
    stream.bufferedBytes -= length;
    this.queuedBytes -= length;
    if (last) this.#end(stream);
    else if (stream.bufferedBytes === 0 && (stream.state & StreamState.END_QUEUED) !== 0) {
      this.#finishQueue(stream);
    } else if (stream.bufferedBytes > 0 && stream.sendWindow > 0) this.#makeReady(stream);
    if (
      (stream.state & StreamState.CHOKED) !== 0 &&
      stream.bufferedBytes <= this.#limits.streamLowWaterBytes &&
      (stream.state & StreamState.CLOSED) === 0
    ) {
      stream.state &= ~StreamState.CHOKED;
      stream.receiver.onWritable();
    }
  }

  #shiftQueue(queue: SendQueue): void {
    queue.sources[queue.head] = EMPTY;
    queue.head++;
    if (queue.head === queue.sources.length || queue.head >= 1024) {
      queue.sources.splice(0, queue.head);
      queue.starts.splice(0, queue.head);
      queue.ends.splice(0, queue.head);
      queue.head = 0;
    }
  }

  #finishQueue(stream: Stream): void {
    const trailers = stream.queue?.trailers;
    if (trailers !== undefined) this.headers(stream, trailers, true);
    else {
      const at = this.output.reserve(FRAME_HEADER_BYTES);
      const flags = Flag.END_STREAM;
      this.output.length = writeFrameHeader(
        this.output.bytes,
        at,
        0,
        FrameType.DATA,
        flags,
        stream.id,
      );
      this.framesSent++;
      this.#end(stream);
    }
  }

  /** May go out at once: nothing before it, windows open, the socket not behind. */
  #fits(stream: Stream, length: number): boolean {
    return (
      (length <= stream.sendWindow &&
        length <= this.window &&
        length <= this.frameBytesMax &&
        stream.bufferedBytes === 0 &&
        stream.id !== 0 &&
        !this.output.congested) ||
      (length === 0 && stream.bufferedBytes === 0 && stream.id !== 0)
    );
  }

  #count(stream: Stream, length: number): void {
    stream.sendWindow -= length;
    this.window -= length;
    this.framesSent++;
    this.dataBytesSent += length;
  }

  #enqueue(stream: Stream, source: Uint8Array, start: number, end: number): void {
    stream.queue ??= new SendQueue();
    if (end === start) return;
    stream.queue.sources.push(source);
    stream.queue.starts.push(start);
    stream.queue.ends.push(end);
    stream.bufferedBytes += end - start;
    this.queuedBytes += end - start;
  }

  #queued(stream: Stream, endStream: boolean): void {
    if (endStream) stream.state |= StreamState.END_QUEUED;
    if (stream.bufferedBytes > this.#limits.streamHighWaterBytes) {
      stream.state |= StreamState.CHOKED;
    }
    this.windowOpened(stream);
    this.pump();
  }

  #makeReady(stream: Stream): void {
    if ((stream.state & StreamState.READY) !== 0) return;
    stream.state |= StreamState.READY;
    this.#ready.push(stream);
  }

  #end(stream: Stream): void {
    stream.state |= StreamState.LOCAL_ENDED;
    this.#owner.onLocalEnd(stream);
  }

  /** HEADERS, and CONTINUATION when the block is longer than a frame. */
  #block(streamId: number, block: EncodedBlock, endStream: boolean): void {
    const output = this.output;
    let from = 0;
    let type: number = FrameType.HEADERS;
    let flags = endStream ? Flag.END_STREAM : 0;
    do {
      const length = Math.min(block.length - from, this.frameBytesMax);
      if (from + length === block.length) flags |= Flag.END_HEADERS;
      const start = output.reserve(FRAME_HEADER_BYTES + length);
      const at = writeFrameHeader(output.bytes, start, length, type, flags, streamId);
      output.length = copyBytes(output.bytes, at, block.bytes, from, from + length);
      from += length;
      type = FrameType.CONTINUATION;
      flags = 0;
      this.framesSent++;
    } while (from < block.length);
  }
}

const EMPTY = new Uint8Array(0);

/** A DATA frame that holds one whole gRPC message. */
function writeMessageFrame(
  target: Buffer,
  at: number,
  streamId: number,
  flags: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  const prefix = writeFrameHeader(
    target,
    at,
    length + GRPC_PREFIX_BYTES,
    FrameType.DATA,
    flags,
    streamId,
  );
  target[prefix] = 0;
  const from = writeUint32(target, prefix + 1, length);
  return copyBytes(target, from, source, start, end);
}
