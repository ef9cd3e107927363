// What one member counts and measures while it runs. The parts that do the work change these numbers;
// api/metrics publishes them under etcd's names. All times are in seconds, as Prometheus wants them.

import { Counter, exponentialBounds, Histogram } from "../base/instruments.ts";
import { ApplyTimes } from "./apply/apply-times.ts";

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
  readonly applyTimes = new ApplyTimes();
  readonly leaderChanges = new Counter();
  /** Heartbeats of this leader that were late by more than an interval. */
  readonly lateHeartbeats = new Counter();
  /** Rounds of the quorum for reads; those that had to be asked again; those that never got an answer. */
  readonly readRounds = new Counter();
  readonly repeatedReadRounds = new Counter();
  readonly failedReadRounds = new Counter();
  readonly learnersPromoted = new Counter();
  /** By the message of the refusal. */
  readonly promotionsRefused = new Map<string, Counter>();
  readonly snapshotsSent = new Counter();
  readonly snapshotsInstalled = new Counter();
  /** A gauge: snapshots that the member is going over to. */
  snapshotsBeingInstalled = 0;
  /** Writing the state as a database file, for members or backups. */
  readonly databaseFileSeconds = new Histogram(exponentialBounds(0.01, 2, 17));
  /** Noting in the log that the database holds all up to an entry. */
  readonly snapshotMarkSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  /** One bounded step of a compaction, in milliseconds. */
  readonly compactionPauseMs = new Histogram(exponentialBounds(1, 2, 13));

  /** The messages are etcd's few; any other counts as one. */
  onPromotionRefused(message: string): void {
    const isKnown = this.promotionsRefused.has(message) || this.promotionsRefused.size < 32;
    const reason = isKnown ? message : "other";
    const counter = this.promotionsRefused.get(reason) ?? new Counter();
    counter.value += 1;
    this.promotionsRefused.set(reason, counter);
  }

  /** A write to the log is durable: its time in milliseconds, and the bytes of its entries. */
  onLogWritten(ms: number, bytes: number): void {
    this.walFsyncSeconds.observe(ms / 1000);
    this.walBytes.value += bytes;
  }
}
