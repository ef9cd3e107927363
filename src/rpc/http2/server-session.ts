// The server's end of a connection: opens a stream for every well-formed request within the limits and
// hands it to the handler; everything else is refused, reset or ends the connection.

import type { Connection } from "../../io/network.ts";
import { MAX_STREAM_ID } from "./frames.ts";
import { checkRequest, checkTrailers } from "./header-rules.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { prepareHeaders } from "./prepared-headers.ts";
import { Session } from "./session.ts";
import { SessionHost } from "./session-host.ts";
import { Stream, StreamState } from "./stream.ts";
import { ErrorCode, type Http2Options, type ServerHandler } from "./types.ts";

const tooLargeReply = prepareHeaders([":status", "431", "content-length", "0"]);

export class ServerSession extends Session {
  readonly isServer = true;
  readonly #handler: ServerHandler;
  readonly #streamsMax: number;

  /** Takes over the connection; sessions of one listener should share a host. */
  constructor(
    connection: Connection,
    handler: ServerHandler,
    options?: Http2Options,
    host: SessionHost = new SessionHost(),
  ) {
    super(connection, handler, options, host, true);
    this.#handler = handler;
    this.#streamsMax = this.options.maxConcurrentStreams;
    this.writeGreeting();
  }

  onHeaderBlock(
    source: Buffer,
    start: number,
    end: number,
    streamId: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void {
    const known = this.streams.get(streamId);
    // Every block goes through the decoder, wanted or not: its table depends on it.
    const block = this.decodeBlock(source, start, end, known === undefined ? 0 : 1);
    if (block === undefined) return;
    if (known !== undefined) return this.#onTrailers(known, block, endStream);
    if (streamId <= this.lastPeerStreamId || (streamId & 1) === 0) {
      return this.#onClosedStream(streamId);
    }
    this.lastPeerStreamId = streamId;
    if (streamId > this.lastServedStreamId || this.streams.size >= this.#streamsMax) {
      return this.streamError(streamId, ErrorCode.REFUSED_STREAM, "refused");
    }
    if (this.overLimit) {
      return this.streamError(streamId, ErrorCode.REFUSED_STREAM, "too many bytes buffered");
    }
    const fault = block.tooLarge ? "" : checkRequest(block);
    const mismatch = endStream && block.contentLength > 0;
    if (fault !== "" || selfDependent || mismatch) {
      return this.streamError(streamId, ErrorCode.PROTOCOL_ERROR, fault);
    }
    const stream = new Stream(
      this,
      streamId,
      this.peerWindowBytes,
      this.newStreamWindowBytes,
      block.contentLength,
    );
    this.streams.set(streamId, stream);
    if (endStream) stream.state = StreamState.REMOTE_ENDED;
    if (block.tooLarge) return stream.sendHeaders(tooLargeReply, true);
    stream.receiver = this.#handler.onStream(stream, block.list, endStream);
  }

  #onTrailers(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    if ((stream.state & StreamState.REMOTE_ENDED) !== 0) {
      return this.failStream(stream, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM");
    }
    const fault = block.tooLarge ? "trailers too large" : checkTrailers(block);
    if (fault !== "" || !endStream || stream.expectedBytes > 0) {
      return this.failStream(stream, ErrorCode.PROTOCOL_ERROR, fault || "bad trailers");
    }
    stream.state |= StreamState.REMOTE_ENDED;
    stream.receiver.onTrailers(block.list);
    this.onRemoteEnd(stream);
  }

  #onClosedStream(streamId: number): void {
    const how = (streamId & 1) === 0 ? "unknown" : this.closedStreams.lookUp(streamId);
    if (how === "reset-by-us") return;
    if (how === "ended") {
      return this.connectionError(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream");
    }
    this.connectionError(ErrorCode.PROTOCOL_ERROR, "stream id not ascending or not odd");
  }

  onGoAwayFrame(): void {
    // A client's GOAWAY only says that it takes no pushes; it closes when its streams are done.
  }

  onLocalEnd(stream: Stream): void {
    if ((stream.state & StreamState.REMOTE_ENDED) === 0) {
      // The reply is complete: the client need not send the rest of its request.
      this.closedStreams.addReset(stream.id);
      this.sender.resetFrame(stream.id, ErrorCode.NO_ERROR);
    }
    this.completeStream(stream);
  }

  protected isIdle(streamId: number): boolean {
    return streamId > this.lastPeerStreamId || (streamId & 1) === 0;
  }

  protected onPeerSettings(): void {}

  protected onStreamGone(): void {
    if (this.lastServedStreamId !== MAX_STREAM_ID) this.closeWhenIdle();
  }

  protected onStreamsLost(): void {}
}
