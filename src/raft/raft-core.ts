// The state of one member of a raft group, and what all of its roles share: terms, time in ticks, the two
// queues of messages, what is reported back by the storage. What a role does with a message stands in
// leader.ts, follower.ts and candidate.ts; elections in election.ts, configurations in reconfigure.ts.
// Invariant: what `messagesAfterAppend` says is true only when all that came before it is durable.

import { assert } from "../base/assert.ts";
import { stepCandidate } from "./candidate.ts";
import { leaveJointProposal } from "./confchange/conf-change.ts";
import { answerVoteRequest, ignoresElection, startElection } from "./election.ts";
import { payloadSizeOf } from "./entry-size.ts";
import { stepFollower } from "./follower.ts";
import { checkQuorum, propose, stepLeader } from "./leader.ts";
import { type MessageDraft, makeMessage, waitsForDisk } from "./make-message.ts";
import { type Message, MessageType, type Snapshot } from "./message.ts";
import { type CompleteConfig, completeConfig, type RaftConfig } from "./raft-config.ts";
import { RaftLog } from "./raft-log.ts";
import { ReadOnly } from "./read-only.ts";
import type { ReadState, Role } from "./ready.ts";
import { restoreConfig } from "./reconfigure.ts";
import { appendProposals, broadcastHeartbeat } from "./replication.ts";
import { Tracker } from "./tracker/tracker.ts";
import { type Entry, EntryType } from "./types.ts";

const emptyEntry = { type: EntryType.normal, data: new Uint8Array(0) };

export class RaftCore {
  readonly config: CompleteConfig;
  readonly id: bigint;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  term = 0;
  vote = 0n;
  /** 0n while none is known. */
  leader = 0n;
  role: Role = "follower";
  /** To others; they may leave at once. */
  messages: Message[] = [];
  /** To others and to this member; they leave when everything before them is durable. */
  messagesAfterAppend: Message[] = [];
  readStates: ReadState[] = [];
  readOnly = new ReadOnly();
  /** Read requests that came before this leader had committed something in its term. */
  postponedReads: Message[] = [];
  /** Who is to lead next; 0n while no transfer is under way. */
  leadTransferee = 0n;
  /** No configuration change is proposed before this entry is applied: it may be one. */
  pendingConfIndex = 0;
  /** Payload of the leader's entries that are not applied yet, or less. */
  uncommittedBytes = 0;
  /** Ticks since the last election began, or since the last word from the leader. */
  electionElapsed = 0;
  randomizedElectionTick = 0;
  #heartbeatElapsed = 0;

  constructor(config: RaftConfig) {
    this.config = completeConfig(config);
    this.id = config.id;
    const { storage, maxCommittedSizePerReady, maxInflightMsgs, maxInflightBytes } = this.config;
    this.log = new RaftLog(storage, maxCommittedSizePerReady);
    this.tracker = new Tracker({
      maxInflightMessages: maxInflightMsgs,
      maxInflightBytes,
    });
    const { hardState, confState } = storage.initialState();
    restoreConfig(this, confState);
    this.log.load(hardState, this.config.applied);
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.becomeFollower(this.term, 0n);
  }

  /** Queues a message: at once or behind the disk, as its kind demands. */
  send(message: MessageDraft): void {
    if (message.from === 0n) message.from = this.id;
    const { type } = message;
    const isElection =
      type === MessageType.vote ||
      type === MessageType.voteResp ||
      type === MessageType.preVote ||
      type === MessageType.preVoteResp;
    if (isElection) assert(message.term !== 0, "a vote is for a term");
    // Those two are forwarded like something local: whoever leads by then may take them.
    else if (type === MessageType.prop || type === MessageType.readIndex) message.term = 0;
    else message.term = this.term;
    if (waitsForDisk(type) && !this.#goesEarly(type)) {
      this.messagesAfterAppend.push(message);
      return;
    }
    assert(message.to !== this.id, "a member sends itself only what waits for its disk");
    this.messages.push(message);
  }

  #goesEarly(type: MessageType): boolean {
    return type === MessageType.vote && this.config.voteRequestsBeforeDisk;
  }

  tick(): void {
    this.electionElapsed += 1;
    if (this.role === "leader") this.#tickLeader();
    else if (this.isPromotable() && this.electionElapsed >= this.randomizedElectionTick) {
      this.electionElapsed = 0;
      this.campaign();
    }
  }

  #tickLeader(): void {
    this.#heartbeatElapsed += 1;
    if (this.electionElapsed >= this.config.electionTick) {
      this.electionElapsed = 0;
      if (this.config.checkQuorum) checkQuorum(this);
      // It did not work out within an election timeout, so it goes on leading.
      this.leadTransferee = 0n;
    }
    // checkQuorum may have ended the leadership.
    if ((this.role as Role) !== "leader" || this.#heartbeatElapsed < this.config.heartbeatTick)
      return;
    this.#heartbeatElapsed = 0;
    broadcastHeartbeat(this);
    // Its first entry was abandoned when it could not be written. Without one of its term nothing that
    // is older is committed, and no read answered, until the next proposal.
    if (this.log.lastTerm() !== this.term) appendProposals(this, [emptyEntry]);
  }

  /** Tries to become the leader. */
  campaign(): void {
    startElection(this, this.config.preVote ? "preElection" : "election");
  }

  /** It votes, and it is not about to be replaced by a snapshot. */
  isPromotable(): boolean {
    const own = this.tracker.progress(this.id);
    return own !== undefined && !own.isLearner && this.log.unstable.snapshot === undefined;
  }

  becomeFollower(term: number, leader: bigint): void {
    this.#reset(term);
    this.leader = leader;
    this.role = "follower";
    this.config.trace?.(`became follower at term ${term}`);
  }

  becomeCandidate(): void {
    assert(this.role !== "leader", "a leader does not campaign");
    this.#reset(this.term + 1);
    this.vote = this.id;
    this.role = "candidate";
    this.config.trace?.(`became candidate at term ${this.term}`);
  }

  /** Neither the term nor the vote change: a pre-election binds nobody. */
  becomePreCandidate(): void {
    assert(this.role !== "leader", "a leader does not campaign");
    this.tracker.clearVotes();
    this.leader = 0n;
    this.role = "preCandidate";
    this.config.trace?.(`became pre-candidate at term ${this.term}`);
  }

  becomeLeader(): void {
    assert(this.role !== "follower", "a follower has to campaign first");
    this.#reset(this.term);
    this.leader = this.id;
    this.role = "leader";
    const own = this.tracker.progress(this.id);
    assert(own !== undefined, "a leader is in its own configuration");
    own.becomeReplicate();
    own.recentActive = true;
    // Whether the log's end holds a configuration change that is not applied is not looked up: until
    // all of it is applied there may be one.
    this.pendingConfIndex = this.log.lastIndex();
    const appended = appendProposals(this, [emptyEntry]);
    assert(appended, "an empty entry is never refused");
    this.config.trace?.(`became leader at term ${this.term}`);
  }

  #reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = 0n;
    }
    this.leader = 0n;
    this.electionElapsed = 0;
    this.#heartbeatElapsed = 0;
    const { electionTick, random } = this.config;
    this.randomizedElectionTick = electionTick + random.below(electionTick);
    this.leadTransferee = 0n;
    this.tracker.reset(this.id, this.log.lastIndex());
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.readOnly = new ReadOnly();
    this.postponedReads = [];
  }

  /** Takes a message. "dropped": a proposal that can not be taken now. */
  step(message: Message): "dropped" | undefined {
    if (message.term > this.term) {
      if (ignoresElection(this, message)) return undefined;
      this.#followHigherTerm(message);
    } else if (message.term !== 0 && message.term < this.term) {
      this.#answerLowerTerm(message);
      return undefined;
    }
    switch (message.type) {
      case MessageType.hup:
        this.campaign();
        return undefined;
      case MessageType.storageAppendResp:
        if (message.index !== 0) this.log.unstable.stableTo(message.index, message.logTerm);
        if (message.snapshot !== undefined) this.#snapshotApplied(message.snapshot);
        return undefined;
      case MessageType.storageApplyResp:
        this.#entriesApplied(message.entries);
        return undefined;
      case MessageType.vote:
      case MessageType.preVote:
        answerVoteRequest(this, message);
        return undefined;
    }
    if (this.role === "leader") return stepLeader(this, message);
    return this.role === "follower" ? stepFollower(this, message) : stepCandidate(this, message);
  }

  #followHigherTerm(message: Message): void {
    const { type, term, from } = message;
    // A pre-vote binds nobody, and a granted one comes back with the term that it was asked for.
    if (type === MessageType.preVote) return;
    if (type === MessageType.preVoteResp && !message.reject) return;
    const isFromLeader =
      type === MessageType.app || type === MessageType.heartbeat || type === MessageType.snap;
    this.becomeFollower(term, isFromLeader ? from : 0n);
  }

  #answerLowerTerm(message: Message): void {
    const { type, from } = message;
    const { checkQuorum, preVote } = this.config;
    if (type === MessageType.heartbeat || type === MessageType.app) {
      // A leader of an earlier term may not learn by elections that it is over, since they are ignored
      // while it is heard; this answer tells it the term, so that this member gets a leader again.
      if (checkQuorum || preVote) this.send(makeMessage(MessageType.appResp, from));
    } else if (type === MessageType.preVote) {
      // Silence would leave a candidate behind that campaigns with a longer log and a lower term.
      const answer = makeMessage(MessageType.preVoteResp, from, 0n, this.term);
      answer.reject = true;
      this.send(answer);
    } else if (type === MessageType.storageAppendResp && message.snapshot !== undefined) {
      // Entries may have been replaced in the meantime; a snapshot is committed in every term.
      this.#snapshotApplied(message.snapshot);
    }
  }

  #snapshotApplied(snapshot: Snapshot): void {
    const { index } = snapshot.metadata;
    this.log.unstable.stableSnapshotTo(index);
    this.#appliedTo(index, []);
  }

  #entriesApplied(entries: readonly Entry[]): void {
    const last = entries[entries.length - 1];
    if (last === undefined) return;
    this.#appliedTo(last.index, entries);
    if (this.uncommittedBytes > 0) {
      this.uncommittedBytes = Math.max(0, this.uncommittedBytes - payloadSizeOf(entries));
    }
  }

  #appliedTo(index: number, entries: readonly Entry[]): void {
    const applied = Math.max(index, this.log.applied);
    this.log.appliedTo(applied, entries);
    const mayLeaveJoint = this.role === "leader" && this.tracker.config.autoLeave;
    if (!mayLeaveJoint || applied < this.pendingConfIndex) return;
    // Refused only while leadership is transferred; then it is tried again with the next entry.
    propose(this, [leaveJointProposal]);
  }

  /**
   * Takes back the entries that are neither durable nor committed, with all that was said about them
   * (see RawNode.abandonUnstable). Returns the new last index.
   */
  abandonUnstable(): number {
    const dropped = this.log.abandonUnstable();
    const last = this.log.lastIndex();
    this.uncommittedBytes = Math.max(0, this.uncommittedBytes - payloadSizeOf(dropped));
    this.pendingConfIndex = Math.min(this.pendingConfIndex, last);
    this.messagesAfterAppend = this.messagesAfterAppend.filter(
      (message) => message.type !== MessageType.appResp || message.index <= last,
    );
    return last;
  }
}
