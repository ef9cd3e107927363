// Messages without a stream: each is a POST of its own, a few at a time. Used while streams are down, and
// to answer members that are not known yet. Order is not kept between posts.

import type { ClientRequest, IncomingMessage } from "node:http";
import { BoundedQueue } from "../base/queue.ts";
import type { Message } from "../raft/message.ts";
import { isRemovalNotice, readReply } from "./http-reply.ts";
import { messageSize, writeMessage } from "./message-codec.ts";
import { IdleTimer, type PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { identityHeaders, paths } from "./peer-protocol.ts";
import type { PeerStatus } from "./peer-status.ts";
import type { UrlPicker } from "./peer-url.ts";

const postsMax = 4;
const queuedMax = 64;

export class Pipeline {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #picker: UrlPicker;
  readonly #status: PeerStatus;
  readonly #counters: PeerCounters;
  readonly #queue = new BoundedQueue<Message>(queuedMax);
  readonly #underWay = new Set<ClientRequest>();
  #queuedBytes = 0;
  #posts = 0;
  #closed = false;

  constructor(
    context: PeerContext,
    peerId: bigint,
    picker: UrlPicker,
    status: PeerStatus,
    counters: PeerCounters,
  ) {
    this.#context = context;
    this.#peerId = peerId;
    this.#picker = picker;
    this.#status = status;
    this.#counters = counters;
  }

  /** False when it was dropped: too much waits already. */
  send(message: Message): boolean {
    if (this.#closed) return false;
    const size = messageSize(message);
    const { queuedBytesMax } = this.#context.limits;
    if (this.#queuedBytes > 0 && this.#queuedBytes + size > queuedBytesMax) return false;
    if (!this.#queue.push(message)) return false;
    this.#queuedBytes += size;
    this.#next();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#queue.clear();
    for (const request of this.#underWay) request.destroy();
  }

  #next(): void {
    while (this.#posts < postsMax) {
      const message = this.#queue.shift();
      if (message === undefined) return;
      this.#posts++;
      void this.#deliver(message);
    }
  }

  async #deliver(message: Message): Promise<void> {
    const body = Buffer.allocUnsafe(messageSize(message));
    writeMessage(body, 0, message);
    const failure = await this.#post(body);
    this.#posts--;
    this.#queuedBytes -= body.length;
    if (this.#closed) return;
    if (failure === undefined) {
      this.#status.activate();
      this.#counters.sentBytes.value += body.length;
    } else {
      this.#status.deactivate("pipeline", "write", failure);
      this.#counters.sendFailures.value++;
      this.#context.reportUnreachable(this.#peerId);
    }
    this.#next();
  }

  /** Resolves to why it failed, undefined when the peer took it. Once more when a kept connection turned out to be closed. */
  async #post(body: Buffer): Promise<string | undefined> {
    const first = await this.#attempt(body);
    return first === "stale" ? this.#attempt(body) : first;
  }

  #attempt(body: Buffer): Promise<string | undefined> {
    const address = this.#picker.current;
    if (address === undefined) return Promise.resolve("no usable address");
    const { clock, dialer, identity, limits } = this.#context;
    return new Promise((resolve) => {
      const request = dialer.open(address, {
        method: "POST",
        path: paths.raft,
        headers: {
          ...identityHeaders(identity),
          "Content-Type": "application/protobuf",
          "Content-Length": String(body.length),
        },
      });
      this.#underWay.add(request);
      const timer = new IdleTimer(clock, limits.postTimeoutMs, () =>
        request.destroy(new Error(`no reply within ${limits.postTimeoutMs} ms`)),
      );
      const settle = (failure: string | undefined): void => {
        timer.cancel();
        this.#underWay.delete(request);
        if (failure !== undefined && failure !== "stale") this.#picker.failed(address);
        resolve(failure);
      };
      request.once("response", (response) => {
        void this.#judge(response).then(settle);
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        settle(request.reusedSocket && error.code === "ECONNRESET" ? "stale" : error.message);
      });
      request.end(body);
    });
  }

  async #judge(response: IncomingMessage): Promise<string | undefined> {
    const text = await readReply(this.#context.clock, response);
    const status = response.statusCode ?? 0;
    if (status === 204) return undefined;
    if (isRemovalNotice(status, text)) this.#context.handler.onRemovedFromCluster();
    return `status ${status}: ${text.trim()}`;
  }
}
