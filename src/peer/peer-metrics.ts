// What the traffic with other members counts about itself, by peer. Whoever publishes metrics gives
// the names (etcd_network_*).

import { Counter, exponentialBounds, Histogram } from "../base/instruments.ts";

/** Everything about one other member. Durations in seconds. */
export class PeerCounters {
  /** The other member's id. */
  readonly id: bigint;
  readonly sentBytes = new Counter();
  readonly receivedBytes = new Counter();
  readonly sendFailures = new Counter();
  readonly receiveFailures = new Counter();
  readonly disconnects = new Counter();
  readonly snapshotsSent = new Counter();
  readonly snapshotSendFailures = new Counter();
  readonly snapshotSendSeconds = new Histogram(exponentialBounds(0.1, 2, 10));
  readonly snapshotsReceived = new Counter();
  readonly snapshotReceiveFailures = new Counter();
  readonly snapshotReceiveSeconds = new Histogram(exponentialBounds(0.1, 2, 10));
  readonly roundTripSeconds = new Histogram(exponentialBounds(0.0001, 2, 16));
  /** Gauges: 1 while messages go through; transfers under way and how far they are. */
  active = 0;
  snapshotSendsUnderWay = 0;
  snapshotReceivesUnderWay = 0;
  snapshotSendDoneBytes = 0;
  snapshotSendTotalBytes = 0;
  snapshotReceiveDoneBytes = 0;

  constructor(id: bigint) {
    this.id = id;
  }
}

/** How many ids are told apart that are no peers; what others send counts for id 0. */
const strangersMax = 64;

export class PeerMetrics {
  /** Saving a received snapshot, from its first byte until it is durable, and the last sync of that. */
  readonly snapshotSaveSeconds = new Histogram(exponentialBounds(0.1, 2, 10));
  readonly snapshotSyncSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  readonly #byPeer = new Map<bigint, PeerCounters>();

  /** The counters of a peer, kept when it leaves: counters never go back. */
  of(id: bigint): PeerCounters {
    const known = this.#byPeer.get(id);
    if (known !== undefined) return known;
    if (id !== 0n && this.#byPeer.size >= strangersMax) return this.of(0n);
    const made = new PeerCounters(id);
    this.#byPeer.set(id, made);
    return made;
  }

  all(): Iterable<PeerCounters> {
    return this.#byPeer.values();
  }
}
