// One running member: the loop that turns proposals into durable, applied, answered commands.
// inputs -> raft -> log -> apply -> replies, one batch at a time: whatever is proposed while a disk
// sync is under way goes out with the next one. It owns all ordering; nothing else applies commands.

import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../io/clock.ts";
import { type Lessor, RenewResult } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import type { Raft } from "../raft/raft.ts";
import { type Entry, EntryType } from "../raft/types.ts";
import { WalFullError } from "../wal/errors.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../wire/errors.ts";
import { LeaseCheckpointRequest, type Member, type ResponseHeader } from "../wire/generated/rpc.ts";
import { AlarmType } from "./alarm-set.ts";
import { encodeCommand } from "./command.ts";
import { Housekeeping } from "./housekeeping.ts";
import type { Log } from "./log.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { Membership } from "./membership.ts";
import { PromiseReceiver } from "./promise-receiver.ts";
import { type ProposalBatch, Proposals } from "./proposals.ts";
import { Quota } from "./quota.ts";
import type { MemberAttributes, ReplicaOptions, ReplicaParts } from "./replica-options.ts";
import {
  type Alarm,
  CommandField,
  type Replica,
  type ReplicaStatus,
  type TicketReceiver,
} from "./replica-types.ts";
import type { StateMachine } from "./state-machine.ts";

const versionOfServer = "3.7.3";
const versionOfStorage = "3.7.0";

/** A batch whose entries are in the log's hands. */
interface AppendedBatch {
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly batch: ProposalBatch | undefined;
  readonly startedMs: number;
  timedOut: boolean;
}

export class MemberReplica implements Replica {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;
  readonly metrics: MemberMetrics;
  readonly #options: ReplicaOptions;
  readonly #clock: Clock;
  readonly #raft: Raft;
  readonly #log: Log;
  readonly #membership: Membership;
  readonly #stateMachine: StateMachine;
  readonly #proposals: Proposals;
  readonly #quota: Quota;
  readonly #housekeeping: Housekeeping;
  #nextRequestId: number;
  #appendingBatch: AppendedBatch | undefined;
  #appliedIndex: number;
  #stepQueued = false;
  #isStarted = false;
  #serving = false;
  #ready = false;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;
  #tick: Timer | undefined;
  /** Called once when the member can not go on (the log failed). */
  onFatal: ((error: Error) => void) | undefined;

  constructor(options: ReplicaOptions, parts: ReplicaParts, appliedIndex: number) {
    this.clusterId = options.clusterId;
    this.memberId = options.memberId;
    this.store = parts.store;
    this.lessor = parts.lessor;
    this.watchHub = parts.watchHub;
    this.metrics = parts.metrics;
    this.#options = options;
    this.#clock = parts.clock;
    this.#raft = parts.raft;
    this.#log = parts.log;
    this.#membership = parts.membership;
    this.#stateMachine = parts.stateMachine;
    this.#appliedIndex = appliedIndex;
    this.#proposals = new Proposals({
      itemsMax: options.maxPendingProposals,
      bytesMax: options.maxPendingBytes,
    });
    this.#quota = new Quota(options.quotaBytes, parts.store);
    // Ids only have to differ between the requests of one member's life; a start in the wall clock's
    // microseconds keeps them apart from those of an earlier life.
    this.#nextRequestId = Math.floor(parts.clock.wallNow() * 1000);
    this.#housekeeping = new Housekeeping(this, options, parts);
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get raftTerm(): number {
    return this.#raft.term;
  }

  get isLeader(): boolean {
    return this.#raft.leader === this.memberId;
  }

  /** Becomes leader and applies what the log holds; resolves when requests may come. */
  async start(): Promise<void> {
    this.#raft.campaign();
    this.#step();
    await this.#untilApplied(this.#raft.lastIndex);
    this.lessor.promote(this.#clock.now(), 0);
    this.#isStarted = true;
    this.#serving = true;
    this.#housekeeping.start();
    this.#scheduleTick();
  }

  /** Tells the cluster this member's name and where clients reach it; then the member is ready. */
  async publish(attributes: MemberAttributes): Promise<void> {
    for (const [field, message] of this.#stateMachine.publishCommands(this.memberId, attributes)) {
      await this.proposeAsync(field, message);
    }
    this.#ready = true;
  }

  propose(
    field: CommandField,
    message: Uint8Array,
    start: number,
    end: number,
    receiver: TicketReceiver | undefined,
    ticket: number,
  ): void {
    const refusal = this.#refusal(field, message, start, end);
    if (refusal) {
      receiver?.onFailed(ticket, refusal.code, refusal.message);
      return;
    }
    const data = encodeCommand(field, this.#nextRequestId++, message, start, end);
    if (data.length > this.#options.maxRequestBytes) {
      receiver?.onFailed(
        ticket,
        EtcdErrors.requestTooLarge.code,
        EtcdErrors.requestTooLarge.message,
      );
      return;
    }
    if (!this.#proposals.add({ type: EntryType.normal, data }, receiver, ticket)) {
      receiver?.onFailed(
        ticket,
        EtcdErrors.tooManyRequests.code,
        EtcdErrors.tooManyRequests.message,
      );
      return;
    }
    this.#queueStep();
  }

  proposeAsync(field: CommandField, message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.propose(field, message, 0, message.length, new PromiseReceiver(resolve, reject), 0);
    });
  }

  /** With one voter, what is applied is all that was ever acknowledged: reads need no round. */
  canReadNow(): boolean {
    return this.#serving;
  }

  readIndex(receiver: TicketReceiver, ticket: number): void {
    if (this.canReadNow()) receiver.onReadable(ticket);
    else receiver.onFailed(ticket, EtcdErrors.stopped.code, EtcdErrors.stopped.message);
  }

  readIndexAsync(): Promise<void> {
    if (this.canReadNow()) return Promise.resolve();
    return Promise.reject(toStatusError(EtcdErrors.stopped));
  }

  header(): ResponseHeader {
    return {
      clusterId: this.clusterId,
      memberId: this.memberId,
      revision: this.store.currentRevision,
      raftTerm: this.#raft.term,
    };
  }

  status(): ReplicaStatus {
    const size = this.store.size();
    const errors = this.alarms().map(
      (alarm) =>
        `memberID:${alarm.memberId} alarm:${alarm.type === AlarmType.noSpace ? "NOSPACE" : "CORRUPT"} `,
    );
    return {
      version: versionOfServer,
      storageVersion: versionOfStorage,
      dbSizeBytes: size.totalBytes,
      dbSizeInUseBytes: size.inUseBytes,
      quotaBytes: this.#quota.bytesMax,
      leader: this.#raft.leader,
      raftIndex: this.#raft.commitIndex,
      raftTerm: this.#raft.term,
      appliedIndex: this.#appliedIndex,
      isLearner: false,
      errors: this.#raft.leader === 0n ? [...errors, "etcdserver: no leader"] : errors,
    };
  }

  members(): readonly Member[] {
    return this.#membership.list();
  }

  get clusterVersion(): string {
    return this.#membership.clusterVersion;
  }

  whenCompacted(): Promise<void> {
    return this.#housekeeping.whenCompacted();
  }

  alarms(): readonly Alarm[] {
    return this.#stateMachine.alarms.list();
  }

  get pendingProposals(): number {
    return this.#proposals.pending;
  }

  async renewLease(id: bigint): Promise<number> {
    for (;;) {
      const ttl = this.lessor.renew(id, this.#clock.now());
      if (ttl >= 0) {
        this.metrics.leasesRenewed.value += 1;
        return ttl;
      }
      if (ttl === RenewResult.needsCheckpoint) await this.#clearCheckpoint(id);
      else if (ttl === RenewResult.expired) {
        const isGone = await new Promise<boolean>((resolve) =>
          this.lessor.whenRevoked(id, resolve),
        );
        if (isGone) throw toStatusError(EtcdErrors.leaseNotFound);
      } else if (ttl === RenewResult.notFound) throw toStatusError(EtcdErrors.leaseNotFound);
      else throw toStatusError(EtcdErrors.notLeader);
    }
  }

  /** A renewed lease must not fall back to the remaining time that the log remembers. */
  async #clearCheckpoint(id: bigint): Promise<void> {
    const request = LeaseCheckpointRequest.fromPartial({
      checkpoints: [{ ID: id, remainingTTL: 0 }],
    });
    const message = LeaseCheckpointRequest.encode(request).finish();
    await this.proposeAsync(CommandField.leaseCheckpoint, message);
  }

  /** Answers what is under way, flushes and closes everything. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#tick?.cancel();
    this.#serving = false;
    this.#ready = false;
    if (this.#appendingBatch || this.#proposals.waiting > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#housekeeping.stop();
    await this.#log.close();
  }

  #refusal(
    field: CommandField,
    message: Uint8Array,
    start: number,
    end: number,
  ): EtcdError | undefined {
    if (this.#failure || this.#closing) return EtcdErrors.stopped;
    if (this.#quota.fits(field, message, start, end)) {
      if (this.store.overlayBytes <= this.#options.flushBytes * 16) return undefined;
      return this.#housekeeping.isDatabaseFull ? EtcdErrors.noSpace : EtcdErrors.tooManyRequests;
    }
    if (!this.#stateMachine.alarms.has(AlarmType.noSpace)) this.#housekeeping.raiseNoSpace();
    return EtcdErrors.noSpace;
  }

  #queueStep(): void {
    if (this.#stepQueued || this.#appendingBatch) return;
    this.#stepQueued = true;
    // After all sockets that are readable now have been read: what they bring is one batch.
    setImmediate(() => {
      this.#stepQueued = false;
      this.#step();
    });
  }

  /** Starts writing what waits, when the disk is free; then applies what has become durable. */
  #step(): void {
    if (this.#appendingBatch || this.#failure) return;
    this.#append(undefined);
  }

  #append(finished: AppendedBatch | undefined): void {
    const batch = this.#proposals.waiting > 0 ? this.#proposals.takeWaiting() : undefined;
    const firstIndex = batch ? this.#raft.propose(batch.proposals) : 0;
    const ready = this.#raft.ready();
    if (ready.entries.length > 0) {
      const appended: AppendedBatch = {
        firstIndex,
        lastIndex: (ready.entries[ready.entries.length - 1] as Entry).index,
        batch,
        startedMs: this.#clock.now(),
        timedOut: false,
      };
      this.#appendingBatch = appended;
      this.#log
        .append(ready.entries, ready.hardState, true)
        .then(
          () => this.#onDurable(appended),
          (error: unknown) => this.#onAppendFailed(appended, error),
        )
        .catch((error: unknown) => this.#onBug(appended, error));
    }
    if (ready.committed.length > 0) this.#apply(ready.committed, finished);
    if (!this.#appendingBatch) this.#whenIdle?.();
  }

  #onDurable(appended: AppendedBatch): void {
    this.metrics.walFsyncSeconds.observe((this.#clock.now() - appended.startedMs) / 1000);
    this.metrics.walBytes.value += appended.batch?.bytes ?? 0;
    this.#appendingBatch = undefined;
    this.#raft.persisted(appended.lastIndex);
    this.#append(appended);
  }

  /** The disk is full or failed: nothing of the batch was promised to anyone, so it is refused as a whole. */
  #onAppendFailed(appended: AppendedBatch, error: unknown): void {
    this.#appendingBatch = undefined;
    this.#raft.appendFailed();
    // Before it serves, a member has nothing to go on with: whoever starts it is told at once.
    const isFull = error instanceof WalFullError && this.#isStarted;
    if (!isFull) this.#fail(error as Error);
    const refusal = isFull ? EtcdErrors.noSpace : EtcdErrors.stopped;
    this.#settleFailed(appended.batch, refusal);
    if (this.#failure) {
      while (this.#proposals.waiting > 0)
        this.#settleFailed(this.#proposals.takeWaiting(), refusal);
    }
    if (this.#proposals.waiting > 0) this.#queueStep();
    else this.#whenIdle?.();
  }

  /** Applying failed in a way that must not be: the state is unsure, so the member ends and says so to all. */
  #onBug(appended: AppendedBatch, error: unknown): void {
    this.#fail(error as Error);
    this.#settleFailed(appended.batch, EtcdErrors.stopped);
    if (this.#proposals.waiting > 0) {
      this.#settleFailed(this.#proposals.takeWaiting(), EtcdErrors.stopped);
    }
    if (!this.#appendingBatch) this.#whenIdle?.();
  }

  #settleFailed(batch: ProposalBatch | undefined, refusal: EtcdError): void {
    if (!batch) return;
    this.#proposals.settled(batch);
    this.metrics.proposalsFailed.value += batch.size;
    for (let i = 0; i < batch.size; i++) {
      batch.receivers[i]?.onFailed(batch.tickets[i] as number, refusal.code, refusal.message);
    }
  }

  #fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#serving = false;
    this.#ready = false;
    this.onFatal?.(error);
  }

  #apply(committed: readonly Entry[], finished: AppendedBatch | undefined): void {
    const machine = this.#stateMachine;
    const writer = machine.writer;
    const batch = finished?.batch;
    const firstIndex = finished?.firstIndex ?? 0;
    for (const entry of committed) {
      assert(
        entry.index === this.#appliedIndex + 1,
        `entry ${entry.index} is applied out of order`,
      );
      const refusal = machine.apply(entry, this.#raft.term);
      this.#appliedIndex = entry.index;
      const position = entry.index - firstIndex;
      if (!batch || position < 0 || position >= batch.size) continue;
      const receiver = batch.receivers[position];
      if (!receiver) continue;
      batch.receivers[position] = undefined;
      const ticket = batch.tickets[position] as number;
      if (refusal) receiver.onFailed(ticket, refusal.code, refusal.message);
      else receiver.onApplied(ticket, writer.buffer, writer.start, writer.end);
    }
    if (batch) this.#proposals.settled(batch);
    this.#raft.compact(this.#appliedIndex);
    this.#housekeeping.afterApply();
    if (this.#appliedWaiters.length > 0) this.#wakeAppliedWaiters();
  }

  readonly #appliedWaiters: { readonly index: number; readonly resolve: () => void }[] = [];

  #untilApplied(index: number): Promise<void> {
    if (this.#appliedIndex >= index) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#appliedWaiters.push({ index, resolve });
      const before = this.onFatal;
      this.onFatal = (error) => {
        before?.(error);
        reject(error);
      };
    });
  }

  #wakeAppliedWaiters(): void {
    for (let i = this.#appliedWaiters.length - 1; i >= 0; i--) {
      const waiter = this.#appliedWaiters[i] as { index: number; resolve: () => void };
      if (waiter.index > this.#appliedIndex) continue;
      this.#appliedWaiters.splice(i, 1);
      waiter.resolve();
    }
  }

  #scheduleTick(): void {
    this.#tick = this.#clock.setTimer(
      this.#options.flushIntervalMs,
      () => {
        if (this.#closing) return;
        this.#timeOutOld();
        this.#housekeeping.tick();
        this.#scheduleTick();
      },
      { unref: true },
    );
  }

  /**
   * A disk that does not answer: the waiting clients are told. What is being written stays in flight and may
   * still be applied; what waits behind it never will be.
   */
  #timeOutOld(): void {
    const appended = this.#appendingBatch;
    if (!appended) return;
    if (this.#clock.now() - appended.startedMs < this.#options.requestTimeoutMs) return;
    if (this.#proposals.waiting > 0) {
      this.#settleFailed(this.#proposals.takeWaiting(), EtcdErrors.timeout);
    }
    const { batch } = appended;
    if (!batch || appended.timedOut) return;
    appended.timedOut = true;
    for (let i = 0; i < batch.size; i++) {
      const receiver = batch.receivers[i];
      batch.receivers[i] = undefined;
      receiver?.onFailed(
        batch.tickets[i] as number,
        EtcdErrors.timeout.code,
        EtcdErrors.timeout.message,
      );
    }
  }
}
