// What a member does beside commands, in bounded pieces between them: flushing the store and letting
// go of the log behind it, compaction steps, ending leases, serving watchers that are behind.

import { failpoints } from "../base/failpoint.ts";
import { Status, StatusError } from "../base/status.ts";
import type { Clock } from "../io/clock.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import { AlarmRequest, LeaseCheckpointRequest, LeaseRevokeRequest } from "../wire/generated/rpc.ts";
import { AlarmType } from "./apply/alarm-set.ts";
import type { StateMachine } from "./apply/state-machine.ts";
import type { Log, LogSnapshot } from "./loop/log.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import { encodeConfState } from "./members/conf-state.ts";
import type { ReplicaOptions, ReplicaParts } from "./replica-options.ts";
import { CommandField, type Replica } from "./replica-types.ts";

/** Leases that are ended in one tick. */
const revokesPerTickMax = 200;

/** After a delivery of live events: about what a response costs its reader. */
const watchPauseMsPerResponse = 0.01;
const watchPauseMsMax = 10;

/** What housekeeping needs of the replica that it serves. */
type HousekeptReplica = Pick<Replica, "memberId" | "propose" | "proposeAsync"> & {
  readonly appliedIndex: number;
};

export class Housekeeping {
  readonly #replica: HousekeptReplica;
  readonly #options: ReplicaOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #store: Store;
  readonly #lessor: Lessor;
  readonly #watchHub: WatchHub;
  readonly #metrics: MemberMetrics;
  readonly #stateMachine: StateMachine;
  #flushing: Promise<void> | undefined;
  #flushedMs = Number.NEGATIVE_INFINITY;
  #snapshotIndex = 0;
  #compacting = false;
  #compactRevision: number;
  readonly #compactionWaiters: (() => void)[] = [];
  #watchWorkQueued = false;
  #watchPauseEndMs = 0;
  #noSpaceRaised = false;
  #stopped = false;
  /** The last flush failed; why. */
  flushError: Error | undefined;

  constructor(replica: HousekeptReplica, options: ReplicaOptions, parts: ReplicaParts) {
    this.#replica = replica;
    this.#options = options;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#store = parts.store;
    this.#compactRevision = parts.store.compactRevision;
    this.#lessor = parts.lessor;
    this.#watchHub = parts.watchHub;
    this.#metrics = parts.metrics;
    this.#stateMachine = parts.stateMachine;
    this.#watchHub.onWork = () => this.#queueWatchWork();
  }

  start(): void {
    this.#continueCompaction();
  }

  /** Called after every batch of applied commands. */
  afterApply(): void {
    // A flush that failed is tried again by the tick: not at once, and not for every batch.
    if (this.#isMuchToFlush() && !this.flushError) this.#flush();
    if (this.#store.compactRevision !== this.#compactRevision) {
      this.#compactRevision = this.#store.compactRevision;
      this.#continueCompaction();
    }
  }

  /** Called every flush interval. */
  tick(): void {
    if (this.#isLogLong() || (this.#store.dirty && this.#isFlushDue())) this.#flush();
    this.#endLeases();
  }

  /**
   * The log makes changes durable, so a flush may wait: for enough changes to pack together, or for
   * some intervals. Each one costs syncs that the log's own writes would have to wait for.
   */
  #isFlushDue(): boolean {
    if (this.#isMuchToFlush() || this.flushError) return true;
    const sinceMs = this.#clock.now() - this.#flushedMs;
    return sinceMs >= this.#options.flushDelayMs;
  }

  #isMuchToFlush(): boolean {
    const { pendingChanges, overlayBytes } = this.#store;
    const { flushChanges, flushBytes } = this.#options;
    return pendingChanges >= flushChanges || overlayBytes > flushBytes;
  }

  /** The last flush found no space on the disk. */
  get isDatabaseFull(): boolean {
    const error = this.flushError;
    return error instanceof StatusError && error.code === Status.RESOURCE_EXHAUSTED;
  }

  /** Flushes what is left; nothing is done afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watchHub.onWork = undefined;
    await this.#flushing;
    if (!this.#store.dirty) return;
    // A database that fails does not keep the member from closing: the log holds it all.
    await this.#store.flush(this.#replica.appliedIndex).catch((error: Error) => {
      this.flushError = error;
    });
  }

  /** Commands that change nothing leave nothing to flush, but the log must not grow with them for ever. */
  #isLogLong(): boolean {
    const { appliedIndex } = this.#replica;
    return appliedIndex - this.#store.consistentIndex >= this.#options.snapshotEntries;
  }

  /** The quota is used up: tells the cluster, once. */
  raiseNoSpace(): void {
    if (this.#noSpaceRaised) return;
    this.#noSpaceRaised = true;
    const request = AlarmRequest.fromPartial({
      action: 1,
      memberID: this.#replica.memberId,
      alarm: AlarmType.noSpace,
    });
    const done = () => {
      this.#noSpaceRaised = false;
    };
    this.#replica
      .proposeAsync(CommandField.alarm, AlarmRequest.encode(request).finish())
      .then(done, done);
  }

  #flush(): void {
    if (this.#flushing || this.#stopped) return;
    this.#flushing = this.#flushNow().finally(() => {
      this.#flushing = undefined;
    });
  }

  async #flushNow(): Promise<void> {
    const { appliedTerm: term, confState } = this.#stateMachine;
    const startedMs = this.#clock.now();
    this.#flushedMs = startedMs;
    try {
      const index = await this.#store.flush(this.#replica.appliedIndex);
      this.#metrics.backendCommitSeconds.observe((this.#clock.now() - startedMs) / 1000);
      this.flushError = undefined;
      await this.#releaseLog({ index, term, confState: encodeConfState(confState) });
    } catch (error) {
      // Nothing is lost: the log holds it all, the overlay stays, the next tick tries again.
      this.flushError = error as Error;
    }
  }

  /** Notes in the log, now and then, that the store holds everything up to this entry. */
  async #releaseLog(snapshot: LogSnapshot): Promise<void> {
    const { index } = snapshot;
    if (index - this.#snapshotIndex < this.#options.snapshotEntries) return;
    const startedMs = this.#clock.now();
    await this.#log.saveSnapshot(snapshot);
    this.#metrics.snapshotMarkSeconds.observe((this.#clock.now() - startedMs) / 1000);
    this.#snapshotIndex = index;
    await this.#log.release(index);
  }

  /** Resolves when the compactions asked for so far are done and flushed. */
  async whenCompacted(): Promise<void> {
    if (this.#compacting) {
      // It begins when the database knows of it.
      this.#flush();
      await new Promise<void>((resolve) => {
        this.#compactionWaiters.push(resolve);
      });
    }
    await this.#flushing;
    this.#flush();
    await this.#flushing;
  }

  #continueCompaction(): void {
    if (this.#compacting) return;
    this.#compacting = true;
    const step = () => {
      const startedMs = this.#clock.now();
      const hasMore = !this.#stopped && this.#store.compactionStep();
      this.#metrics.compactionPauseMs.observe(this.#clock.now() - startedMs);
      if (!hasMore) {
        this.#compacting = false;
        for (const done of this.#compactionWaiters.splice(0)) done();
        return;
      }
      this.#clock.setTimer(this.#options.compactionSleepMs, step, { unref: true });
    };
    setImmediate(step);
  }

  #endLeases(): void {
    const nowMs = this.#clock.now();
    if (this.#lessor.nextExpiryMs <= nowMs) {
      for (const id of this.#lessor.expired(nowMs, revokesPerTickMax)) {
        this.#metrics.leasesExpired.value += 1;
        const message = LeaseRevokeRequest.encode(LeaseRevokeRequest.fromPartial({ ID: id }));
        const bytes = message.finish();
        this.#replica.propose(CommandField.leaseRevoke, bytes, 0, bytes.length, undefined, 0);
      }
    }
    const due = this.#lessor.dueCheckpoints(nowMs);
    if (due.length === 0) return;
    const checkpoints = due.map(({ id, remainingTtl }) => ({ ID: id, remainingTTL: remainingTtl }));
    const bytes = LeaseCheckpointRequest.encode(
      LeaseCheckpointRequest.fromPartial({ checkpoints }),
    ).finish();
    this.#replica.propose(CommandField.leaseCheckpoint, bytes, 0, bytes.length, undefined, 0);
  }

  /** After the replies of this batch are on their way, and again until every watcher has caught up. */
  #queueWatchWork(): void {
    if (this.#watchWorkQueued || this.#stopped) return;
    this.#watchWorkQueued = true;
    const delay = failpoints.beforeSendWatchResponse;
    if (delay === undefined) setImmediate(() => this.#serveWatchers());
    else void delay.reach().then(() => this.#serveWatchers());
  }

  /**
   * Delivers what was published, unless the last delivery went to so many that its readers are still busy:
   * what gathers meanwhile goes out as one response each, which costs them far less than many.
   */
  #serveWatchers(): void {
    this.#watchWorkQueued = false;
    if (this.#stopped) return;
    const hub = this.#watchHub;
    const nowMs = this.#clock.now();
    if (!hub.needsFlush || nowMs >= this.#watchPauseEndMs) {
      const before = hub.liveResponses;
      hub.flush();
      const pauseMs = (hub.liveResponses - before) * watchPauseMsPerResponse;
      this.#watchPauseEndMs = nowMs + Math.min(pauseMs, watchPauseMsMax);
    }
    if (hub.catchUp()) {
      this.#queueWatchWork();
    } else if (hub.needsFlush) {
      this.#watchWorkQueued = true;
      const waitMs = this.#watchPauseEndMs - nowMs;
      this.#clock.setTimer(waitMs, () => this.#serveWatchers(), { unref: true });
    }
  }
}
