// A group for scenarios: every message arrives at once and every write succeeds, except where a test cuts a
// line, loses a kind of message or holds a member's disk. All that happens is checked by SafetyChecker.

import { assert } from "../../base/assert.ts";
import { ConfChangeV2 } from "../../wire/generated/raft.ts";
import { emptyConfState } from "../confchange/changer.ts";
import type { MemberChange } from "../confchange/conf-change.ts";
import type { ConfState, Message, MessageType } from "../message.ts";
import type { RawNode } from "../raw-node.ts";
import type { ReadState, Ready } from "../ready.ts";
import { type Entry, EntryType } from "../types.ts";
import { SafetyChecker } from "./safety-checker.ts";
import {
  configOf,
  isSnapshotMessage,
  type MachineState,
  type MemberEvents,
  type MemberSettings,
  TestMember,
} from "./test-member.ts";

export interface GroupOptions {
  readonly voters: readonly bigint[];
  readonly learners?: readonly bigint[];
  /** Processes that run and know of no group yet. */
  readonly spares?: readonly bigint[];
  readonly settings?: MemberSettings;
}

/** More than any scenario needs: beyond it members talk in circles. */
const maxRounds = 1_000;

const changeTypes = { addVoter: 0, remove: 1, update: 2, addLearner: 3 } as const;

export class TestGroup implements MemberEvents {
  readonly members: readonly TestMember[];
  readonly reads: { readonly by: bigint; readonly read: ReadState }[] = [];
  /** Everything that was delivered, in order. */
  readonly delivered: Message[] = [];
  readonly #checker = new SafetyChecker();
  readonly #texts = new Map<bigint, string[]>();
  readonly #cuts = new Set<string>();
  #lost: readonly MessageType[] = [];
  /** Whose append thread does nothing. */
  readonly #stuckDisks = new Set<bigint>();
  /** The same of apply threads. */
  readonly #stuckAppliers = new Set<bigint>();
  #waiting: Message[] = [];

  constructor({ voters, learners = [], spares = [], settings = {} }: GroupOptions) {
    const config = configOf(voters, learners);
    const ids = [...voters, ...learners, ...spares].sort((a, b) => (a < b ? -1 : 1));
    this.members = ids.map((id) => {
      const known = spares.includes(id) ? emptyConfState : config;
      return new TestMember(id, known, settings, this, 1);
    });
  }

  member(id: bigint): TestMember {
    const member = this.members.find((each) => each.id === id);
    assert(member !== undefined, `there is no member ${id}`);
    return member;
  }

  raft(id: bigint): RawNode {
    return this.member(id).raft;
  }

  config(id: bigint): ConfState {
    return this.raft(id).confState;
  }

  /** What a member has applied of what was proposed. */
  texts(id: bigint): readonly string[] {
    return this.#texts.get(id) ?? [];
  }

  cut(one: bigint, other: bigint): void {
    this.#cuts.add(`${one} ${other}`).add(`${other} ${one}`);
  }

  isolate(id: bigint): void {
    for (const other of this.members) if (other.id !== id) this.cut(id, other.id);
  }

  /** Messages of these kinds do not arrive. */
  lose(...types: MessageType[]): void {
    this.#lost = types;
  }

  holdDisk(id: bigint): void {
    this.#stuckDisks.add(id);
  }

  holdApplying(id: bigint): void {
    this.#stuckAppliers.add(id);
  }

  /** All lines, disks and kinds of messages work again. */
  heal(): void {
    this.#cuts.clear();
    this.#lost = [];
    this.#stuckDisks.clear();
    this.#stuckAppliers.clear();
  }

  elect(id: bigint): void {
    this.raft(id).campaign();
    this.settle();
  }

  tick(id: bigint, count: number): void {
    for (let i = 0; i < count; i++) {
      this.raft(id).tick();
      this.settle();
    }
  }

  /** Everybody's clock goes on. */
  tickAll(count: number): void {
    for (let i = 0; i < count; i++) {
      for (const { raft } of this.members) raft.tick();
      this.settle();
    }
  }

  propose(id: bigint, ...texts: string[]): "dropped" | undefined {
    const proposals = texts.map((text) => ({ type: EntryType.normal, data: Buffer.from(text) }));
    const dropped = this.raft(id).propose(proposals);
    this.settle();
    return dropped;
  }

  /** Proposes a change: by way of a joint configuration when it has several parts. */
  change(id: bigint, changes: readonly MemberChange[], transition: 0 | 1 | 2 = 0): void {
    const data = ConfChangeV2.encode({
      transition,
      changes: changes.map((each) => ({ type: changeTypes[each.kind], nodeId: each.id })),
      context: undefined,
    }).finish();
    this.raft(id).proposeConfChange({ type: EntryType.confChangeV2, data });
    this.settle();
  }

  read(id: bigint, context: string): void {
    const bytes = Buffer.from(context);
    this.#checker.askedToRead(bytes);
    this.raft(id).readIndex(bytes);
    this.settle();
  }

  /** The contexts of reads that a member may serve. */
  answersAt(id: bigint): readonly string[] {
    const own = this.reads.filter(({ by }) => by === id);
    return own.map(({ read }) => Buffer.from(read.context).toString());
  }

  restart(id: bigint): void {
    const member = this.member(id);
    if (member.isUp) member.crash();
    member.restart();
    this.#checker.restarted(member);
  }

  /** Until nobody has anything to do. */
  settle(): void {
    for (let round = 0; round < maxRounds; round++) {
      for (const member of this.members) this.#work(member);
      if (this.#waiting.length === 0 && !this.members.some((each) => this.#hasWork(each))) return;
      const messages = this.#waiting;
      this.#waiting = [];
      for (const message of messages) this.#deliver(message);
    }
    assert(false, "the group does not come to rest");
  }

  #hasWork({ id, isUp, raft, appendWork, applyWork }: TestMember): boolean {
    const canWrite = appendWork.length > 0 && !this.#stuckDisks.has(id);
    const canApply = applyWork.length > 0 && !this.#stuckAppliers.has(id);
    return isUp && (raft.hasReady() || canWrite || canApply);
  }

  #work(member: TestMember): void {
    if (!member.isUp) return;
    if (member.raft.hasReady()) this.#waiting.push(...member.handleReady());
    while (member.appendWork.length > 0 && !this.#stuckDisks.has(member.id)) {
      this.#waiting.push(...member.writeNext());
    }
    while (member.applyWork.length > 0 && !this.#stuckAppliers.has(member.id)) member.applyNext();
    this.#checker.observe(member);
  }

  #deliver(message: Message): void {
    const to = this.members.find((each) => each.id === message.to);
    const isCut = this.#cuts.has(`${message.from} ${message.to}`);
    const isLost = to === undefined || !to.isUp || isCut || this.#lost.includes(message.type);
    if (!isLost) {
      this.delivered.push(message);
      to.raft.step(message);
      this.#checker.observe(to);
    }
    if (!isSnapshotMessage(message)) return;
    this.member(message.from).raft.reportSnapshot(message.to, !isLost);
  }

  handledReady(member: TestMember, ready: Ready): void {
    this.#checker.handledReady(member, ready);
  }

  applied(member: TestMember, state: MachineState, entry: Entry): void {
    this.#checker.applied(member, state, entry);
    if (entry.type !== EntryType.normal || entry.data.length === 0) return;
    const texts = this.#texts.get(member.id) ?? [];
    this.#texts.set(member.id, [...texts, Buffer.from(entry.data).toString()]);
  }

  mayRead(member: TestMember, read: ReadState): void {
    this.#checker.mayRead(member, read);
    this.reads.push({ by: member.id, read });
  }
}
