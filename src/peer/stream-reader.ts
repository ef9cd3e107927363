// The receiving end of one stream: dials the peer with a GET, decodes the endless reply, and dials
// again when it ends. All messages that came with one read of the socket are handed over in one call. A peer that
// says nothing for too long, or something that makes no sense, is cut off and dialled again.

import type { ClientRequest, IncomingMessage } from "node:http";
import type { Timer } from "../io/clock.ts";
import type { Message } from "../raft/message.ts";
import { isRemovalNotice, readReply } from "./http-reply.ts";
import type { PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { formatId, hasStreams, identityHeaders, paths } from "./peer-protocol.ts";
import type { PeerStatus } from "./peer-status.ts";
import type { PeerAddress, UrlPicker } from "./peer-url.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import type { StreamKind } from "./stream-encoder.ts";

/** A stream that has lived for so long is dialled again at once when it ends. */
const steadyMs = 1000;

export class StreamReader {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #kind: StreamKind;
  readonly #picker: UrlPicker;
  readonly #status: PeerStatus;
  readonly #counters: PeerCounters;
  #request: ClientRequest | undefined = undefined;
  #address: PeerAddress | undefined = undefined;
  #isReading = false;
  #heardMs = 0;
  /** When the stream began to work. */
  #openedMs = 0;
  /** Attempts in a row that found nobody listening. */
  #refusals = 0;
  #timer: Timer | undefined = undefined;
  #redialMs: number;
  #received: Message[] = [];
  #isDelivering = false;
  #closed = false;

  constructor(
    context: PeerContext,
    peerId: bigint,
    kind: StreamKind,
    picker: UrlPicker,
    status: PeerStatus,
    counters: PeerCounters,
  ) {
    this.#context = context;
    this.#peerId = peerId;
    this.#kind = kind;
    this.#picker = picker;
    this.#status = status;
    this.#counters = counters;
    this.#redialMs = context.limits.redialMinMs;
  }

  get isWorking(): boolean {
    return this.#request !== undefined && this.#isReading;
  }

  /** Dials, unless a connection or an attempt is there. Also: the peer was just heard of, why wait. */
  dial(): void {
    if (this.#closed || this.#request !== undefined) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const address = this.#picker.current;
    if (address === undefined) return this.#failed("dial", "no usable address");
    const { identity, clock, dialer } = this.#context;
    const request = dialer.open(address, {
      method: "GET",
      path: `${paths.streamPrefix}${this.#kind}/${formatId(identity.memberId)}`,
      headers: { ...identityHeaders(identity), "X-Raft-To": formatId(this.#peerId) },
    });
    this.#request = request;
    this.#address = address;
    this.#isReading = false;
    this.#heardMs = clock.now();
    request.on("error", (error) => {
      this.#noteRefusal(request, error);
      this.#ended(request, "dial", error.message);
    });
    request.once("response", (response) => this.#onResponse(request, response));
    request.end();
  }

  /** The peer has new addresses: an attempt at an old one is given up. A stream that works stays. */
  redial(): void {
    const request = this.#request;
    this.#redialMs = this.#context.limits.redialMinMs;
    if (request !== undefined && this.#isReading) return;
    this.#request = undefined;
    request?.destroy();
    this.dial();
  }

  /** To be called a few times a second. */
  tick(nowMs: number): void {
    const { silenceMs } = this.#context.limits;
    const request = this.#request;
    if (request === undefined || nowMs - this.#heardMs < silenceMs) return;
    const action = this.#isReading ? "read" : "dial";
    this.#ended(request, action, `nothing came for ${silenceMs} ms`);
    request.destroy();
  }

  forgive(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    const request = this.#request;
    this.#request = undefined;
    request?.destroy();
  }

  #onResponse(request: ClientRequest, response: IncomingMessage): void {
    if (request !== this.#request) {
      response.destroy();
      return;
    }
    if (response.statusCode !== 200 || !hasStreams(response.headers)) {
      void this.#onRefusal(request, response);
      return;
    }
    this.#heardMs = this.#context.clock.now();
    this.#openedMs = this.#heardMs;
    this.#refusals = 0;
    this.#redialMs = this.#context.limits.redialMinMs;
    this.#isReading = true;
    this.#status.activate();
    this.#log("info", "established TCP streaming connection with remote peer");
    const decoder = new StreamDecoder({
      kind: this.#kind,
      localId: this.#context.identity.memberId,
      peerId: this.#peerId,
      messageBytesMax: this.#context.limits.messageBytesMax,
    });
    response.on("data", (chunk: Buffer) => this.#onData(request, decoder, chunk));
    response.on("error", (error) => this.#ended(request, "read", error.message));
    response.once("close", () => this.#ended(request, undefined, "the peer closed it"));
  }

  #onData(request: ClientRequest, decoder: StreamDecoder, chunk: Buffer): void {
    if (request !== this.#request) return;
    this.#heardMs = this.#context.clock.now();
    this.#counters.receivedBytes.value += chunk.length;
    try {
      decoder.push(chunk, this.#received);
    } catch (error) {
      this.#counters.receiveFailures.value++;
      this.#ended(request, "read", (error as Error).message);
      request.destroy();
    }
    if (this.#received.length === 0 || this.#isDelivering) return;
    this.#isDelivering = true;
    // After the whole read of the socket, which may hold many chunks of the HTTP encoding.
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#isDelivering = false;
    const messages = this.#received;
    this.#received = [];
    if (!this.#closed) this.#context.receive(messages, this.#counters);
  }

  async #onRefusal(request: ClientRequest, response: IncomingMessage): Promise<void> {
    const text = await readReply(this.#context.clock, response);
    if (request !== this.#request) return;
    const status = response.statusCode ?? 0;
    this.#ended(request, "dial", refusalReason(status, text));
    if (isRemovalNotice(status, text)) this.#context.handler.onRemovedFromCluster();
  }

  /** When nobody listens at any address, the peer's process has ended: worth to be told, if it is the leader. */
  #noteRefusal(request: ClientRequest, error: NodeJS.ErrnoException): void {
    if (request !== this.#request || this.#isReading) return;
    const isRefused = error.code === "ECONNREFUSED" || error.code === "ENOENT";
    this.#refusals = isRefused ? this.#refusals + 1 : 0;
    if (this.#refusals === this.#picker.count) this.#context.reportGone(this.#peerId);
  }

  /** The connection is over. Without an `action` it ended in good order, and only a failing dial makes the peer inactive. */
  #ended(request: ClientRequest, action: "dial" | "read" | undefined, reason: string): void {
    if (request !== this.#request) return;
    this.#request = undefined;
    if (action !== "dial")
      this.#log("warn", "lost TCP streaming connection with remote peer", reason);
    this.#failed(action, reason);
  }

  #failed(action: "dial" | "read" | undefined, reason: string): void {
    if (action !== undefined) this.#status.deactivate(`stream ${this.#kind}`, action, reason);
    if (action === "dial") this.#picker.failed(this.#address);
    const { clock, random, limits } = this.#context;
    const hasWorked = action !== "dial" && clock.now() - this.#openedMs > steadyMs;
    const delayMs = hasWorked
      ? limits.firstRedialMs
      : this.#redialMs * (0.8 + 0.4 * random.float());
    if (!hasWorked) this.#redialMs = Math.min(this.#redialMs * 2, limits.redialMaxMs);
    this.#timer = clock.setTimer(delayMs, () => this.dial(), { unref: true });
  }

  #log(level: "info" | "warn", message: string, error?: string): void {
    this.#context.log[level](message, {
      "stream-reader-type": `stream ${this.#kind}`,
      "remote-peer-id": formatId(this.#peerId),
      ...(error === undefined ? {} : { error }),
    });
  }
}

function refusalReason(status: number, text: string): string {
  if (status === 200) return "the peer's version has no such streams";
  return `status ${status}: ${text.trim()}`;
}
