// The raft core as a node uses it: inputs in (ticks, proposals, messages, completions), a Ready out. The
// caller drives it: it does nothing by itself, and the same inputs give the same Readys.

import { assert } from "../base/assert.ts";
import { encodeConfChange } from "../wire/conf-change.ts";
import {
  ConfChangeType,
  type ConfChange as WireConfChange,
  type ConfChangeV2 as WireConfChangeV2,
} from "../wire/generated/raft.ts";
import {
  type MembershipChange,
  membershipChangeOfV1,
  membershipChangeOfV2,
} from "./confchange/conf-change.ts";
import { propose } from "./leader.ts";
import { isLocalMessage, isLocalThread, isResponse, makeMessage } from "./make-message.ts";
import { type ConfState, type Message, MessageType } from "./message.ts";
import type { RaftConfig } from "./raft-config.ts";
import { RaftCore } from "./raft-core.ts";
import type { RaftStatus, Ready, Role, SoftState } from "./ready.ts";
import { applyMembershipChange } from "./reconfigure.ts";
import {
  storageAppend,
  storageAppendResponse,
  storageApply,
  storageApplyResponse,
} from "./storage-messages.ts";
import { type Entry, EntryType, type HardState, type Proposal } from "./types.ts";

export type { RaftConfig } from "./raft-config.ts";

/** Why a message was not taken; undefined when it was. */
export type StepRefusal = "unknownPeer" | "dropped" | "local";

export class RawNode {
  readonly #core: RaftCore;
  readonly #isAsync: boolean;
  /** What the last Ready said. */
  #softState: SoftState;
  #hardState: HardState;
  /** What `advance` reports back for the Ready that is out. */
  #onAdvance: Message[] = [];

  /** Takes up what the storage holds. */
  constructor(config: RaftConfig) {
    this.#core = new RaftCore(config);
    this.#isAsync = config.asyncStorageWrites ?? false;
    this.#softState = { leader: this.#core.leader, role: this.#core.role };
    this.#hardState = this.#currentHardState();
  }

  get id(): bigint {
    return this.#core.id;
  }

  get term(): number {
    return this.#core.term;
  }

  get commit(): number {
    return this.#core.log.committed;
  }

  get applied(): number {
    return this.#core.log.applied;
  }

  get lastIndex(): number {
    return this.#core.log.lastIndex();
  }

  /** 0n while none is known. */
  get leader(): bigint {
    return this.#core.leader;
  }

  get role(): Role {
    return this.#core.role;
  }

  /** 0n while no transfer of leadership is under way. */
  get leadTransferee(): bigint {
    return this.#core.leadTransferee;
  }

  /** The configuration in force. */
  get confState(): ConfState {
    return this.#core.tracker.config;
  }

  status(): RaftStatus {
    const core = this.#core;
    return {
      id: core.id,
      term: core.term,
      vote: core.vote,
      commit: core.log.committed,
      applied: core.log.applied,
      lastIndex: core.log.lastIndex(),
      leader: core.leader,
      role: core.role,
      leadTransferee: core.leadTransferee,
      confState: core.tracker.config,
      progress: core.role === "leader" ? core.tracker.all.map((one) => one.status()) : [],
    };
  }

  /**
   * Begins an empty log with what all founding members agree on beforehand: at term 1, one
   * configuration change for each, committed. All of them must be given the same list.
   */
  bootstrap(peers: readonly { readonly id: bigint; readonly context: Uint8Array }[]): void {
    const core = this.#core;
    assert(peers.length > 0, "a group begins with at least one member");
    assert(core.log.lastIndex() === 0, "only an empty log is bootstrapped");
    this.#hardState = { term: 0, vote: 0n, commit: 0 };
    core.becomeFollower(1, 0n);
    const type = ConfChangeType.ConfChangeAddNode;
    const proposals = peers.map(({ id, context }) => ({
      type: EntryType.confChange,
      data: encodeConfChange({ type, nodeId: id, context }),
    }));
    core.log.committed = core.log.appendProposals(1, proposals);
    // So that the members are known at once; applying the entries changes nothing more.
    for (const { id } of peers) this.applyConfChange({ type, nodeId: id });
  }

  /** To be called at regular times; elections and heartbeats count them. */
  tick(): void {
    this.#core.tick();
  }

  campaign(): void {
    this.#core.campaign();
  }

  /** Undefined: taken, or forwarded to the leader. Neither is a promise that they will be committed. */
  propose(proposals: readonly Proposal[]): "dropped" | undefined {
    if (this.#core.role === "leader") return propose(this.#core, proposals);
    const message = makeMessage(MessageType.prop, 0n, this.#core.id);
    message.entries = proposals.map(({ type, data }) => ({ term: 0, index: 0, type, data }));
    return this.#core.step(message);
  }

  /** `type` and `data` are those of the entry. An empty entry takes its place when it can not be made now. */
  proposeConfChange(change: Proposal): "dropped" | undefined {
    return this.propose([change]);
  }

  /**
   * To be called when a configuration change of the log is applied, and only then. A change that the
   * state machine refuses is passed with the node ids 0n, or not at all.
   */
  applyConfChange(change: MembershipChange | WireConfChange | WireConfChangeV2): ConfState {
    if ("procedure" in change) return applyMembershipChange(this.#core, change);
    const decoded =
      "changes" in change ? membershipChangeOfV2(change) : membershipChangeOfV1(change);
    return applyMembershipChange(this.#core, decoded);
  }

  /** A message from another member, or a response of the own storage. */
  step(message: Message): StepRefusal | undefined {
    const { type, from } = message;
    if (!isLocalThread(from)) {
      if (isLocalMessage(type)) return "local";
      if (isResponse(type) && this.#core.tracker.progress(from) === undefined) return "unknownPeer";
    }
    return this.#core.step(message);
  }

  /**
   * Asks for a read state with this context, which the caller makes unique. None may ever come (no
   * leader, a lost message, a new term): then it asks again with another context.
   */
  readIndex(context: Uint8Array): void {
    const message = makeMessage(MessageType.readIndex, 0n);
    message.entries = [{ term: 0, index: 0, type: EntryType.normal, data: context }];
    this.#core.step(message);
  }

  /** The leader is asked to hand over to `id`; given up after an election timeout. */
  transferLeader(id: bigint): void {
    this.#core.step(makeMessage(MessageType.transferLeader, 0n, id));
  }

  /** A follower whose leader is known to be gone may vote for another at once. */
  forgetLeader(): void {
    this.#core.step(makeMessage(MessageType.forgetLeader, 0n));
  }

  /** What was last sent to `id` did not get there. */
  reportUnreachable(id: bigint): void {
    this.#core.step(makeMessage(MessageType.unreachable, 0n, id));
  }

  /** A snapshot that was sent to `id` arrived, or did not. Every one must be reported. */
  reportSnapshot(id: bigint, ok: boolean): void {
    const message = makeMessage(MessageType.snapStatus, 0n, id);
    message.reject = !ok;
    this.#core.step(message);
  }

  /** Sets after how many ticks without a leader the next election begins; for tests. */
  setElectionTimeout(ticks: number): void {
    this.#core.randomizedElectionTick = ticks;
  }

  hasReady(): boolean {
    const core = this.#core;
    if (core.messages.length > 0 || core.messagesAfterAppend.length > 0) return true;
    if (core.log.unstable.hasNext() || core.log.hasNextCommitted(!this.#isAsync)) return true;
    if (core.readStates.length > 0 || core.log.unstable.nextSnapshot() !== undefined) return true;
    return this.#hasNewSoftState() || this.#hasNewHardState();
  }

  /** What is to be done now. It has to be done: the core takes it as handed out. */
  ready(): Ready {
    const core = this.#core;
    const entries = core.log.unstable.next();
    const committedEntries = core.log.nextCommitted(!this.#isAsync);
    const softState = this.#hasNewSoftState()
      ? { leader: core.leader, role: core.role }
      : undefined;
    const hardState = this.#hasNewHardState() ? this.#currentHardState() : undefined;
    const snapshot = core.log.unstable.nextSnapshot();
    const ready: Ready = {
      softState,
      hardState,
      readStates: core.readStates,
      entries,
      snapshot,
      committedEntries,
      messages: this.#takeMessages({ entries, hardState, snapshot }, committedEntries),
      mustSync:
        entries.length > 0 ||
        core.term !== this.#hardState.term ||
        core.vote !== this.#hardState.vote,
    };
    if (softState !== undefined) this.#softState = softState;
    if (hardState !== undefined) this.#hardState = hardState;
    core.readStates = [];
    core.log.unstable.accept();
    if (committedEntries.length > 0) core.log.acceptApplying(committedEntries, !this.#isAsync);
    return ready;
  }

  #takeMessages(
    unwritten: Pick<Ready, "entries" | "hardState" | "snapshot">,
    committed: readonly Entry[],
  ): readonly Message[] {
    const core = this.#core;
    const { messages, messagesAfterAppend } = core;
    if (this.#isAsync) {
      const append = storageAppend(core, unwritten);
      if (append !== undefined) messages.push(append);
      if (committed.length > 0) messages.push(storageApply(core, committed));
    } else {
      assert(this.#onAdvance.length === 0, "the last Ready was not followed by advance");
      for (const message of messagesAfterAppend) {
        if (message.to === core.id) this.#onAdvance.push(message);
        else messages.push(message);
      }
      const appended = storageAppendResponse(core, unwritten.snapshot);
      if (appended !== undefined) this.#onAdvance.push(appended);
      if (committed.length > 0) this.#onAdvance.push(storageApplyResponse(core, committed));
    }
    core.messages = [];
    core.messagesAfterAppend = [];
    return messages;
  }

  /** The last Ready is done with: written, sent and applied. Not with asynchronous storage writes. */
  advance(): void {
    assert(!this.#isAsync, "with asynchronous storage writes, responses take the place of advance");
    const messages = this.#onAdvance;
    this.#onAdvance = [];
    for (const message of messages) this.#core.step(message);
  }

  /**
   * The only voter, whose log nobody else has seen, could not write: forgets the entries that are not
   * in its storage, so that they can never be committed, and returns the index of the last one left. The
   * responses of the writes that failed must never be stepped. The hard state goes out again.
   */
  abandonUnstable(): number {
    const core = this.#core;
    const { voters, votersOutgoing, learners } = core.tracker.config;
    assert(
      voters.length === 1 && voters[0] === core.id && votersOutgoing.length + learners.length === 0,
      "only who is alone can take entries back",
    );
    const last = core.abandonUnstable();
    this.#hardState = core.config.storage.initialState().hardState;
    return last;
  }

  #currentHardState(): HardState {
    const { term, vote, log } = this.#core;
    return { term, vote, commit: log.committed };
  }

  #hasNewSoftState(): boolean {
    return this.#softState.leader !== this.#core.leader || this.#softState.role !== this.#core.role;
  }

  #hasNewHardState(): boolean {
    const { term, vote, log } = this.#core;
    const last = this.#hardState;
    return last.term !== term || last.vote !== vote || last.commit !== log.committed;
  }
}
