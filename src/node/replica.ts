// One running member: takes proposals and reads, gives each its outcome when it is applied here, and answers
// for the member's state. The loop in raft-loop.ts orders everything; nothing else applies commands.

import { assert } from "../base/assert.ts";
import { type Clock, repeat, type Timer } from "../io/clock.ts";
import type { LeaseTimes, Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { WatchHub } from "../mvcc/watch-hub.ts";
import type { PeerHealth, Transport } from "../peer/types.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { RaftStatus, SoftState } from "../raft/ready.ts";
import type { Entry } from "../raft/types.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../wire/errors.ts";
import type { Member, ResponseHeader } from "../wire/generated/rpc.ts";
import { AlarmType } from "./apply/alarm-set.ts";
import { Quota } from "./apply/quota.ts";
import type { StateMachine } from "./apply/state-machine.ts";
import { type ClusterDuties, clusterDuties } from "./cluster-duties.ts";
import { hastenFirstElection } from "./first-election.ts";
import { handOver } from "./hand-over.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Leadership } from "./leadership.ts";
import type { Log } from "./loop/log.ts";
import { PromiseReceiver } from "./loop/promise-receiver.ts";
import { RaftLoop } from "./loop/raft-loop.ts";
import { Requests } from "./loop/requests.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import { memberStatus, versionOfStorage } from "./member-status.ts";
import type { DowngradeInfo, Membership, MembershipEffect } from "./members/membership.ts";
import type { ConfChangeRequest } from "./members/reconfigure.ts";
import { type KnownPeer, PeerSide } from "./peer-side.ts";
import type { MemberAttributes, ReplicaOptions, ReplicaParts } from "./replica-options.ts";
import type {
  Alarm,
  CommandField,
  Replica,
  ReplicaStatus,
  TicketReceiver,
} from "./replica-types.ts";
import type { SnapshotExchange } from "./snapshot/snapshot-exchange.ts";
import type { SnapshotReader } from "./snapshot/snapshot-reader.ts";

const retryMs = 200;
/** How long a stopping member waits for outcomes. */
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
  readonly #requests: Requests;
  readonly #peerSide: PeerSide;
  readonly #quota: Quota;
  readonly #housekeeping: Housekeeping;
  readonly #leadership: Leadership;
  readonly #loop: RaftLoop;
  readonly #duties: ClusterDuties;
  #appliedIndex: number;
  /** The term in which this member, as the leader, has applied an entry of its own. */
  #leadsSinceTerm = 0;
  #isStarted = false;
  #serving = false;
  #ready = false;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #whenDrained: (() => void) | undefined;
  #ticks: readonly Timer[] = [];
  /** Called once when the member can not go on (the log failed). */
  onFatal: ((error: Error) => void) | undefined;
  /** Called when the cluster has removed this member; perhaps more than once. */
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
    this.#requests = new Requests(options, parts);
    this.#quota = new Quota(options.quotaBytes, parts.store);
    this.#leadership = new Leadership({ ...parts, ...options, peers: () => this.peers() });
    this.#loop = new RaftLoop({
      ...parts,
      kept: options,
      proposals: this.#requests.proposals,
      reads: this.#requests.reads,
      handler: {
        apply: (entries) => this.#apply(entries),
        onTick: () => this.#leadership.onTick(),
        onSoftState: (state) => this.#onSoftState(state),
        sendSnapshot: (message) => this.#snapshots.send(message),
        installSnapshot: async (snapshot, hardState) => {
          await this.#snapshots.install(snapshot, hardState);
          this.#peerSide.followAll();
          this.#housekeeping.afterApply();
        },
        onLogWritten: (ms, bytes) => this.metrics.onLogWritten(ms, bytes),
        onLogFull: () => this.#onLogFull(),
        onTurnDone: () => {
          if (this.#whenDrained && this.#isDrained()) this.#whenDrained();
        },
        onFailed: (error) => this.#fail(error),
      },
    });
    this.#peerSide = new PeerSide({
      ...parts,
      memberId: options.memberId,
      loop: this.#loop,
      onRemoved: () => this.onRemoved?.(),
    });
    this.#housekeeping = new Housekeeping(this, options, parts);
    this.#duties = clusterDuties(options, parts, {
      replica: this,
      leadership: this.#leadership,
      proposeConfChange: (change) => this.#proposeConfChange(change),
      transferTo: (id) => this.#transferTo(id),
    });
  }

  get isReady(): boolean {
    return this.#ready;
  }

  /** Of the last entry that is applied. */
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

  get leaderlessSinceMs(): number | undefined {
    return this.#leadership.leaderlessSinceMs;
  }

  /** Begins to take part. Resolves when a member that is alone leads and has applied its log; else at once. */
  async start(peers: readonly KnownPeer[] = []): Promise<void> {
    this.#peerSide.start(peers);
    const { heartbeatMs, flushIntervalMs } = this.#options;
    this.#ticks = [
      repeat(this.#clock, heartbeatMs, () => this.#loop.tick()),
      repeat(this.#clock, flushIntervalMs, () => this.#tick()),
      hastenFirstElection(this.#options, this.#clock, this, this.#loop),
    ];
    this.#loop.run();
    if (this.#loop.isAlone) await this.#leadership.whenBegun();
    this.#isStarted = true;
    this.#serving = true;
    this.#housekeeping.start();
    this.#duties.versions.start();
  }

  /** Tells the cluster this member's name and where clients reach it; then the member is ready. */
  async publish(attributes: MemberAttributes): Promise<void> {
    const commands = this.#stateMachine.publishCommands(this.memberId, attributes);
    if (this.#loop.isAlone && this.clusterVersion === "") {
      commands.push(this.#stateMachine.versionCommand(versionOfStorage));
    }
    for (const [field, message] of commands) {
      while (!(await this.#proposeOnce(field, message))) await this.#leadership.changed(retryMs);
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
    if (this.#requests.propose(field, message, start, end, receiver, ticket)) {
      this.#loop.queueRun();
    }
  }

  proposeAsync(field: CommandField, message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.propose(field, message, 0, message.length, new PromiseReceiver(resolve, reject), 0);
    });
  }

  /** Alone, what is applied is all that was ever acknowledged, once an entry of the own term is: no round needed. */
  canReadNow(): boolean {
    return this.#serving && this.#loop.isFreeAlone && this.#leadsSinceTerm === this.#raw.term;
  }

  readIndex(receiver: TicketReceiver, ticket: number): void {
    if (this.canReadNow()) {
      receiver.onReadable(ticket);
      return;
    }
    const refusal = this.#failure || this.#closing ? EtcdErrors.stopped : undefined;
    if (refusal || !this.#requests.reads.add(receiver, ticket, this.#clock.now())) {
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
    return memberStatus({
      store: this.store,
      raw: this.#raw,
      quotaBytes: this.#quota.bytesMax,
      appliedIndex: this.#appliedIndex,
      isLearner: this.isLearner,
      alarms: this.alarms(),
    });
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
    return this.#requests.proposals.pending;
  }

  renewLease(id: bigint): Promise<number> {
    return this.#duties.leases.renew(id);
  }

  leaseTimes(id: bigint, withKeys: boolean): Promise<LeaseTimes | undefined> {
    return this.#duties.leases.times(id, withKeys);
  }

  addMember(peerUrls: readonly string[], isLearner: boolean): Promise<Member> {
    return this.#duties.reconfigurer.addMember(peerUrls, isLearner);
  }

  removeMember(id: bigint): Promise<void> {
    return this.#duties.reconfigurer.removeMember(id);
  }

  updateMember(id: bigint, peerUrls: readonly string[]): Promise<void> {
    return this.#duties.reconfigurer.updateMember(id, peerUrls);
  }

  promoteMember(id: bigint): Promise<readonly Member[]> {
    return this.#duties.reconfigurer.promoteMember(id);
  }

  /** As `promoteMember`; refuses where it is not the leader. */
  promoteHere(id: bigint): Promise<readonly Member[]> {
    return this.#duties.reconfigurer.promoteHere(id);
  }

  moveLeader(id: bigint): Promise<void> {
    return this.#duties.reconfigurer.moveLeader(id);
  }

  /** Hands leadership on, answers what is under way, flushes and closes everything. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#serving = false;
    this.#ready = false;
    this.#duties.versions.stop();
    await this.#handOver();
    await this.#drain();
    for (const tick of this.#ticks) tick.cancel();
    this.#loop.stop();
    this.#requests.refuseAll(EtcdErrors.stopped);
    await this.#transport.close();
    await this.#snapshots.close();
    await this.#housekeeping.stop();
    await this.#log.close();
  }

  /** False: it may work later, since a leader or a quorum may come back, or it was in a snapshot, unnoticed. */
  #proposeOnce(field: CommandField, message: Uint8Array): Promise<boolean> {
    const failed = (error: unknown) => {
      if (this.#failure || this.#closing || this.#loop.isAlone) throw error;
      return false;
    };
    const outcome = this.proposeAsync(field, message).then(() => true, failed);
    return Promise.race([outcome, this.#snapshots.nextInstalled().then(() => false)]);
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
    const { proposals } = this.#requests;
    return this.#loop.isIdle && proposals.waiting === 0 && proposals.pending === 0;
  }

  async #handOver(): Promise<void> {
    if (this.#failure || !this.isLeader || this.#loop.isAlone) return;
    await handOver({
      clock: this.#clock,
      electionTimeoutMs: this.#options.electionTimeoutMs,
      status: this.raftStatus(),
      peers: this.peers(),
      transferTo: (id) => this.#transferTo(id),
      isLeader: () => this.isLeader,
    });
  }

  #transferTo(id: bigint): void {
    this.#raw.transferLeader(id);
    this.#loop.queueRun();
  }

  #refusal(
    field: CommandField,
    message: Uint8Array,
    start: number,
    end: number,
  ): EtcdError | undefined {
    if (this.#failure || this.#closing) return EtcdErrors.stopped;
    if (!this.#requests.proposals.hasRoom) return EtcdErrors.tooManyRequests;
    if (this.#loop.isLogFull) return EtcdErrors.noSpace;
    if (this.#quota.fits(field, message, start, end)) {
      if (this.store.overlayBytes <= this.#options.flushBytes * 16) return undefined;
      return this.#housekeeping.isDatabaseFull ? EtcdErrors.noSpace : EtcdErrors.tooManyRequests;
    }
    if (!this.#stateMachine.alarms.has(AlarmType.noSpace)) this.#housekeeping.raiseNoSpace();
    return EtcdErrors.noSpace;
  }

  #proposeConfChange(change: ConfChangeRequest): Promise<void> {
    if (this.#failure || this.#closing) return Promise.reject(toStatusError(EtcdErrors.stopped));
    const outcome = this.#requests.proposeConfChange(change);
    this.#loop.queueRun();
    return outcome;
  }

  #onSoftState(state: SoftState): void {
    if (this.#leadership.onSoftState(state)) {
      this.#requests.reads.restart();
      this.#loop.queueRun();
    }
    if (state.role !== "leader") this.#leadsSinceTerm = 0;
  }

  /** The store goes on from another state: all that is kept beside it follows at once. */
  onStoreAdopted(): void {
    this.#stateMachine.reload();
    this.#appliedIndex = this.store.consistentIndex;
  }

  /** Called by the state machine when a change of members is applied. */
  onMembership(effect: MembershipEffect): void {
    this.#peerSide.follow(effect);
  }

  /** There is no space for the log. Alone, nobody else knows of what could not be written: it is refused and forgotten. */
  #onLogFull(): boolean {
    if (!this.#isStarted) {
      // Before it serves, a member has nothing to go on with: whoever starts it is told at once.
      this.#fail(new Error("no space for the log"));
      return false;
    }
    if (!this.#loop.isAlone) {
      void this.#handOver();
      return false;
    }
    this.#requests.refuseProposals(EtcdErrors.noSpace);
    return true;
  }

  #fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#serving = false;
    this.#ready = false;
    this.#loop.stop();
    this.#requests.refuseAll(EtcdErrors.stopped);
    this.#whenDrained?.();
    this.#leadership.fail(error);
    this.onFatal?.(error);
  }

  #apply(entries: readonly Entry[]): void {
    const machine = this.#stateMachine;
    const term = this.#raw.term;
    const { applyTimes } = this.metrics;
    applyTimes.begin(this.#clock.now());
    for (const entry of entries) {
      assert(entry.index === this.#appliedIndex + 1, `entry ${entry.index} is out of order`);
      const refusal = machine.apply(entry, term);
      this.#appliedIndex = entry.index;
      this.#requests.onApplied(machine, refusal);
    }
    applyTimes.end(this.#clock.now());
    const leads = this.isLeader && this.#stateMachine.appliedTerm === term;
    if (leads && this.#leadsSinceTerm !== term) this.#beginToLead(term);
    this.#housekeeping.afterApply();
  }

  /** The first entry of this leader's term is applied. */
  #beginToLead(term: number): void {
    this.#leadsSinceTerm = term;
    this.#leadership.begin(this.#loop.isAlone);
    if (!this.#loop.isAlone) void this.#duties.versions.check();
  }

  #tick(): void {
    if (this.#failure) return;
    // Whoever waits too long is told. What was handed on may still be applied.
    const startedMs = this.#clock.now() - this.#options.requestTimeoutMs;
    this.#requests.endOlderThan(startedMs, (startMs) => this.#leadership.refusalOfTimeout(startMs));
    if (!this.#closing) this.#housekeeping.tick();
  }
}
