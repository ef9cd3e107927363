// Receives a snapshot: a MsgSnap and a database file in one request body, which goes to disk piece by piece.
// The file has its real name only when it is complete and durable; whatever fails before leaves nothing behind.

import type { IncomingMessage } from "node:http";
import { dirname } from "node:path";
import { readUint32 } from "../base/bytes.ts";
import type { DiskFile } from "../io/disk.ts";
import { type Message, MessageType } from "../raft/message.ts";
import { MessageReader } from "./message-codec.ts";
import { IdleTimer, type PeerContext } from "./peer-context.ts";
import { formatId } from "./peer-protocol.ts";

/** Of the message alone; the file has a bound of its own. */
const messageBytesMax = 64 << 20;
/** Written between two syncs, so that the last one has little left to do. */
const syncEveryBytes = 64 << 20;
const progressIntervalMs = 5000;

/** How a request ended: the status and text to answer. */
export interface SnapshotVerdict {
  readonly status: number;
  readonly text: string;
}

export class SnapshotReceiver {
  readonly #context: PeerContext;
  #underWay = 0;

  constructor(context: PeerContext) {
    this.#context = context;
  }

  /** Reads the body to its end. Never rejects. */
  async receive(request: IncomingMessage): Promise<SnapshotVerdict> {
    if (this.#underWay >= this.#context.limits.snapshotReceivesMax) {
      return { status: 503, text: "too many snapshots at once" };
    }
    this.#underWay++;
    const body = new BodyReader(this.#context, request);
    try {
      return await this.#receive(body);
    } catch (error) {
      const text = `failed to decode raft message (${(error as Error).message})`;
      return { status: 400, text };
    } finally {
      this.#underWay--;
      await body.end();
    }
  }

  async #receive(body: BodyReader): Promise<SnapshotVerdict> {
    const head = await body.read(8);
    const length = readUint32(head, 0) * 2 ** 32 + readUint32(head, 4);
    if (length > messageBytesMax) {
      return {
        status: 400,
        text: "failed to decode raft message (rafthttp: error limit exceeded)",
      };
    }
    const bytes = await body.read(length);
    const message = new MessageReader().message(bytes, 0, length);
    const refusal = this.#refusal(message);
    if (refusal !== undefined) return refusal;
    const { handler, log, clock, metrics } = this.#context;
    const index = message.snapshot?.metadata.index ?? 0;
    const path = handler.snapshotPath(index);
    if (path === undefined) return { status: 503, text: "snapshots are not taken now" };
    const from = { "remote-snapshot-sender-id": formatId(message.from), "snapshot-index": index };
    const counters = metrics.of(message.from);
    const startMs = clock.now();
    log.info("receiving database snapshot", from);
    counters.snapshotReceivesUnderWay++;
    counters.snapshotReceiveDoneBytes = 0;
    try {
      const sizeBytes = await this.#save(body, path, (done) => {
        counters.receivedBytes.value += done - counters.snapshotReceiveDoneBytes;
        counters.snapshotReceiveDoneBytes = done;
      });
      const tookMs = clock.now() - startMs;
      log.info("received and saved database snapshot", {
        ...from,
        "incoming-snapshot-size-bytes": sizeBytes,
        "took-ms": tookMs,
      });
      await handler.onSnapshot(message, path, sizeBytes);
      counters.snapshotsReceived.value++;
      counters.snapshotReceiveSeconds.observe((clock.now() - startMs) / 1000);
      return { status: 204, text: "" };
    } catch (error) {
      counters.snapshotReceiveFailures.value++;
      log.warn("failed to save incoming database snapshot", { ...from, error });
      return { status: 500, text: `failed to save KV snapshot (${(error as Error).message})` };
    } finally {
      counters.snapshotReceivesUnderWay--;
    }
  }

  #refusal(message: Message): SnapshotVerdict | undefined {
    const { handler, identity } = this.#context;
    if (message.type !== MessageType.snap || message.snapshot === undefined) {
      return { status: 400, text: "wrong raft message type" };
    }
    if (handler.isRemoved(message.from)) {
      return { status: 403, text: "cannot process message from removed member" };
    }
    if (message.to !== identity.memberId) return { status: 412, text: "to field mismatch" };
    return undefined;
  }

  /** Streams the rest of the body to `path`; resolves to its size when it is durable there. */
  async #save(body: BodyReader, path: string, onProgress: (done: number) => void): Promise<number> {
    const { disk, random, clock, metrics } = this.#context;
    const startMs = clock.now();
    const unfinished = `${path}.${random.uint32().toString(16)}.part`;
    await disk.makeFolder(dirname(path));
    const file = await disk.open(unfinished, "create-exclusive");
    try {
      let sizeBytes: number;
      try {
        sizeBytes = await this.#copy(body, file, onProgress);
        const syncMs = clock.now();
        await file.datasync();
        metrics.snapshotSyncSeconds.observe((clock.now() - syncMs) / 1000);
      } finally {
        await file.close();
      }
      await disk.rename(unfinished, path);
      await disk.syncFolder(dirname(path));
      metrics.snapshotSaveSeconds.observe((clock.now() - startMs) / 1000);
      return sizeBytes;
    } catch (error) {
      await disk.remove(unfinished).catch(() => undefined);
      throw error;
    }
  }

  async #copy(
    body: BodyReader,
    file: DiskFile,
    onProgress: (done: number) => void,
  ): Promise<number> {
    const { limits, clock, log } = this.#context;
    let at = 0;
    let syncedAt = 0;
    let reportedMs = clock.now();
    for (;;) {
      const piece = await body.next();
      if (piece === undefined) return at;
      if (at + piece.length > limits.snapshotBytesMax) throw new Error("it exceeds the limit");
      await file.write(piece, 0, piece.length, at);
      at += piece.length;
      onProgress(at);
      if (at - syncedAt >= syncEveryBytes) {
        await file.datasync();
        syncedAt = at;
      }
      if (clock.now() - reportedMs < progressIntervalMs) continue;
      reportedMs = clock.now();
      log.info("receiving database snapshot: progress", { done: at });
    }
  }
}

/** A request's body in pieces, each waited for with a limit; an end before the announced one is an error. */
class BodyReader {
  readonly #request: IncomingMessage;
  readonly #pieces: AsyncIterator<Buffer>;
  readonly #context: PeerContext;
  #left: Buffer = Buffer.alloc(0);

  constructor(context: PeerContext, request: IncomingMessage) {
    this.#context = context;
    this.#request = request;
    this.#pieces = request.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes. What was announced and does not come takes no memory. */
  async read(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      const piece = await this.next();
      if (piece === undefined) throw new Error("unexpected EOF");
      parts.push(piece.subarray(0, missing));
      if (piece.length > missing) this.#left = piece.subarray(missing);
      missing -= Math.min(missing, piece.length);
    }
    return Buffer.concat(parts);
  }

  /** What comes next; undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    if (this.#left.length > 0) {
      const left = this.#left;
      this.#left = Buffer.alloc(0);
      return left;
    }
    const { clock, limits } = this.#context;
    const idleMs = limits.snapshotSilenceMs;
    const timer = new IdleTimer(clock, idleMs, () =>
      this.#request.destroy(new Error(`nothing came for ${idleMs} ms`)),
    );
    try {
      const { done, value } = await this.#pieces.next();
      if (!done) return value;
      if (!this.#request.complete) throw new Error("unexpected EOF");
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  /** What is left is read and forgotten: a sender that is cut off in mid-sentence would not hear why. */
  async end(): Promise<void> {
    await this.#pieces.return?.();
    this.#request.resume();
  }
}
