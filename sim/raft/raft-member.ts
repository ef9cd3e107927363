// One member around the bare raft core: a disk that is durable some time after it was written to, an apply thread,
// a state that is a chain of everything applied, snapshots of it. What a node must do, in its simplest form; bugs
// are planted by overriding its methods.

import type { Random } from "../../src/base/random.ts";
import { decodeMembershipChange } from "../../src/raft/confchange/conf-change.ts";
import { LogStorage } from "../../src/raft/log-storage.ts";
import {
  type ConfState,
  localAppendThread,
  localApplyThread,
  type Message,
  type Snapshot,
} from "../../src/raft/message.ts";
import { RawNode } from "../../src/raft/raw-node.ts";
import { type Entry, EntryType, type HardState } from "../../src/raft/types.ts";
import { ConfChange, ConfChangeV2 } from "../../src/wire/generated/raft.ts";
import type { EventQueue } from "../world/event-queue.ts";
import { ProcessLife } from "../world/process-life.ts";

export interface RaftMemberOptions {
  readonly id: bigint;
  readonly electionTick: number;
  readonly heartbeatTick: number;
  readonly maxSizePerMsg: number;
  readonly maxCommittedSizePerReady: number;
  readonly maxInflightMsgs: number;
  readonly maxUncommittedEntriesSize: number;
  readonly checkQuorum: boolean;
  readonly preVote: boolean;
  readonly tickMs: number;
  /** Applied entries between two snapshots, after which the log is cut. */
  readonly snapshotEntries: number;
  readonly stepDownOnRemoval: boolean;
}

/** What of a member survives its process. */
export interface Durable {
  hardState: HardState;
  /** The state that the log begins after. */
  snapshot: Snapshot;
  entries: readonly Entry[];
}

export interface RaftMemberWorld {
  readonly queue: EventQueue;
  readonly random: Random;
  /** How long writes take now. */
  diskMs(): number;
  transmit(message: Message): void;
  onApplied(member: RaftMember, entry: Entry): void;
  onSnapshotApplied(member: RaftMember, snapshot: Snapshot): void;
  onReadState(member: RaftMember, context: string, index: number): void;
  /** The core says that something is wrong with itself. */
  onFailure(member: RaftMember, error: Error): void;
  afterStep(member: RaftMember): void;
}

export const noConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

const readyRoundsMax = 10_000;
const nothing = Buffer.alloc(0);

export class RaftMember {
  readonly options: RaftMemberOptions;
  readonly world: RaftMemberWorld;
  life = new ProcessLife();
  storage = new LogStorage();
  node: RawNode;
  /** What was applied so far, in short: the state. */
  state = "";
  appliedIndex = 0;
  appliedTerm = 0;
  confState: ConfState = noConfState;
  /** The newest snapshot on the disk. */
  snapshot: Snapshot = { metadata: { index: 0, term: 0, confState: noConfState }, data: nothing };
  #draining = false;
  #writing: Message[] = [];
  #diskFreeMs = 0;
  #applyFreeMs = 0;
  /** Of a snapshot that the core has taken over and the disk does not have yet. */
  #arrivingIndex = 0;
  readonly #founders: readonly bigint[];

  /** `founders`: empty for one that joins later. */
  constructor(options: RaftMemberOptions, world: RaftMemberWorld, founders: readonly bigint[]) {
    this.options = options;
    this.world = world;
    this.#founders = founders;
    this.node = this.createNode();
    this.#bootstrap();
    this.#scheduleTick(this.life);
  }

  get id(): bigint {
    return this.options.id;
  }

  get name(): string {
    return `m${this.id}`;
  }

  get isRunning(): boolean {
    return !this.life.isOver;
  }

  /** The process dies. Of what it was writing, a first part may have reached the disk. */
  crash(): void {
    if (this.life.isOver) return;
    this.life.end();
    const { random } = this.world;
    for (const message of this.#writing) {
      if (random.chance(0.5)) {
        this.persist(message);
        continue;
      }
      // Torn: some of its entries, and not the hard state that comes after them.
      if (message.snapshot === undefined && random.chance(0.5)) {
        const kept = random.below(message.entries.length + 1);
        this.persist({ ...message, entries: message.entries.slice(0, kept), term: 0 });
      }
      break;
    }
    this.#writing = [];
  }

  /** A new process on what the disk has. */
  restart(): void {
    const durable = this.recover();
    this.life = new ProcessLife();
    const { snapshot, hardState, entries } = durable;
    this.snapshot = snapshot;
    this.storage = new LogStorage({ hardState, snapshot: snapshot.metadata, entries });
    this.#loadState(snapshot);
    this.#arrivingIndex = 0;
    this.guard(() => {
      this.node = this.createNode();
      this.#bootstrap();
    });
    if (this.life.isOver) return;
    this.#scheduleTick(this.life);
    this.drain();
  }

  /** Also when a crash came before the beginning was on the disk. */
  #bootstrap(): void {
    if (this.#founders.length === 0 || this.storage.lastIndex() > 0) return;
    this.node.bootstrap(this.#founders.map((id) => ({ id, context: nothing })));
  }

  /** Something came in: does what the core wants then, unless the process is stopped. */
  input(action: (node: RawNode) => void): void {
    this.life.deliver(() => {
      this.guard(() => action(this.node));
      this.drain();
    });
  }

  receive(message: Message): void {
    this.input((node) => node.step(message));
  }

  /** What a start finds. The seam for disks that lie. */
  protected recover(): Durable {
    const { storage } = this;
    const entries = storage.entries(storage.firstIndex(), storage.lastIndex() + 1, Infinity) ?? [];
    const { term, vote, commit } = storage.initialState().hardState;
    // What a snapshot holds is committed, whether the log came to say so or not.
    const known = Math.max(commit, this.snapshot.metadata.index);
    return { hardState: { term, vote, commit: known }, snapshot: this.snapshot, entries };
  }

  protected createNode(): RawNode {
    const { options, storage } = this;
    storage.snapshotSource = () => this.snapshotToSend();
    return new RawNode({
      ...options,
      storage,
      applied: this.appliedIndex,
      asyncStorageWrites: true,
      random: this.world.random.fork(),
    });
  }

  /** Made for whoever needs it: an older one may not know the member that it is for. */
  protected snapshotToSend(): Snapshot | undefined {
    return this.appliedIndex > 0 ? this.makeSnapshot() : undefined;
  }

  /** Writes what the core wants written; `done` when it is durable. One after the other. */
  protected write(message: Message, done: () => void): void {
    const { life, world } = this;
    this.#writing.push(message);
    this.#diskFreeMs = Math.max(this.#diskFreeMs, world.queue.nowMs + world.diskMs());
    world.queue.schedule(this.#diskFreeMs - world.queue.nowMs, () => {
      if (life.isOver) return;
      this.#writing.shift();
      // The disk goes on while the process is stopped.
      this.persist(message);
      life.deliver(done);
    });
  }

  /** The disk has it. */
  protected persist(message: Message): void {
    const { storage } = this;
    const { snapshot } = message;
    if (snapshot !== undefined) {
      if (snapshot.metadata.index < storage.firstIndex()) return;
      storage.applySnapshot(snapshot);
      this.snapshot = snapshot;
    }
    storage.append(message.entries);
    if (message.term !== 0) {
      const { term, vote, commit } = message;
      storage.setHardState({ term, vote, commit });
    }
  }

  /** The answers of a finished write or apply. */
  protected respond(responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to === this.id) this.node.step(response);
      else this.transmit(response);
    }
  }

  protected transmit(message: Message): void {
    this.world.transmit(message);
  }

  protected apply(entry: Entry): void {
    this.world.onApplied(this, entry);
    this.appliedIndex = entry.index;
    this.appliedTerm = entry.term;
    this.state = chain(this.state, entry);
    if (entry.type !== EntryType.normal) this.applyConfChange(entry);
  }

  protected applyConfChange(entry: Entry): void {
    const codec = entry.type === EntryType.confChange ? ConfChange : ConfChangeV2;
    const change = codec.decode(entry.data);
    this.confState = this.node.applyConfChange(change as ConfChange);
  }

  protected makeSnapshot(): Snapshot {
    const { appliedIndex: index, appliedTerm: term, confState } = this;
    return { metadata: { index, term, confState }, data: Buffer.from(this.state) };
  }

  /** Runs Readys until there is none. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.guard(() => {
      for (let rounds = 0; this.isRunning && this.node.hasReady(); rounds++) {
        if (rounds === readyRoundsMax) throw new Error("the core always wants something more");
        this.#handleReady();
      }
    });
    this.#draining = false;
    if (this.isRunning) this.world.afterStep(this);
  }

  /** A failed assertion of the core is a finding, and the end of this member. */
  protected guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.life.end();
      this.world.onFailure(this, error as Error);
    }
  }

  #handleReady(): void {
    const ready = this.node.ready();
    for (const { context, index } of ready.readStates) {
      this.world.onReadState(this, Buffer.from(context).toString("latin1"), index);
    }
    for (const message of ready.messages) {
      if (message.to === localAppendThread) this.#handleAppend(message);
      else if (message.to === localApplyThread) this.#handleApply(message);
      else this.transmit(message);
    }
  }

  #handleAppend(message: Message): void {
    if (message.snapshot !== undefined) this.#arrivingIndex = message.snapshot.metadata.index;
    this.write(message, () => {
      this.guard(() => {
        if (message.snapshot !== undefined) this.#loadReceived(message.snapshot);
        this.respond(message.responses);
      });
      this.drain();
    });
  }

  #loadReceived(snapshot: Snapshot): void {
    if (snapshot.metadata.index <= this.appliedIndex) return;
    this.#loadState(snapshot);
    this.world.onSnapshotApplied(this, snapshot);
  }

  #loadState({ metadata, data }: Snapshot): void {
    this.appliedIndex = metadata.index;
    this.appliedTerm = metadata.term;
    this.confState = metadata.confState;
    this.state = Buffer.from(data).toString();
  }

  #handleApply(message: Message): void {
    const { life } = this;
    const { queue, random } = this.world;
    this.#applyFreeMs = Math.max(this.#applyFreeMs, queue.nowMs + random.float() * 2);
    queue.schedule(this.#applyFreeMs - queue.nowMs, () =>
      life.deliver(() => {
        this.guard(() => {
          for (const entry of message.entries) {
            // What a snapshot stands for is not applied any more, from the moment that the core knows it.
            if (entry.index > Math.max(this.appliedIndex, this.#arrivingIndex)) this.apply(entry);
          }
          this.respond(message.responses);
          this.#maybeCompact();
        });
        this.drain();
      }),
    );
  }

  #maybeCompact(): void {
    const { snapshotEntries } = this.options;
    if (this.appliedIndex - this.snapshot.metadata.index < snapshotEntries) return;
    // Applied is not durable here until the log says so; the snapshot stands for what the disk has.
    if (this.appliedIndex > this.storage.lastIndex()) return;
    this.snapshot = this.makeSnapshot();
    this.storage.compact(Math.max(0, this.appliedIndex - Math.floor(snapshotEntries / 2)));
  }

  #scheduleTick(life: ProcessLife): void {
    this.world.queue.schedule(this.options.tickMs, () => {
      if (life.isOver) return;
      this.#scheduleTick(life);
      life.deliver(() => {
        this.guard(() => this.node.tick());
        this.drain();
      });
    });
  }
}

/** Whether an entry changes who is in the group, and how many do. */
export function isMembershipEntry(entry: Entry): boolean {
  if (entry.type === EntryType.normal) return false;
  return decodeMembershipChange(entry.type, entry.data).changes.length > 0;
}

export function contentOf(entry: Entry): string {
  return `${entry.type}:${Buffer.from(entry.data).toString("latin1")}`;
}

/** A short text that depends on everything before it. */
function chain(state: string, entry: Entry): string {
  let hash = 0x811c_9dc5;
  const text = `${state}|${entry.index}|${contentOf(entry)}`;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return (hash >>> 0).toString(16);
}
