// One member of a group in tests: a RawNode, a disk, a state machine that is a hash of everything applied. What
// the append and apply threads have to do lies in queues until a test lets them do it, so that a crash can
// come between any two steps. What is written at once (`persist`) survives a crash; nothing else does.

import { Random } from "../../base/random.ts";
import { ConfChange, ConfChangeV2 } from "../../wire/generated/raft.ts";
import { applyChange, emptyConfState } from "../confchange/changer.ts";
import { decodeMembershipChange } from "../confchange/conf-change.ts";
import { LogStorage } from "../log-storage.ts";
import {
  type ConfState,
  localAppendThread,
  localApplyThread,
  type Message,
  MessageType,
  type Snapshot,
} from "../message.ts";
import { type RaftConfig, RawNode } from "../raw-node.ts";
import type { ReadState, Ready } from "../ready.ts";
import { type Entry, EntryType } from "../types.ts";

/** The state after the entry `index`. */
export interface MachineState {
  readonly index: number;
  readonly term: number;
  readonly hash: number;
  readonly confState: ConfState;
}

export interface MemberEvents {
  handledReady(member: TestMember, ready: Ready): void;
  applied(member: TestMember, state: MachineState, entry: Entry): void;
  mayRead(member: TestMember, read: ReadState): void;
}

export type MemberSettings = Partial<Omit<RaftConfig, "id" | "storage" | "random" | "applied">>;

const defaults = {
  electionTick: 10,
  heartbeatTick: 1,
  maxSizePerMsg: Number.POSITIVE_INFINITY,
  maxInflightMsgs: 256,
  asyncStorageWrites: true,
};

export class TestMember {
  readonly id: bigint;
  readonly #settings: MemberSettings;
  readonly #events: MemberEvents;
  readonly #random: Random;
  disk = new LogStorage();
  raft: RawNode;
  /** Every state since the last one that is a snapshot on the disk; the first is that one. */
  states: MachineState[];
  appendWork: Message[] = [];
  applyWork: Message[] = [];
  isUp = true;

  /** A founding member begins with `confState` as a snapshot at index 1, others with nothing. */
  constructor(
    id: bigint,
    confState: ConfState,
    settings: MemberSettings,
    events: MemberEvents,
    seed: number,
  ) {
    this.id = id;
    this.#settings = settings;
    this.#events = events;
    this.#random = new Random(seed * 31 + Number(id));
    const isFounder = confState.voters.length > 0;
    const first = { index: isFounder ? 1 : 0, term: isFounder ? 1 : 0, hash: 0, confState };
    this.states = [first];
    if (isFounder) {
      const { metadata: snapshot } = toSnapshot(first);
      const hardState = { term: 1, vote: 0n, commit: 1 };
      this.disk = new LogStorage({ hardState, snapshot, entries: [] });
    }
    this.raft = this.#start(first.index);
  }

  get state(): MachineState {
    return this.states.at(-1) as MachineState;
  }

  /** Takes a Ready and queues its work; without asynchronous storage does it at once. Returns what is for others. */
  handleReady(): readonly Message[] {
    const ready = this.raft.ready();
    this.#events.handledReady(this, ready);
    for (const read of ready.readStates) this.#events.mayRead(this, read);
    const outward: Message[] = [];
    for (const message of ready.messages) {
      if (message.to === localAppendThread) this.appendWork.push(message);
      else if (message.to === localApplyThread) this.applyWork.push(message);
      else outward.push(message);
    }
    if (this.#settings.asyncStorageWrites === false) {
      this.#write(ready);
      if (ready.hardState !== undefined) this.disk.setHardState(ready.hardState);
      this.#apply(ready.committedEntries);
      this.raft.advance();
    }
    return outward;
  }

  /** The append thread makes its next piece durable. Returns what may be said now. */
  writeNext(): readonly Message[] {
    const work = this.appendWork.shift();
    if (work === undefined) return [];
    const { term, vote, commit, responses } = work;
    // The state machine goes over to a snapshot behind everything that came to it before.
    if (work.snapshot !== undefined) while (this.applyWork.length > 0) this.applyNext();
    this.#write(work);
    if (term !== 0) this.disk.setHardState({ term, vote, commit });
    return responses.filter((response) => !this.#take(response));
  }

  /** The apply thread does its next piece. */
  applyNext(): void {
    const work = this.applyWork.shift();
    if (work === undefined) return;
    this.#apply(work.entries);
    for (const response of work.responses) this.#take(response);
  }

  /** The process is gone, and what it had not written. A part of a write that was under way may be there. */
  crash(): void {
    const entries = this.appendWork[0]?.entries ?? [];
    if (this.appendWork[0]?.snapshot === undefined && entries.length > 0) {
      this.disk.append(entries.slice(0, this.#random.below(entries.length + 1)));
    }
    this.appendWork = [];
    this.applyWork = [];
    this.isUp = false;
  }

  /** Begins again with what is on the disk; the state machine may have lost its last entries. */
  restart(): void {
    this.states.length = 1 + this.#random.below(this.states.length);
    const { index, confState } = this.state;
    const { hardState } = this.disk.initialState();
    const first = this.disk.firstIndex();
    const last = this.disk.lastIndex();
    this.disk = new LogStorage({
      hardState: { ...hardState, commit: Math.max(hardState.commit, index) },
      snapshot: { index: first - 1, term: this.disk.term(first - 1) ?? 0, confState },
      entries: this.disk.entries(first, last + 1, Number.POSITIVE_INFINITY) ?? [],
    });
    this.raft = this.#start(index);
    this.isUp = true;
  }

  /** The state of now becomes a snapshot on the disk, and the log before it goes. */
  compact(): void {
    this.states = [this.state];
    this.disk.compact(this.state.index);
  }

  #start(applied: number): RawNode {
    this.disk.snapshotSource = () => (this.state.index === 0 ? undefined : toSnapshot(this.state));
    const { id, disk: storage } = this;
    const random = this.#random.fork();
    return new RawNode({ ...defaults, ...this.#settings, id, storage, random, applied });
  }

  #write({ snapshot, entries }: Pick<Message, "snapshot" | "entries">): void {
    if (snapshot !== undefined) {
      this.disk.applySnapshot(snapshot);
      this.states = [fromSnapshot(snapshot)];
    }
    this.disk.append(entries);
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      // A snapshot has overtaken it.
      if (entry.index <= this.state.index) continue;
      const { hash, confState } = this.state;
      const state = {
        index: entry.index,
        term: entry.term,
        hash: hashOf(hash, entry),
        confState: entry.type === EntryType.normal ? confState : this.#changeConfig(entry),
      };
      this.states.push(state);
      this.#events.applied(this, state, entry);
    }
  }

  /** As etcd: what can not be done any more when it is applied is passed over, by everyone alike. */
  #changeConfig({ type, data }: Entry): ConfState {
    const { confState } = this.state;
    const result = applyChange(confState, decodeMembershipChange(type, data));
    if ("refused" in result) return confState;
    const codec = type === EntryType.confChange ? ConfChange : ConfChangeV2;
    return this.raft.applyConfChange(codec.decode(data));
  }

  #take(response: Message): boolean {
    if (response.to !== this.id) return false;
    this.raft.step(response);
    return true;
  }
}

function toSnapshot({ index, term, hash, confState }: MachineState): Snapshot {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(hash);
  return { metadata: { index, term, confState }, data };
}

function fromSnapshot({ metadata, data }: Snapshot): MachineState {
  return { ...metadata, hash: Buffer.from(data).readUInt32LE() };
}

function hashOf(before: number, entry: Entry): number {
  let hash = Math.imul(before ^ entry.term ^ (entry.type << 20), 0x9e37_79b1);
  for (const byte of entry.data) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** A configuration of voters and learners. */
export function configOf(voters: readonly bigint[], learners: readonly bigint[] = []): ConfState {
  return { ...emptyConfState, voters, learners };
}

/** A snapshot that did not get there must be reported to who sent it. */
export function isSnapshotMessage(message: Message): boolean {
  return message.type === MessageType.snap;
}
