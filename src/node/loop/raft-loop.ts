// The one loop of a member: proposals, reads, messages of peers and ticks go into the core; what the core wants
// done comes out and is written, sent and applied. Nothing else touches the core. The leader's entries go
// to the other members while its own disk still writes them.

import { failpoints } from "../../base/failpoint.ts";
import type { Clock } from "../../io/clock.ts";
import type { Transport } from "../../peer/types.ts";
import type { LogStorage } from "../../raft/log-storage.ts";
import {
  localAppendThread,
  localApplyThread,
  type Message,
  MessageType,
  type Snapshot,
} from "../../raft/message.ts";
import type { RawNode } from "../../raft/raw-node.ts";
import type { Ready, SoftState } from "../../raft/ready.ts";
import type { Entry, HardState } from "../../raft/types.ts";
import type { Log } from "./log.ts";
import { LogWriter } from "./log-writer.ts";
import type { Proposals } from "./proposals.ts";
import type { ReadRounds } from "./read-rounds.ts";

export interface RaftLoopHandler {
  /** Applies committed entries, in order, each once. */
  apply(entries: readonly Entry[]): void;
  /** The core's time goes on: a leader's heartbeats are about to go out. */
  onTick(): void;
  /** The leader or this member's role changed. */
  onSoftState(state: SoftState): void;
  /** A follower needs a snapshot: builds its file and hands both to the transport. */
  sendSnapshot(message: Message): void;
  /** Notes the snapshot and the hard state in the log, then goes on from the state that it stands for. */
  installSnapshot(snapshot: Snapshot, hardState: HardState): Promise<void>;
  /** A write to the log is done: its time in milliseconds, and the bytes of its entries. */
  onLogWritten(ms: number, bytes: number): void;
  /** The log found no space. True when all that has no outcome was refused, and the core may forget it. */
  onLogFull(): boolean;
  /** All there was to do is done, for now. */
  onTurnDone(): void;
  /** The member can not go on. */
  onFailed(error: Error): void;
}

/** How much of the applied log stays in memory for members that are behind. */
export interface KeptLog {
  readonly keptEntries: number;
  readonly keptBytes: number;
}

export interface RaftLoopParts {
  readonly raw: RawNode;
  readonly storage: LogStorage;
  readonly log: Log;
  readonly hardState: HardState;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly proposals: Proposals;
  readonly reads: ReadRounds;
  readonly handler: RaftLoopHandler;
  readonly kept: KeptLog;
}

/** After this long in one turn of the event loop, the rest waits for the next. */
const turnMs = 10;
/** A leader gathers proposals while its disk is busy, but no longer than this when others could go on. */
const gatherMs = 20;
/** Of proposals that are forwarded to the leader in one message. */
const forwardedBytesMax = 1024 * 1024;

export class RaftLoop {
  readonly #raw: RawNode;
  readonly #storage: LogStorage;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #proposals: Proposals;
  readonly #reads: ReadRounds;
  readonly #handler: RaftLoopHandler;
  readonly #writer: LogWriter;
  readonly #kept: KeptLog;
  #outgoing: Message[] = [];
  #isQueued = false;
  #isStopped = false;
  /** The only voter, with no learners: nobody else sees the log. */
  isAlone = false;

  /** Alone, and nothing keeps it from going on. */
  get isFreeAlone(): boolean {
    return this.isAlone && !this.#writer.isHeld;
  }

  constructor(parts: RaftLoopParts) {
    this.#raw = parts.raw;
    this.#storage = parts.storage;
    this.#transport = parts.transport;
    this.#clock = parts.clock;
    this.#proposals = parts.proposals;
    this.#reads = parts.reads;
    this.#handler = parts.handler;
    this.#kept = parts.kept;
    this.#writer = new LogWriter(parts.log, parts.hardState, parts.clock, {
      onWritten: (message) => this.#guard(() => this.#onWritten(message)),
      onBatchWritten: (ms, bytes) => {
        this.#handler.onLogWritten(ms, bytes);
        this.run();
      },
      installSnapshot: (snapshot, hardState) => this.#handler.installSnapshot(snapshot, hardState),
      onFull: () => this.#onLogFull(),
      onFailed: (error) => this.#fail(error),
    });
  }

  /** Nothing is being written and nothing waits to be. */
  get isIdle(): boolean {
    return this.#isStopped || this.#writer.isIdle;
  }

  /** There is no space for the log. */
  get isLogFull(): boolean {
    return this.#writer.isFull;
  }

  /** Runs once at the end of this turn of the event loop: what all readable sockets bring is one batch. */
  queueRun(): void {
    if (this.#isQueued || this.#isStopped) return;
    this.#isQueued = true;
    setImmediate(() => {
      this.#isQueued = false;
      this.run();
    });
  }

  tick(): void {
    this.#guard(() => {
      this.#handler.onTick();
      this.#raw.tick();
    });
    this.run();
  }

  /** Messages of peers. */
  receive(messages: readonly Message[]): void {
    this.tell((raw) => {
      for (const message of messages) raw.step(message);
    });
  }

  /** Tells the core something, and does what comes of it at the end of this turn of the event loop. */
  tell(action: (raw: RawNode) => void): void {
    this.#guard(action);
    this.queueRun();
  }

  /** What the core or its handler finds impossible ends the member, not the process. */
  #guard(action: (raw: RawNode) => void): void {
    if (this.#isStopped) return;
    try {
      action(this.#raw);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Does all there is to do now. */
  run(): void {
    // At a failpoint before or after a write the whole loop stands still, as etcd's does.
    if (this.#isStopped || this.#writer.isHeld) return;
    try {
      const startedMs = this.#clock.now();
      for (;;) {
        this.#offerProposals(startedMs);
        this.#offerReads(startedMs);
        // Alone, nobody else could lead: there is nothing to wait for.
        if (this.isAlone && this.#raw.role === "follower" && !this.#raw.hasReady()) {
          this.#raw.campaign();
        }
        if (!this.#raw.hasReady()) break;
        this.#handle(this.#raw.ready());
        if (this.#isStopped) return;
        if (this.#clock.now() - startedMs > turnMs) {
          this.queueRun();
          break;
        }
      }
      this.#flush();
      this.#handler.onTurnDone();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Nothing is written, sent or applied any more, except for a write that is under way. */
  stop(): void {
    this.#isStopped = true;
    this.#writer.stop();
  }

  #offerProposals(nowMs: number): void {
    const leads = this.#raw.role === "leader";
    if (!leads) this.#proposals.forgetDuties();
    while (this.#proposals.waiting > 0 && this.#raw.leader !== 0n) {
      if (leads && this.#isGathering(nowMs)) return;
      const taken = this.#proposals.takeWaiting(leads ? undefined : forwardedBytesMax);
      if (this.#raw.propose(taken.proposals) === undefined) continue;
      // A transfer of leadership, or too much that is not committed yet: later.
      this.#proposals.putBack(taken);
      return;
    }
  }

  #isGathering(nowMs: number): boolean {
    const sinceMs = this.#writer.busySinceMs;
    if (sinceMs === undefined) return false;
    return this.isAlone || this.#writer.isFull || nowMs - sinceMs < gatherMs;
  }

  #offerReads(nowMs: number): void {
    if (this.#reads.waiting === 0 || this.#raw.leader === 0n) return;
    const question = this.#reads.nextQuestion(nowMs);
    if (question !== undefined) this.#raw.readIndex(question);
  }

  #handle(ready: Ready): void {
    // Also when there is nobody to send to.
    if (this.#raw.role === "leader") failpoints.raftBeforeLeaderSend?.reachNow();
    if (ready.softState !== undefined) this.#handler.onSoftState(ready.softState);
    for (const { context, index } of ready.readStates) this.#reads.confirm(context, index);
    for (const message of ready.messages) {
      if (message.to === localAppendThread) this.#writer.add(message);
      else if (message.to === localApplyThread) this.#apply(message);
      else if (message.type === MessageType.snap) this.#handler.sendSnapshot(message);
      else this.#outgoing.push(message);
    }
    if (ready.readStates.length > 0) this.#reads.release(this.#raw.applied);
  }

  #apply(message: Message): void {
    // The others may begin on what is to be written while this member applies.
    this.#flush();
    this.#handler.apply(message.entries);
    this.#deliver(message.responses);
    this.#compact();
    this.#reads.release(this.#raw.applied);
  }

  /** Lets go of applied entries: alone nobody needs them; else some stay, so that not every delay costs a snapshot. */
  #compact(): void {
    const { applied } = this.#raw;
    const storage = this.#storage;
    const stable = Math.min(applied, storage.lastIndex());
    if (this.isAlone) {
      storage.compact(stable);
      return;
    }
    const { keptEntries, keptBytes } = this.#kept;
    const first = storage.firstIndex();
    const held = stable - first + 1;
    if (storage.entryBytes > keptBytes && held > 1) storage.compact(first + Math.floor(held / 2));
    else if (held > 2 * keptEntries) storage.compact(stable - keptEntries);
  }

  #onWritten(message: Message): void {
    if (message.snapshot !== undefined) this.#storage.applySnapshot(message.snapshot);
    if (message.entries.length > 0) this.#storage.append(message.entries);
    if (message.term !== 0) {
      const { term, vote, commit } = message;
      this.#storage.setHardState({ term, vote, commit });
    }
    this.#deliver(message.responses);
  }

  #deliver(responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to === this.#raw.id) this.#raw.step(response);
      else this.#outgoing.push(response);
    }
  }

  #flush(): void {
    if (this.#outgoing.length === 0) return;
    if (this.#raw.role !== "leader") failpoints.raftBeforeFollowerSend?.reachNow();
    const messages = this.#outgoing;
    this.#outgoing = [];
    this.#transport.send(messages);
  }

  #onLogFull(): boolean {
    if (!this.#handler.onLogFull()) return false;
    this.#raw.abandonUnstable();
    // Nothing is left to do until something comes: a run now would only find the disk full again.
    setImmediate(() => this.#handler.onTurnDone());
    return true;
  }

  #fail(error: Error): void {
    if (this.#isStopped) return;
    this.stop();
    this.#handler.onFailed(error);
  }
}
