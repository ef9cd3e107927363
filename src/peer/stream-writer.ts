// The sending end of one stream to a peer: the reply to a GET that the peer made, which never ends. What
// is handed over is encoded at once and waits in the connection; the wait is bounded by messages and
// bytes, and a connection that takes nothing for too long is cut. Never blocks, never throws.

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Message } from "../raft/message.ts";
import type { PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { formatId } from "./peer-protocol.ts";
import type { PeerStatus } from "./peer-status.ts";
import {
  createStreamEncoder,
  frameBound,
  type StreamEncoder,
  type StreamKind,
} from "./stream-encoder.ts";

/** Encoded at a time; what one buffer holds is at most this and one message. */
const batchBytes = 1 << 20;
const stopped = "stopped";

export class StreamWriter {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #kind: StreamKind;
  readonly #status: PeerStatus;
  readonly #counters: PeerCounters;
  #connection: WriterConnection | undefined = undefined;

  constructor(
    context: PeerContext,
    peerId: bigint,
    kind: StreamKind,
    status: PeerStatus,
    counters: PeerCounters,
  ) {
    this.#context = context;
    this.#peerId = peerId;
    this.#kind = kind;
    this.#status = status;
    this.#counters = counters;
  }

  get isWorking(): boolean {
    return this.#connection !== undefined;
  }

  /** Takes a reply whose head has been sent; one that was attached before is closed. */
  attach(response: ServerResponse): void {
    this.#detach("replaced by a new connection");
    const { socket } = response;
    if (socket === null || socket.destroyed) return; // gone before it was looked at
    const connection = new WriterConnection(response, socket, createStreamEncoder(this.#kind));
    connection.progressMs = this.#context.clock.now();
    connection.heartbeatMs = connection.progressMs;
    this.#connection = connection;
    response.on("error", () => undefined); // "close" follows
    response.once("close", () => {
      if (this.#connection === connection) this.#lost("the peer closed it");
    });
    this.#status.activate();
    this.#log("info", "established TCP streaming connection with remote peer");
  }

  /** Sends in order; returns how many were dropped (the last ones) because too much waits already. */
  send(messages: readonly Message[]): number {
    const connection = this.#connection;
    if (connection === undefined) return messages.length;
    let from = 0;
    while (from < messages.length) {
      if (this.#isFull(connection)) return messages.length - from;
      let to = from;
      let bytes = 0;
      do bytes += frameBound(messages[to++] as Message);
      while (to < messages.length && bytes < batchBytes);
      this.#write(connection, connection.encoder.encode(messages, from, to, bytes), to - from);
      from = to;
    }
    return 0;
  }

  /** To be called a few times a second. */
  tick(nowMs: number): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { silenceMs } = this.#context.limits;
    if (connection.queuedBytes > 0 && nowMs - connection.progressMs >= silenceMs) {
      this.#lost(`nothing was taken for ${silenceMs} ms`);
    } else if (nowMs - connection.heartbeatMs >= silenceMs / 3 && connection.queuedBytes === 0) {
      connection.heartbeatMs = nowMs;
      this.#write(connection, connection.encoder.heartbeat, 0);
    }
  }

  /** After this member itself stood still: what looks like silence of the peer is none. */
  forgive(nowMs: number): void {
    if (this.#connection !== undefined) this.#connection.progressMs = nowMs;
  }

  close(): void {
    this.#detach(stopped);
  }

  #isFull(connection: WriterConnection): boolean {
    const { queuedMessagesMax, queuedBytesMax } = this.#context.limits;
    return (
      connection.queuedMessages >= queuedMessagesMax || connection.queuedBytes >= queuedBytesMax
    );
  }

  #write(connection: WriterConnection, bytes: Buffer, messages: number): void {
    if (connection.queuedBytes === 0) connection.progressMs = this.#context.clock.now();
    connection.queuedBytes += bytes.length;
    connection.queuedMessages += messages;
    this.#counters.sentBytes.value += bytes.length;
    // Past the response, whose head is out: it would cut each chunk into four writes.
    connection.socket.write(bytes, () => {
      connection.queuedBytes -= bytes.length;
      connection.queuedMessages -= messages;
      connection.progressMs = this.#context.clock.now();
    });
  }

  #lost(reason: string): void {
    this.#status.deactivate(`stream ${this.#kind}`, "write", reason);
    this.#counters.sendFailures.value++;
    this.#detach(reason);
  }

  #detach(reason: string): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    const hadQueued = connection.queuedMessages > 0;
    connection.response.destroy();
    if (reason === stopped) this.#log("info", "stopped TCP streaming connection with remote peer");
    else this.#log("warn", "lost TCP streaming connection with remote peer", reason);
    if (hadQueued) this.#context.reportUnreachable(this.#peerId);
  }

  #log(level: "info" | "warn", message: string, error?: string): void {
    this.#context.log[level](message, {
      "stream-writer-type": `stream ${this.#kind}`,
      "remote-peer-id": formatId(this.#peerId),
      ...(error === undefined ? {} : { error }),
    });
  }
}

/** One connection's state; callbacks of an old one touch only its own. */
class WriterConnection {
  readonly response: ServerResponse;
  readonly socket: Socket;
  readonly encoder: StreamEncoder;
  queuedMessages = 0;
  queuedBytes = 0;
  /** When bytes were last taken, or first began to wait. */
  progressMs = 0;
  heartbeatMs = 0;

  constructor(response: ServerResponse, socket: Socket, encoder: StreamEncoder) {
    this.response = response;
    this.socket = socket;
    this.encoder = encoder;
  }
}
