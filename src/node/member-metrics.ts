// What one member counts and measures while it runs. The parts that do the work change these numbers;
// api/metrics publishes them under etcd's names. All times are in seconds, as Prometheus wants them.

import { Counter, exponentialBounds, Histogram } from "../base/instruments.ts";

export class MemberMetrics {
  /** From handing a batch to the log until it is durable. */
  readonly walFsyncSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  /** Bytes of entries handed to the log. */
  readonly walBytes = new Counter();
  /** One flush of the overlay into the backend. */
  readonly backendCommitSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  readonly proposalsFailed = new Counter();
  /** Applied put, delete-range and txn commands, and ranges served. */
  readonly puts = new Counter();
  readonly deletes = new Counter();
  readonly txns = new Counter();
  readonly ranges = new Counter();
  readonly leasesGranted = new Counter();
  readonly leasesRevoked = new Counter();
  readonly leasesRenewed = new Counter();
  readonly leasesExpired = new Counter();
  readonly leaderChanges = new Counter();
  /** Reads that waited for a round of the quorum, and rounds. */
  readonly readRounds = new Counter();
  readonly snapshotsSent = new Counter();
  readonly snapshotsInstalled = new Counter();
  /** One bounded step of a compaction, in milliseconds. */
  readonly compactionPauseMs = new Histogram(exponentialBounds(1, 2, 13));

  /** A write to the log is durable: its time in milliseconds, and the bytes of its entries. */
  onLogWritten(ms: number, bytes: number): void {
    this.walFsyncSeconds.observe(ms / 1000);
    this.walBytes.value += bytes;
  }
}
