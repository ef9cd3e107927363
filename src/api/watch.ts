// The Watch service: streams of bytes around the member's watch hub. What a stream has to say is gathered until
// the work at hand is done, so that everything delivered in one round leaves in one write per stream.
// Behaviour is etcd's, to the fields of each answer.

import type { Clock, Timer } from "../io/clock.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import type { Replica } from "../node/replica-types.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { RawStreamCall } from "../rpc/grpc/types.ts";
import { EtcdErrors } from "../wire/errors.ts";
import { HeaderEncoder, ReplyWriter } from "../wire/reply-writer.ts";
import { OutputPool } from "./watch-output.ts";
import { WatchStream } from "./watch-stream.ts";

export const watchPath = "/etcdserverpb.Watch/Watch";

const progressIntervalMsMin = 100;
const streamBytesMin = 64 * 1024;
const streamBytesMax = 1024 * 1024;
const allStreamsBytesMax = 256 * 1024 * 1024;

export interface WatchServiceOptions {
  /** How often quiet watchers that asked for it are told the revision. Default 10 minutes; at least 100 ms. */
  readonly progressIntervalMs?: number;
  /** Responses of this size and more are split for watchers that allow it. Default 2 MiB. */
  readonly fragmentBytes?: number;
}

export interface WatchServiceParts {
  readonly replica: Pick<Replica, "clusterId" | "memberId" | "header" | "watchHub">;
  readonly clock: Clock;
}

export class WatchService {
  readonly hub: WatchHub;
  readonly outputs = new OutputPool();
  readonly fragmentBytes: number;
  readonly #parts: WatchServiceParts;
  readonly #progressIntervalMs: number;
  readonly #encoder: HeaderEncoder;
  readonly #writer = new ReplyWriter();
  readonly #streams = new Map<WatchStream, Timer | undefined>();
  readonly #withOutput: WatchStream[] = [];
  readonly #wantProgress = new Set<WatchStream>();
  #openedStreams = 0;
  #header: Buffer | undefined;
  #headerRevision = -1;
  #headerTerm = -1;
  #term = 0;
  #sendQueued = false;

  constructor(options: WatchServiceOptions, parts: WatchServiceParts) {
    this.#parts = parts;
    this.hub = parts.replica.watchHub;
    this.fragmentBytes = options.fragmentBytes ?? 2 * 1024 * 1024;
    const intervalMs = options.progressIntervalMs ?? 600_000;
    this.#progressIntervalMs = Math.max(intervalMs, progressIntervalMsMin);
    this.#encoder = new HeaderEncoder(parts.replica.clusterId, parts.replica.memberId);
  }

  register(server: GrpcServer): void {
    server.addRawStream(watchPath, (call) => this.open(call));
  }

  open(call: RawStreamCall): WatchStream {
    const stream = new WatchStream(this, call);
    this.#streams.set(stream, undefined);
    this.#openedStreams++;
    return stream;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Output of one stream, in bytes, beyond which it takes no more; the more streams, the less each. */
  get streamBytesMax(): number {
    const share = Math.floor(allStreamsBytesMax / Math.max(1, this.#streams.size));
    return Math.min(streamBytesMax, Math.max(streamBytesMin, share));
  }

  /** Ends every stream; the service is of no use afterwards. */
  close(): void {
    for (const stream of [...this.#streams.keys()]) {
      stream.end(EtcdErrors.stopped.code, EtcdErrors.stopped.message);
    }
  }

  /** Field 1 of a response that is made now, with this revision. */
  headerField(revision: number): Buffer {
    const header = this.#header;
    if (
      header !== undefined &&
      revision === this.#headerRevision &&
      this.#term === this.#headerTerm
    ) {
      return header;
    }
    this.#term = this.#parts.replica.header().raftTerm;
    const writer = this.#writer;
    writer.begin(this.#encoder.size(revision, this.#term));
    this.#encoder.write(writer, revision, this.#term);
    const made = Buffer.from(writer.buffer.subarray(writer.start, writer.end));
    this.#header = made;
    this.#headerRevision = revision;
    this.#headerTerm = this.#term;
    return made;
  }

  /** The stream has something to send. */
  onOutput(stream: WatchStream): void {
    this.#withOutput.push(stream);
    this.#queueSend();
  }

  onClosed(stream: WatchStream): void {
    this.#streams.get(stream)?.cancel();
    this.#streams.delete(stream);
    this.#wantProgress.delete(stream);
  }

  /** Looks again, soon, whether a progress request of this stream can be answered. */
  retryProgress(stream: WatchStream): void {
    this.#wantProgress.add(stream);
    this.#queueSend();
  }

  /** Starts the stream's own rhythm of progress answers, moved a little against that of the others. */
  scheduleProgress(stream: WatchStream): void {
    const jitter = ((this.#openedStreams * 0.618_033_988_75) % 1) * 0.1;
    const intervalMs = this.#progressIntervalMs * (1 + jitter);
    const tick = () => {
      if (stream.isClosed) return;
      stream.notifyProgress();
      this.#streams.set(stream, this.#parts.clock.setTimer(intervalMs, tick, { unref: true }));
    };
    this.#streams.set(stream, this.#parts.clock.setTimer(intervalMs, tick, { unref: true }));
  }

  /** Sends what all streams have gathered. Happens by itself at the end of the turn. */
  send(): void {
    this.#term = this.#parts.replica.header().raftTerm;
    this.#answerProgress();
    this.#sendOutputs();
    this.#sendQueued = false;
    if (this.#wantProgress.size > 0) this.#queueSend();
  }

  #queueSend(): void {
    if (this.#sendQueued) return;
    this.#sendQueued = true;
    process.nextTick(() => this.send());
  }

  #answerProgress(): void {
    if (this.#wantProgress.size === 0) return;
    const streams = [...this.#wantProgress];
    this.#wantProgress.clear();
    for (const stream of streams) stream.tryProgress();
  }

  #sendOutputs(): void {
    const streams = this.#withOutput;
    for (let i = 0; i < streams.length; i++) (streams[i] as WatchStream).send();
    streams.length = 0;
  }
}
