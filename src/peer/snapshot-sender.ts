// Sends snapshots to one peer, one at a time: a MsgSnap and the database file after it, read and sent piece
// by piece, so that memory stays small whatever the size. The outcome is reported exactly once.

import type { ClientRequest, IncomingMessage } from "node:http";
import { writeUint64 } from "../base/bytes.ts";
import type { DiskFile } from "../io/disk.ts";
import type { Message } from "../raft/message.ts";
import { isRemovalNotice, readReply } from "./http-reply.ts";
import { messageSize, writeMessage } from "./message-codec.ts";
import { IdleTimer, type PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { formatId, identityHeaders, paths } from "./peer-protocol.ts";
import type { PeerStatus } from "./peer-status.ts";
import type { PeerAddress, UrlPicker } from "./peer-url.ts";
import type { SnapshotFile } from "./types.ts";

const pieceBytes = 128 << 10;
const progressIntervalMs = 5000;

export class SnapshotSender {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #picker: UrlPicker;
  readonly #status: PeerStatus;
  readonly #counters: PeerCounters;
  #transfer: Promise<void> | undefined = undefined;
  #request: ClientRequest | undefined = undefined;
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

  /** Begins; while another one is under way this one fails. */
  send(message: Message, file: SnapshotFile): void {
    if (this.#closed || this.#transfer !== undefined) {
      this.#context.reportSnapshotSent(this.#peerId, false);
      return;
    }
    this.#transfer = this.#run(message, file).finally(() => {
      this.#transfer = undefined;
    });
  }

  /** Ends a transfer under way; resolves when its file is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#request?.destroy(new Error("stopped"));
    await this.#transfer;
  }

  async #run(message: Message, file: SnapshotFile): Promise<void> {
    const { clock, log } = this.#context;
    const counters = this.#counters;
    const fields = {
      "remote-peer-id": formatId(this.#peerId),
      "snapshot-index": message.snapshot?.metadata.index,
      bytes: file.sizeBytes,
    };
    const startMs = clock.now();
    log.info("sending database snapshot", fields);
    counters.snapshotSendsUnderWay++;
    counters.snapshotSendTotalBytes = file.sizeBytes;
    counters.snapshotSendDoneBytes = 0;
    const failure = await this.#attempt(message, file, fields).catch((error) => String(error));
    counters.snapshotSendsUnderWay--;
    if (failure === undefined) {
      this.#status.activate();
      counters.snapshotsSent.value++;
      counters.snapshotSendSeconds.observe((clock.now() - startMs) / 1000);
      log.info("sent database snapshot", { ...fields, "took-ms": clock.now() - startMs });
    } else {
      counters.snapshotSendFailures.value++;
      counters.sendFailures.value++;
      log.warn("failed to send database snapshot", { ...fields, error: failure });
      this.#status.deactivate("sendMsgSnap", "post", failure);
      this.#context.reportUnreachable(this.#peerId);
    }
    this.#context.reportSnapshotSent(this.#peerId, failure === undefined);
  }

  /** Resolves to why it failed; undefined when the peer has taken it over. */
  async #attempt(
    message: Message,
    file: SnapshotFile,
    fields: Readonly<Record<string, unknown>>,
  ): Promise<string | undefined> {
    const address = this.#picker.current;
    if (address === undefined) return "no usable address";
    const source = await this.#context.disk.open(file.path, "read");
    try {
      if ((await source.size()) !== file.sizeBytes)
        return "the file has another size than announced";
      if (this.#closed) return "stopped";
      const failure = await this.#post(address, message, file, source, fields);
      if (failure !== undefined) this.#picker.failed(address);
      return failure;
    } finally {
      await source.close();
    }
  }

  async #post(
    address: PeerAddress,
    message: Message,
    file: SnapshotFile,
    source: DiskFile,
    fields: Readonly<Record<string, unknown>>,
  ): Promise<string | undefined> {
    const head = Buffer.allocUnsafe(8 + messageSize(message));
    writeUint64(head, 0, head.length - 8);
    writeMessage(head, 8, message);
    const exchange = new SnapshotExchange(this.#context, address, head.length + file.sizeBytes);
    this.#request = exchange.request;
    try {
      await exchange.write(head);
      let reportedMs = this.#context.clock.now();
      for (let at = 0; at < file.sizeBytes && exchange.isOpen; ) {
        const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, file.sizeBytes - at));
        const count = await source.read(piece, at);
        if (count < piece.length) throw new Error("the file became shorter while it was sent");
        await exchange.write(piece);
        at += count;
        this.#counters.sentBytes.value += count;
        this.#counters.snapshotSendDoneBytes = at;
        if (this.#context.clock.now() - reportedMs < progressIntervalMs) continue;
        reportedMs = this.#context.clock.now();
        const percent = Math.floor((at / file.sizeBytes) * 100);
        this.#context.log.info("sending database snapshot: progress", {
          ...fields,
          done: at,
          percent,
        });
      }
      const { status, text } = await exchange.finish();
      if (status === 204) return undefined;
      if (isRemovalNotice(status, text)) this.#context.handler.onRemovedFromCluster();
      return `status ${status}: ${text.trim()}`;
    } catch (error) {
      exchange.request.destroy();
      return (error as Error).message;
    } finally {
      exchange.end();
      this.#request = undefined;
    }
  }
}

/** One POST whose body is written in pieces. A peer may answer before it has read everything. */
class SnapshotExchange {
  readonly request: ClientRequest;
  readonly #context: PeerContext;
  readonly #reply: Promise<IncomingMessage>;
  #timer: IdleTimer;
  #isAnswered = false;
  #failure: Error | undefined = undefined;
  #wake: (() => void) | undefined = undefined;

  constructor(context: PeerContext, address: PeerAddress, bodyBytes: number) {
    this.#context = context;
    const request = context.dialer.open(address, {
      method: "POST",
      path: paths.snapshot,
      headers: {
        ...identityHeaders(context.identity),
        "Content-Type": "application/octet-stream",
        "Content-Length": String(bodyBytes),
      },
    });
    this.request = request;
    this.#timer = this.#limit(context.limits.snapshotSilenceMs);
    this.#reply = new Promise((resolve, reject) => {
      request.once("response", (response) => {
        this.#isAnswered = true;
        resolve(response);
        this.#wake?.();
      });
      request.on("error", (error) => {
        this.#failure = error;
        reject(error);
        this.#wake?.();
      });
    });
    this.#reply.catch(() => undefined); // looked at in finish()
    request.on("drain", () => {
      this.#timer.touch();
      this.#wake?.();
    });
  }

  /** False when more pieces make no sense. */
  get isOpen(): boolean {
    return !this.#isAnswered && this.#failure === undefined;
  }

  /** Resolves when the next piece is welcome, or none is any more. */
  async write(piece: Buffer): Promise<void> {
    if (!this.isOpen || this.request.write(piece)) return this.#timer.touch();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** The whole body was written, or the peer did not want it: the reply. */
  async finish(): Promise<{ readonly status: number; readonly text: string }> {
    if (this.isOpen) {
      this.request.end();
      this.#timer.cancel();
      this.#timer = this.#limit(this.#context.limits.snapshotReplyTimeoutMs);
    }
    const response = await this.#reply;
    this.#timer.touch();
    const text = await readReply(this.#context.clock, response);
    return { status: response.statusCode ?? 0, text };
  }

  end(): void {
    this.#timer.cancel();
    if (!this.request.writableEnded) this.request.destroy();
  }

  #limit(idleMs: number): IdleTimer {
    return new IdleTimer(this.#context.clock, idleMs, () =>
      this.request.destroy(new Error(`nothing happened for ${idleMs} ms`)),
    );
  }
}
