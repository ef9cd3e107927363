// Answers what peers ask over HTTP/1.1 under /raft: streams, posted messages, snapshots, probes. Checks
// who asks before anything else; what does not fit gets the status and the text that etcd gives.

import type { IncomingMessage, ServerResponse } from "node:http";
import { MessageReader } from "./message-codec.ts";
import { IdleTimer, type PeerContext } from "./peer-context.ts";
import { formatId, header, incompatibility, parseId, paths } from "./peer-protocol.ts";
import type { PeerTransport } from "./peer-transport.ts";
import { probeReply } from "./prober.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import type { StreamKind } from "./stream-encoder.ts";

const streamPath = /^\/raft\/stream\/(message|msgapp)\/([^/]+)$/;

export class PeerServer {
  readonly #transport: PeerTransport;
  readonly #context: PeerContext;
  readonly #reader = new MessageReader();
  readonly #snapshots: SnapshotReceiver;

  constructor(transport: PeerTransport) {
    this.#transport = transport;
    this.#context = transport.context;
    this.#snapshots = new SnapshotReceiver(transport.context);
  }

  /** Takes requests under /raft; false for all others, which are left alone. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    if (path !== paths.raft && !path.startsWith(`${paths.raft}/`)) return false;
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    if (request.method === "POST") response.once("finish", () => this.#linger(request));
    if (!this.#transport.isStarted) refuse(response, 503, "the member is starting or stopping");
    else if (path === paths.probing) this.#onProbe(response);
    else if (path === paths.raft) void this.#onMessage(request, response);
    else if (path === paths.snapshot) void this.#onSnapshot(request, response);
    else if (path.startsWith(paths.streamPrefix)) this.#onStream(request, response, path);
    else refuse(response, 404, "404 page not found");
    return true;
  }

  #onProbe(response: ServerResponse): void {
    const body = probeReply(this.#context.clock.wallNow());
    response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8" }).end(body);
  }

  #onStream(request: IncomingMessage, response: ServerResponse, path: string): void {
    if (!isMethod(request, response, "GET")) return;
    const { identity, handler } = this.#context;
    response.setHeader("X-Server-Version", identity.serverVersion);
    if (!this.#isCompatible(request, response)) return;
    const match = streamPath.exec(path);
    if (match === null) return refuse(response, 404, "invalid path");
    const kind = match[1] as StreamKind;
    const from = parseId(match[2]);
    if (from === undefined) return refuse(response, 404, "invalid from");
    if (handler.isRemoved(from)) {
      this.#logRefusal("rejected stream from remote peer because it was removed", from);
      return refuse(response, 410, "removed member");
    }
    if (!this.#transport.hasPeer(from)) {
      this.#learn(from, request);
      this.#logRefusal("failed to find remote peer in cluster", from);
      return refuse(response, 404, "error sender not found");
    }
    if (header(request.headers, "x-raft-to") !== formatId(identity.memberId)) {
      this.#logRefusal("ignored streaming request; ID mismatch", from);
      return refuse(response, 412, "to field mismatch");
    }
    // What follows is written in HTTP/1.1's chunks.
    if (request.httpVersion !== "1.1") return refuse(response, 505, "HTTP/1.1 is needed");
    response.writeHead(200).flushHeaders();
    this.#transport.attach(from, kind, response);
  }

  async #onMessage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isMethod(request, response, "POST")) return;
    if (!this.#isCompatible(request, response)) return;
    this.#learn(parseId(header(request.headers, "x-server-from")), request);
    const body = await this.#readBody(request);
    if (body === undefined) return refuse(response, 400, "error reading raft message");
    let message: ReturnType<MessageReader["message"]>;
    try {
      message = this.#reader.message(body, 0, body.length);
    } catch {
      this.#context.metrics.of(0n).receiveFailures.value++;
      return refuse(response, 400, "error unmarshalling raft message");
    }
    if (!this.#transport.isStarted) return refuse(response, 503, "the member is stopping");
    if (this.#context.handler.isRemoved(message.from)) {
      this.#logRefusal("rejected Raft message from removed member", message.from);
      return refuseJson(response, 403, "cannot process message from removed member");
    }
    if (message.to !== this.#context.identity.memberId) {
      // etcd answers 403 here, too, and ends when it gets that: too harsh for an address out of date.
      this.#logRefusal("rejected Raft message to mismatch member", message.to);
      return refuse(response, 412, "to field mismatch");
    }
    const counters = this.#context.metrics.of(message.from);
    counters.receivedBytes.value += body.length;
    this.#context.receive([message], counters);
    response.writeHead(204).end();
  }

  async #onSnapshot(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isMethod(request, response, "POST")) return;
    if (!this.#isCompatible(request, response)) return;
    this.#learn(parseId(header(request.headers, "x-server-from")), request);
    const { status, text } = await this.#snapshots.receive(request);
    if (response.destroyed) return;
    if (status === 204) response.writeHead(204).end();
    else if (status === 403) refuseJson(response, status, text);
    else refuse(response, status, text);
  }

  /** The version and the cluster; answers when they do not fit. */
  #isCompatible(request: IncomingMessage, response: ServerResponse): boolean {
    const { identity, log } = this.#context;
    response.setHeader("X-Etcd-Cluster-ID", formatId(identity.clusterId));
    const reason = incompatibility(request.headers, identity);
    if (reason === undefined) return true;
    log.warn("refused a request of another member", {
      reason,
      "remote-peer-server-name": header(request.headers, "x-server-from"),
      "remote-peer-server-version": header(request.headers, "x-server-version"),
      "remote-peer-cluster-id": header(request.headers, "x-etcd-cluster-id"),
    });
    refuse(response, 412, reason);
    return false;
  }

  #learn(from: bigint | undefined, request: IncomingMessage): void {
    const urls = header(request.headers, "x-peerurls");
    if (from !== undefined && urls) this.#transport.learnRemote(from, urls.split(","));
  }

  /** An answer before the end of a long body: the sender gets time to hear it, not more. */
  #linger(request: IncomingMessage): void {
    if (request.complete) return;
    const { clock, limits } = this.#context;
    const cut = (): void => {
      if (!request.complete) request.destroy();
    };
    const timer = clock.setTimer(limits.silenceMs, cut, { unref: true });
    request.once("close", () => timer.cancel());
  }

  #logRefusal(message: string, id: bigint): void {
    this.#context.log.warn(message, { "remote-peer-id": formatId(id) });
  }

  /** The whole body; undefined when it is too long, too slow or cut off. */
  #readBody(request: IncomingMessage): Promise<Buffer | undefined> {
    const { clock, limits } = this.#context;
    if (Number(request.headers["content-length"] ?? 0) > limits.messageBytesMax) {
      return Promise.resolve(undefined);
    }
    return new Promise((resolve) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const timer = new IdleTimer(clock, limits.silenceMs, () => request.destroy());
      const settle = (body: Buffer | undefined): void => {
        timer.cancel();
        resolve(body);
      };
      request.on("data", (part: Buffer) => {
        timer.touch();
        bytes += part.length;
        if (bytes <= limits.messageBytesMax) parts.push(part);
        else settle(undefined);
      });
      request.once("end", () => settle(Buffer.concat(parts)));
      request.once("close", () => settle(undefined));
    });
  }
}

function isMethod(request: IncomingMessage, response: ServerResponse, method: string): boolean {
  if (request.method === method) return true;
  response.setHeader("Allow", method);
  refuse(response, 405, "Method Not Allowed");
  return false;
}

function refuse(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return;
  response
    .writeHead(status, {
      "Content-Type": "text/plain; charset=utf-8",
      "X-Content-Type-Options": "nosniff",
    })
    .end(`${text}\n`);
}

function refuseJson(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, { "Content-Type": "application/json" })
    .end(JSON.stringify({ message: text }));
}
