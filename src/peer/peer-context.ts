// What all parts of the transport share: who we are, the limits, and the inputs (clock, disk, chance,
// log). Nothing here has a state of its own.

import { assert } from "../base/assert.ts";
import type { Logger } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import type { Message } from "../raft/message.ts";
import type { PeerDialer } from "./peer-dialer.ts";
import type { PeerCounters, PeerMetrics } from "./peer-metrics.ts";
import type { PeerIdentity } from "./peer-protocol.ts";
import type { TransportHandler } from "./types.ts";

/** Times in milliseconds. The defaults are etcd's, where etcd has such a limit. */
export interface PeerLimits {
  /** A connection that carries nothing for so long is cut; heartbeats of the link go three times as often. */
  readonly silenceMs: number;
  readonly dialTimeoutMs: number;
  /** Between attempts to reach a peer: from the first to the second value, doubling. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  /** After a stream that has worked for a while: its end tells at once, mostly, whether the peer still is there. */
  readonly firstRedialMs: number;
  readonly probeIntervalMs: number;
  /** For the reply to one POST of a message. */
  readonly postTimeoutMs: number;
  /** A snapshot's transfer may stand still for so long, as when a disk is slow. */
  readonly snapshotSilenceMs: number;
  /** For the reply to a snapshot, from its last byte: the peer takes it over meanwhile. */
  readonly snapshotReplyTimeoutMs: number;
  /** What may wait for one stream: more is dropped and reported as unreachable. */
  readonly queuedMessagesMax: number;
  readonly queuedBytesMax: number;
  readonly messageBytesMax: number;
  readonly snapshotBytesMax: number;
  readonly snapshotReceivesMax: number;
}

export const defaultPeerLimits: PeerLimits = {
  silenceMs: 5000,
  dialTimeoutMs: 2000,
  redialMinMs: 100,
  redialMaxMs: 400,
  firstRedialMs: 10,
  probeIntervalMs: 4000,
  postTimeoutMs: 10_000,
  snapshotSilenceMs: 30_000,
  snapshotReplyTimeoutMs: 600_000,
  queuedMessagesMax: 4096,
  queuedBytesMax: 64 << 20,
  messageBytesMax: 512 << 20,
  snapshotBytesMax: 2 ** 40,
  snapshotReceivesMax: 4,
};

export interface PeerContext {
  readonly identity: PeerIdentity;
  readonly limits: PeerLimits;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: PeerMetrics;
  readonly dialer: PeerDialer;
  /** Asserts that the transport was started. */
  readonly handler: TransportHandler;
  /** Tells the handler, soon: never from inside a call of the member. */
  reportUnreachable(id: bigint): void;
  reportGone(id: bigint): void;
  reportSnapshotSent(id: bigint, ok: boolean): void;
  /** Hands over what a peer sent, without what no peer may send. */
  receive(messages: readonly Message[], from: PeerCounters): void;
}

/** Calls back once when `touch` was not called for a while. Cheap to touch: the timer is armed at most once a period. */
export class IdleTimer {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #onIdle: () => void;
  #timer: Timer | undefined;
  #touchedMs: number;

  constructor(clock: Clock, idleMs: number, onIdle: () => void) {
    assert(idleMs > 0, "an idle time is positive");
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#onIdle = onIdle;
    this.#touchedMs = clock.now();
    this.#arm(idleMs);
  }

  touch(): void {
    this.#touchedMs = this.#clock.now();
  }

  cancel(): void {
    this.#timer?.cancel();
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimer(delayMs, () => this.#check(), { unref: true });
  }

  #check(): void {
    const leftMs = this.#touchedMs + this.#idleMs - this.#clock.now();
    if (leftMs > 0) this.#arm(leftMs);
    else this.#onIdle();
  }
}
