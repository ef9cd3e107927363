// One running member: takes proposals and reads, gives each its outcome when it is applied here, and answers
// for the member's state. The loop in raft-loop.ts orders everything; nothing else applies commands.

import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { LeaseTimes, Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import type { PeerHealth, Transport, TransportHandler } from "../peer/types.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { RaftStatus, SoftState } from "../raft/ready.ts";
import { type Entry, EntryType } from "../raft/types.ts";
import { encodeConfChange } from "../wire/conf-change.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../wire/errors.ts";
import type { Member, ResponseHeader } from "../wire/generated/rpc.ts";
import { AlarmType } from "./alarm-set.ts";
import { VersionMonitor } from "./cluster-version.ts";
import { encodeCommand } from "./command.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Leadership } from "./leadership.ts";
import { LeaseCalls } from "./lease-calls.ts";
import type { Log } from "./log.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { DowngradeInfo, Membership, MembershipEffect } from "./membership.ts";
import { PromiseReceiver } from "./promise-receiver.ts";
import { type PendingProposal, Proposals } from "./proposals.ts";
import { Quota } from "./quota.ts";
import { RaftLoop } from "./raft-loop.ts";
import { ReadRounds } from "./read-rounds.ts";
import { type ConfChangeRequest, Reconfigurer } from "./reconfigure.ts";
import type { MemberAttributes, ReplicaOptions, ReplicaParts } from "./replica-options.ts";
import type {
  Alarm,
  CommandField,
  Replica,
  ReplicaStatus,
  TicketReceiver,
} from "./replica-types.ts";
import { RequestIds } from "./request-id.ts";
import type { SnapshotReader } from "./snapshot/snapshot-reader.ts";
import type { SnapshotExchange } from "./snapshot-exchange.ts";
import type { StateMachine } from "./state-machine.ts";

const versionOfServer = "3.7.3";
const versionOfStorage = "3.7.0";
const readRetryMs = 500;
const publishRetryMs = 200;
/** What a stopping member waits for those that wait for it. */
const drainMs = 2000;

export class MemberReplica implements Replica {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;
  readonly metrics: MemberMetrics;
  readonly #options: ReplicaOptions;
  readonly #clock: Clock;
  readonly #raw: RawNode;
  readonly #log: Log;
  readonly #transport: Transport;
  readonly #membership: Membership;
  readonly #stateMachine: StateMachine;
  readonly #snapshots: SnapshotExchange;
  readonly #proposals: Proposals;
  readonly #reads: ReadRounds;
  readonly #ids: RequestIds;
  readonly #quota: Quota;
  readonly #housekeeping: Housekeeping;
  readonly #leadership: Leadership;
  readonly #loop: RaftLoop;
  readonly #reconfigurer: Reconfigurer;
  readonly #leaseCalls: LeaseCalls;
  readonly #versionMonitor: VersionMonitor;
  #appliedIndex: number;
  /** The term in which this member, as the leader, has applied an entry of its own. */
  #leadsSinceTerm = 0;
  #isStarted = false;
  #serving = false;
  #ready = false;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #whenDrained: (() => void) | undefined;
  #raftTick: Timer | undefined;
  #tick: Timer | undefined;
  /** Called once when the member can not go on (the log failed). */
  onFatal: ((error: Error) => void) | undefined;
  /** Called once when the cluster has removed this member. */
  onRemoved: (() => void) | undefined;

  constructor(options: ReplicaOptions, parts: ReplicaParts, appliedIndex: number) {
    this.clusterId = options.clusterId;
    this.memberId = options.memberId;
    this.store = parts.store;
    this.lessor = parts.lessor;
    this.watchHub = parts.watchHub;
    this.metrics = parts.metrics;
    this.#options = options;
    this.#clock = parts.clock;
    this.#raw = parts.raw;
    this.#log = parts.log;
    this.#transport = parts.transport;
    this.#membership = parts.membership;
    this.#stateMachine = parts.stateMachine;
    this.#snapshots = parts.snapshots;
    this.#appliedIndex = appliedIndex;
    this.#proposals = new Proposals({
      itemsMax: options.maxPendingProposals,
      bytesMax: options.maxPendingBytes,
    });
    this.#ids = new RequestIds(options.memberId, parts.clock.wallNow());
    this.#reads = new ReadRounds(
      { waitersMax: options.maxPendingProposals, retryMs: readRetryMs },
      () => this.#nextReadContext(),
    );
    this.#quota = new Quota(options.quotaBytes, parts.store);
    this.#leadership = new Leadership({ ...parts, ...options, peers: () => this.peers() });
    this.#loop = new RaftLoop({
      ...parts,
      kept: options,
      proposals: this.#proposals,
      reads: this.#reads,
      handler: {
        apply: (entries) => this.#apply(entries),
        onSoftState: (state) => this.#onSoftState(state),
        sendSnapshot: (message) => this.#snapshots.send(message),
        installSnapshot: async (snapshot, hardState) => {
          await this.#snapshots.install(snapshot, hardState);
          this.#onInstalled();
        },
        onLogWritten: (ms, bytes) => {
          this.metrics.walFsyncSeconds.observe(ms / 1000);
          this.metrics.walBytes.value += bytes;
        },
        onLogFull: () => this.#onLogFull(),
        onTurnDone: () => {
          if (this.#whenDrained && this.#isDrained()) this.#whenDrained();
        },
        onFailed: (error) => this.#fail(error),
      },
    });
    this.#housekeeping = new Housekeeping(this, options, parts);
    this.#reconfigurer = new Reconfigurer(
      { ...options, strict: options.strictReconfig, heartbeatMs: options.heartbeatMs },
      {
        ...parts,
        health: () => this.peers(),
        raftStatus: () => this.raftStatus(),
        propose: (change) => this.#proposeConfChange(change),
        transferLeader: (to) => this.#transferTo(to),
        promoteAt: (urls, id, timeoutMs) => parts.calls.promote(urls, id, timeoutMs),
      },
    );
    this.#leaseCalls = new LeaseCalls({
      ...parts,
      leadership: this.#leadership,
      replica: this,
      requestTimeoutMs: options.requestTimeoutMs,
    });
    this.#versionMonitor = new VersionMonitor({
      ...parts,
      memberId: options.memberId,
      version: versionOfServer,
      isLeader: () => this.isLeader,
      versionsOf: (member) => parts.calls.versions(member.peerURLs),
      setClusterVersion: (version) => this.#propose(...parts.stateMachine.versionCommand(version)),
      endDowngrade: () => this.#propose(...parts.stateMachine.downgradeCommand(false, "")),
    });
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get raftTerm(): number {
    return this.#raw.term;
  }

  get isLeader(): boolean {
    return this.#raw.role === "leader";
  }

  get isLearner(): boolean {
    return this.#membership.isLearner(this.memberId);
  }

  /** Since when no leader is known, in the clock's milliseconds; undefined while one is. */
  get leaderlessSinceMs(): number | undefined {
    return this.#leadership.leaderlessSinceMs;
  }

  /**
   * Begins to take part. A member that is alone leads and has applied its log when this resolves; one of several
   * goes on finding a leader meanwhile.
   */
  async start(peers: readonly { readonly id: bigint; readonly urls: readonly string[] }[] = []) {
    this.#transport.start(this.#transportHandler());
    for (const { id, urls } of peers) this.#transport.addPeer(id, urls);
    for (const member of this.#membership.list()) {
      if (member.ID !== this.memberId) this.#transport.addPeer(member.ID, member.peerURLs);
    }
    this.#snapshots.start({
      onFailed: (id) => this.#raw.reportSnapshot(id, false),
    });
    this.#loop.isAlone = this.#isAlone();
    this.#scheduleRaftTick();
    this.#scheduleTick();
    this.#loop.run();
    if (this.#loop.isAlone) await this.#untilLeading();
    this.#isStarted = true;
    this.#serving = true;
    this.#housekeeping.start();
    this.#versionMonitor.start();
  }

  /** Tells the cluster this member's name and where clients reach it; then the member is ready. */
  async publish(attributes: MemberAttributes): Promise<void> {
    const commands = this.#stateMachine.publishCommands(this.memberId, attributes);
    if (this.#isAlone() && this.clusterVersion === "") {
      commands.push(this.#stateMachine.versionCommand(versionOfStorage));
    }
    for (const [field, message] of commands) {
      for (;;) {
        try {
          await this.proposeAsync(field, message);
          break;
        } catch (error) {
          // Alone there is nobody to wait for; else a leader or a quorum may come back.
          if (this.#failure || this.#closing || this.#isAlone()) throw error;
          await this.#leadership.changed(publishRetryMs);
        }
      }
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
    const counter = this.#ids.next();
    const data = encodeCommand(field, this.#ids.prefix, counter, message, start, end);
    if (data.length > this.#options.maxRequestBytes) {
      const { code, message: text } = EtcdErrors.requestTooLarge;
      receiver?.onFailed(ticket, code, text);
      return;
    }
    const proposal = { type: EntryType.normal, data };
    this.#proposals.add(counter, proposal, receiver, ticket, this.#clock.now());
    this.#loop.queueRun();
  }

  proposeAsync(field: CommandField, message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.propose(field, message, 0, message.length, new PromiseReceiver(resolve, reject), 0);
    });
  }

  /** Alone, what is applied is all that was ever acknowledged, once an entry of the own term is: no round needed. */
  canReadNow(): boolean {
    return this.#serving && this.#loop.isAlone && this.#leadsSinceTerm === this.#raw.term;
  }

  readIndex(receiver: TicketReceiver, ticket: number): void {
    if (this.canReadNow()) {
      receiver.onReadable(ticket);
      return;
    }
    const refusal = this.#failure || this.#closing ? EtcdErrors.stopped : undefined;
    if (refusal || !this.#reads.add(receiver, ticket, this.#clock.now())) {
      const { code, message } = refusal ?? EtcdErrors.tooManyRequests;
      receiver.onFailed(ticket, code, message);
      return;
    }
    this.#loop.queueRun();
  }

  readIndexAsync(): Promise<void> {
    if (this.canReadNow()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.readIndex(new PromiseReceiver(() => resolve(), reject), 0);
    });
  }

  header(): ResponseHeader {
    return {
      clusterId: this.clusterId,
      memberId: this.memberId,
      revision: this.store.currentRevision,
      raftTerm: this.#raw.term,
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
      leader: this.#raw.leader,
      raftIndex: this.#raw.commit,
      raftTerm: this.#raw.term,
      appliedIndex: this.#appliedIndex,
      isLearner: this.isLearner,
      errors: this.#raw.leader === 0n ? [...errors, "etcdserver: no leader"] : errors,
    };
  }

  raftStatus(): RaftStatus {
    return this.#raw.status();
  }

  peers(): readonly PeerHealth[] {
    return this.#transport.health();
  }

  openSnapshot(signal: AbortSignal): Promise<SnapshotReader> {
    return this.#snapshots.open(signal);
  }

  members(): readonly Member[] {
    return this.#membership.list();
  }

  get clusterVersion(): string {
    return this.#membership.clusterVersion;
  }

  get downgrade(): DowngradeInfo {
    return this.#membership.downgrade;
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

  renewLease(id: bigint): Promise<number> {
    return this.#leaseCalls.renew(id);
  }

  leaseTimes(id: bigint, withKeys: boolean): Promise<LeaseTimes | undefined> {
    return this.#leaseCalls.times(id, withKeys);
  }

  addMember(peerUrls: readonly string[], isLearner: boolean): Promise<Member> {
    return this.#reconfigurer.addMember(peerUrls, isLearner);
  }

  removeMember(id: bigint): Promise<void> {
    return this.#reconfigurer.removeMember(id);
  }

  updateMember(id: bigint, peerUrls: readonly string[]): Promise<void> {
    return this.#reconfigurer.updateMember(id, peerUrls);
  }

  promoteMember(id: bigint): Promise<readonly Member[]> {
    return this.#reconfigurer.promoteMember(id);
  }

  /** As `promoteMember` for a member that is asked as the leader; refuses when it is not. */
  promoteHere(id: bigint): Promise<readonly Member[]> {
    return this.#reconfigurer.promoteHere(id);
  }

  moveLeader(id: bigint): Promise<void> {
    return this.#reconfigurer.moveLeader(id);
  }

  /** Hands leadership on, answers what is under way, flushes and closes everything. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#serving = false;
    this.#ready = false;
    this.#versionMonitor.stop();
    await this.#handLeadershipOn();
    await this.#drain();
    this.#raftTick?.cancel();
    this.#tick?.cancel();
    this.#loop.stop();
    this.#refuseAll(EtcdErrors.stopped);
    await this.#transport.close();
    await this.#snapshots.close();
    await this.#housekeeping.stop();
    await this.#log.close();
  }

  /** Alone, everything under way gets its outcome; else it may depend on others, who are not waited for long. */
  async #drain(): Promise<void> {
    if (this.#isDrained()) return;
    const timer = this.#loop.isAlone
      ? undefined
      : this.#clock.setTimer(drainMs, () => this.#whenDrained?.());
    await new Promise<void>((resolve) => {
      this.#whenDrained = resolve;
    });
    timer?.cancel();
  }

  #isDrained(): boolean {
    return this.#loop.isIdle && this.#proposals.waiting === 0 && this.#proposals.pending === 0;
  }

  /** So that the others need not wait for an election. */
  async #handLeadershipOn(): Promise<void> {
    if (this.#failure || !this.isLeader || this.#loop.isAlone) return;
    const active = new Set(
      this.peers()
        .filter((peer) => peer.activeSinceMs !== undefined)
        .map((peer) => peer.id),
    );
    const best = this.raftStatus()
      .progress.filter((one) => one.id !== this.memberId && !one.isLearner && active.has(one.id))
      .sort((a, b) => b.match - a.match)[0];
    if (!best) return;
    this.#transferTo(best.id);
    const deadlineMs = this.#clock.now() + this.#options.electionTimeoutMs;
    while (this.isLeader && this.#clock.now() < deadlineMs) await this.#pause(5);
  }

  #transferTo(id: bigint): void {
    this.#raw.transferLeader(id);
    this.#loop.queueRun();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimer(ms, resolve);
    });
  }

  #refusal(
    field: CommandField,
    message: Uint8Array,
    start: number,
    end: number,
  ): EtcdError | undefined {
    if (this.#failure || this.#closing) return EtcdErrors.stopped;
    if (!this.#proposals.hasRoom) return EtcdErrors.tooManyRequests;
    if (this.#loop.isLogFull) return EtcdErrors.noSpace;
    if (this.#quota.fits(field, message, start, end)) {
      if (this.store.overlayBytes <= this.#options.flushBytes * 16) return undefined;
      return this.#housekeeping.isDatabaseFull ? EtcdErrors.noSpace : EtcdErrors.tooManyRequests;
    }
    if (!this.#stateMachine.alarms.has(AlarmType.noSpace)) this.#housekeeping.raiseNoSpace();
    return EtcdErrors.noSpace;
  }

  async #propose(field: CommandField, message: Uint8Array): Promise<void> {
    await this.proposeAsync(field, message);
  }

  #proposeConfChange(change: ConfChangeRequest): Promise<void> {
    if (this.#failure || this.#closing) return Promise.reject(toStatusError(EtcdErrors.stopped));
    const counter = this.#ids.next();
    const data = encodeConfChange({ ...change, id: this.#ids.toBigInt(counter) });
    return new Promise((resolve, reject) => {
      const receiver = new PromiseReceiver(() => resolve(), reject);
      const proposal = { type: EntryType.confChange, data };
      this.#proposals.add(counter, proposal, receiver, 0, this.#clock.now());
      this.#loop.queueRun();
    });
  }

  #nextReadContext(): Uint8Array {
    this.metrics.readRounds.value += 1;
    const context = Buffer.allocUnsafe(8);
    context.writeBigUInt64BE(this.#ids.toBigInt(this.#ids.next()));
    return context;
  }

  #transportHandler(): TransportHandler {
    return {
      onMessages: (messages) => this.#loop.receive(messages),
      onUnreachable: (id) => this.#raw.reportUnreachable(id),
      onSnapshotSent: (id, ok) => {
        this.#snapshots.onSent(id);
        this.#raw.reportSnapshot(id, ok);
        this.#loop.queueRun();
      },
      isRemoved: (id) => this.#membership.isRemoved(id),
      onRemovedFromCluster: () => this.#removed(),
      snapshotPath: (index) => this.#snapshots.pathFor(index),
      onSnapshot: async (message, path) => {
        this.#snapshots.received(message, path);
        this.#loop.receive([message]);
      },
    };
  }

  #removed(): void {
    const { onRemoved } = this;
    this.onRemoved = undefined;
    onRemoved?.();
  }

  #onSoftState(state: SoftState): void {
    const { leader, role } = state;
    if (this.#leadership.onSoftState({ leader, role })) {
      this.#reads.restart();
      this.#loop.queueRun();
    }
    if (role !== "leader") this.#leadsSinceTerm = 0;
  }

  /** The store goes on from another state: all that is kept beside it follows at once. */
  onStoreAdopted(): void {
    this.#stateMachine.reload();
    this.#appliedIndex = this.store.consistentIndex;
  }

  #onInstalled(): void {
    this.#loop.isAlone = this.#isAlone();
    const others = this.#membership.list().filter((member) => member.ID !== this.memberId);
    const ids = new Set(others.map((member) => member.ID));
    for (const { id } of this.peers()) if (!ids.has(id)) this.#transport.removePeer(id);
    for (const { ID, peerURLs } of others) {
      this.#transport.addPeer(ID, peerURLs);
      this.#transport.updatePeer(ID, peerURLs);
    }
    this.metrics.snapshotsInstalled.value += 1;
    this.#housekeeping.afterApply();
  }

  /** Called by the state machine when a change of members is applied. */
  onMembership(effect: MembershipEffect): void {
    this.#loop.isAlone = this.#isAlone();
    if (effect.id === this.memberId) {
      // The others are told first that this is committed.
      if (effect.kind === "removed") this.#clock.setTimer(1000, () => this.#removed());
      return;
    }
    if (effect.kind === "added") this.#transport.addPeer(effect.id, effect.peerUrls);
    else if (effect.kind === "updated") this.#transport.updatePeer(effect.id, effect.peerUrls);
    else if (effect.kind === "removed") this.#transport.removePeer(effect.id);
  }

  #isAlone(): boolean {
    const { voters, learners, votersOutgoing, learnersNext } = this.#raw.status().confState;
    const others = learners.length + votersOutgoing.length + learnersNext.length;
    return voters.length === 1 && voters[0] === this.memberId && others === 0;
  }

  /** There is no space for the log. Alone, nobody else knows of what could not be written: it is refused and forgotten. */
  #onLogFull(): boolean {
    if (!this.#isStarted) {
      // Before it serves, a member has nothing to go on with: whoever starts it is told at once.
      this.#fail(new Error("no space for the log"));
      return false;
    }
    if (!this.#loop.isAlone) {
      void this.#handLeadershipOn();
      return false;
    }
    this.#refuse(this.#proposals.takeAll(), () => EtcdErrors.noSpace);
    return true;
  }

  #fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#serving = false;
    this.#ready = false;
    this.#loop.stop();
    this.#refuseAll(EtcdErrors.stopped);
    this.#whenDrained?.();
    for (const waiter of this.#leadWaiters.splice(0)) waiter.reject(error);
    this.onFatal?.(error);
  }

  #refuseAll(refusal: EtcdError): void {
    this.#refuse(this.#proposals.takeAll(), () => refusal);
    this.#reads.endOlderThan(Number.POSITIVE_INFINITY, () => refusal);
  }

  #refuse(proposals: readonly PendingProposal[], why: (startedMs: number) => EtcdError): void {
    this.metrics.proposalsFailed.value += proposals.length;
    for (const { receiver, ticket, startedMs } of proposals) {
      const { code, message } = why(startedMs);
      receiver.onFailed(ticket, code, message);
    }
  }

  #apply(entries: readonly Entry[]): void {
    const machine = this.#stateMachine;
    const { writer } = machine;
    const term = this.#raw.term;
    for (const entry of entries) {
      assert(
        entry.index === this.#appliedIndex + 1,
        `entry ${entry.index} is applied out of order`,
      );
      const refusal = machine.apply(entry, term);
      this.#appliedIndex = entry.index;
      if (machine.idPrefix !== this.#ids.prefix) continue;
      const pending = this.#proposals.take(machine.idCounter);
      if (!pending) continue;
      const { receiver, ticket } = pending;
      if (refusal) receiver.onFailed(ticket, refusal.code, refusal.message);
      else receiver.onApplied(ticket, writer.buffer, writer.start, writer.end);
    }
    this.#afterApply();
  }

  #afterApply(): void {
    if (this.isLeader && this.#leadsSinceTerm !== this.#raw.term) {
      if (this.#stateMachine.appliedTerm === this.#raw.term) this.#beginToLead();
    }
    this.#housekeeping.afterApply();
  }

  /** The first entry of this leader's term is applied. */
  #beginToLead(): void {
    this.#leadsSinceTerm = this.#raw.term;
    this.#leadership.begin(this.#loop.isAlone);
    for (const waiter of this.#leadWaiters.splice(0)) waiter.resolve();
    if (!this.#loop.isAlone) void this.#versionMonitor.check();
  }

  readonly #leadWaiters: { resolve(): void; reject(error: Error): void }[] = [];

  #untilLeading(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#leadsSinceTerm > 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#leadWaiters.push({ resolve, reject });
    });
  }

  #scheduleRaftTick(): void {
    this.#raftTick = this.#clock.setTimer(
      this.#options.heartbeatMs,
      () => {
        if (this.#failure) return;
        this.#loop.tick();
        this.#scheduleRaftTick();
      },
      { unref: true },
    );
  }

  #scheduleTick(): void {
    this.#tick = this.#clock.setTimer(
      this.#options.flushIntervalMs,
      () => {
        if (this.#failure) return;
        this.#timeOutOld();
        if (!this.#closing) this.#housekeeping.tick();
        this.#scheduleTick();
      },
      { unref: true },
    );
  }

  /** Whoever waits too long is told. What was handed on may still be applied. */
  #timeOutOld(): void {
    const startedMs = this.#clock.now() - this.#options.requestTimeoutMs;
    const why = (startMs: number) => this.#leadership.refusalOfTimeout(startMs);
    this.#refuse(this.#proposals.takeOlderThan(startedMs), why);
    if (this.#reads.waiting > 0) this.#reads.endOlderThan(startedMs, why);
  }
}
