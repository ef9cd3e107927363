// One other member as this one sends to it: two streams each way, posts while streams are down,
// snapshots, probes. Whatever this peer does stays with it: its queues are its own and bounded.

import type { ServerResponse } from "node:http";
import { type Message, MessageType } from "../raft/message.ts";
import type { PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { formatId } from "./peer-protocol.ts";
import { PeerStatus } from "./peer-status.ts";
import { UrlPicker } from "./peer-url.ts";
import { Pipeline } from "./pipeline.ts";
import { Prober } from "./prober.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import type { StreamKind } from "./stream-encoder.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";
import type { PeerHealth, SnapshotFile } from "./types.ts";

const dropLogIntervalMs = 1000;

export class Peer {
  readonly id: bigint;
  readonly counters: PeerCounters;
  readonly #context: PeerContext;
  readonly #picker: UrlPicker;
  readonly #status: PeerStatus;
  readonly #writers: Readonly<Record<StreamKind, StreamWriter>>;
  readonly #readers: readonly StreamReader[];
  readonly #pipeline: Pipeline;
  readonly #prober: Prober;
  readonly #snapshots: SnapshotSender;
  /** Collected by `stage` for `flush`. */
  #appends: Message[] = [];
  #others: Message[] = [];
  #quietUntilMs = 0;

  constructor(context: PeerContext, id: bigint, urls: readonly string[]) {
    this.id = id;
    this.#context = context;
    this.counters = context.metrics.of(id);
    this.#picker = new UrlPicker(urls);
    this.#status = new PeerStatus(id, context.clock, context.log, this.counters);
    const writer = (kind: StreamKind): StreamWriter =>
      new StreamWriter(context, id, kind, this.#status, this.counters);
    const reader = (kind: StreamKind): StreamReader =>
      new StreamReader(context, id, kind, this.#picker, this.#status, this.counters);
    this.#writers = { message: writer("message"), msgapp: writer("msgapp") };
    this.#readers = [reader("msgapp"), reader("message")];
    this.#pipeline = new Pipeline(context, id, this.#picker, this.#status, this.counters);
    this.#prober = new Prober(context, id, this.#picker, this.counters);
    this.#snapshots = new SnapshotSender(context, id, this.#picker, this.#status, this.counters);
  }

  start(): void {
    for (const reader of this.#readers) reader.dial();
  }

  /** Takes a message for the next `flush`; true when it is the first. */
  stage(message: Message): boolean {
    const isFirst = this.#appends.length === 0 && this.#others.length === 0;
    if (message.type === MessageType.app && this.#writers.msgapp.isWorking) {
      this.#appends.push(message);
    } else {
      this.#others.push(message);
    }
    return isFirst;
  }

  /** Sends what was staged. */
  flush(): void {
    const appends = this.#appends;
    const others = this.#others;
    let dropped = 0;
    if (appends.length > 0) {
      this.#appends = [];
      dropped += this.#writers.msgapp.send(appends);
    }
    if (others.length > 0) {
      this.#others = [];
      if (this.#writers.message.isWorking) dropped += this.#writers.message.send(others);
      else for (const message of others) dropped += this.#pipeline.send(message) ? 0 : 1;
    }
    if (dropped > 0) this.#onDropped(dropped);
  }

  sendSnapshot(message: Message, file: SnapshotFile): void {
    this.#snapshots.send(message, file);
  }

  /** The peer dialled for one of its streams: `response` has a head and no end. It is up: ours need not wait. */
  attach(kind: StreamKind, response: ServerResponse): void {
    this.#writers[kind].attach(response);
    for (const reader of this.#readers) reader.dial();
  }

  /** New addresses for everything that is dialled from now on. False when nothing is new. */
  update(urls: readonly string[]): boolean {
    if (!this.#picker.update(urls)) return false;
    for (const reader of this.#readers) reader.redial();
    return true;
  }

  tick(nowMs: number): void {
    this.#writers.message.tick(nowMs);
    this.#writers.msgapp.tick(nowMs);
    for (const reader of this.#readers) reader.tick(nowMs);
    this.#prober.tick(nowMs);
  }

  /** This member stood still; nobody else was silent. */
  forgive(nowMs: number): void {
    this.#writers.message.forgive(nowMs);
    this.#writers.msgapp.forgive(nowMs);
    for (const reader of this.#readers) reader.forgive(nowMs);
  }

  /** How many of the four streams (two each way) are up. */
  get streams(): number {
    const all = [this.#writers.message, this.#writers.msgapp, ...this.#readers];
    return all.filter((one) => one.isWorking).length;
  }

  health(): PeerHealth {
    return {
      id: this.id,
      activeSinceMs: this.#status.activeSinceMs,
      roundTripMs: this.#prober.roundTripMs,
      clockDriftMs: this.#prober.clockDriftMs,
    };
  }

  async close(): Promise<void> {
    this.#writers.message.close();
    this.#writers.msgapp.close();
    for (const reader of this.#readers) reader.close();
    this.#pipeline.close();
    this.#prober.close();
    this.#status.close();
    await this.#snapshots.close();
  }

  #onDropped(count: number): void {
    this.counters.sendFailures.value += count;
    this.#context.reportUnreachable(this.id);
    const nowMs = this.#context.clock.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + dropLogIntervalMs;
    this.#context.log.warn("dropped internal Raft message since sending buffer is full", {
      "remote-peer-id": formatId(this.id),
      messages: count,
      "remote-peer-active": this.#status.activeSinceMs !== undefined,
    });
  }
}
