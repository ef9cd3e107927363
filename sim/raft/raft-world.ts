// A group of bare raft cores in one thread, driven by a seed: disks that tear, a network that fails, members that
// crash, stop and change. Figure 3's properties are checked all the while; in the end everything is healed and the
// group has to make progress.

import { Random } from "../../src/base/random.ts";
import { type Message, MessageType, type Snapshot } from "../../src/raft/message.ts";
import { type Entry, EntryType } from "../../src/raft/types.ts";
import { ConfChange, ConfChangeTransition, ConfChangeV2 } from "../../src/wire/generated/raft.ts";
import type { Violation } from "../checkers/history.ts";
import { CommittedLog, ElectionSafety, LogMatching } from "../checkers/raft-properties.ts";
import { Story } from "../story.ts";
import { EventQueue } from "../world/event-queue.ts";
import { Network } from "../world/network.ts";
import { describeMessage } from "./describe-message.ts";
import { RaftFaults } from "./raft-faults.ts";
import {
  contentOf,
  isMembershipEntry,
  RaftMember,
  type RaftMemberOptions,
  type RaftMemberWorld,
} from "./raft-member.ts";

export type RaftMemberClass = new (
  ...values: ConstructorParameters<typeof RaftMember>
) => RaftMember;

export interface RaftSeedOptions {
  readonly isTold?: boolean;
  /** A member with a bug in it. */
  readonly memberClass?: RaftMemberClass;
}

export interface RaftSeedResult {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly story: Story;
  readonly counts: RaftCounts;
}

export interface RaftCounts {
  leaders: number;
  committed: number;
  crashes: number;
  snapshots: number;
  reads: number;
  membershipChanges: number;
  transfers: number;
}

const safetyMs = 15_000;
/** Without faults, a group elects and commits within this time. */
export const livenessMs = 15_000;

interface PendingRead {
  readonly member: RaftMember;
  /** What was applied anywhere when it was asked. */
  readonly atLeast: number;
}

/** Runs one seed to its end, or to the first thing that must not be. */
export function runRaftSeed(seed: number, options: RaftSeedOptions = {}): RaftSeedResult {
  const world = new RaftWorld(seed, options);
  world.run();
  const { violation, story, counts } = world;
  return { seed, violation, story, counts };
}

class RaftWorld implements RaftMemberWorld {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly story: Story;
  readonly counts: RaftCounts = {
    leaders: 0,
    committed: 0,
    crashes: 0,
    snapshots: 0,
    reads: 0,
    membershipChanges: 0,
    transfers: 0,
  };
  violation: Violation | undefined;
  readonly network: Network<bigint, Message>;
  readonly members = new Map<bigint, RaftMember>();
  readonly #memberClass: RaftMemberClass;
  readonly #common: Omit<RaftMemberOptions, "id">;
  readonly #report = (violation: Violation): void => {
    this.violation ??= violation;
  };
  readonly #elections = new ElectionSafety(this.#report);
  readonly #matching = new LogMatching(this.#report);
  readonly #committed = new CommittedLog(this.#report);
  readonly #ledTerms = new Map<bigint, number>();
  readonly #reads = new Map<string, PendingRead>();
  readonly #states = new Map<number, string>();
  /** A leader that removes itself can leave others behind who still need its vote: safe, but not live. */
  readonly #leadersMayGo: boolean;
  readonly #faults: RaftFaults;
  #proposals = 0;
  #isHealed = false;

  constructor(seed: number, { isTold = false, memberClass = RaftMember }: RaftSeedOptions) {
    this.random = new Random(seed);
    const { random } = this;
    this.story = new Story(isTold, () => this.queue.nowMs);
    this.#memberClass = memberClass;
    this.network = new Network(this.queue, random.fork());
    const modern = random.chance(0.7);
    this.#common = {
      electionTick: random.pick([5, 10]),
      heartbeatTick: random.pick([1, 1, 2]),
      maxSizePerMsg: random.pick([0, 60, 1024 * 1024]),
      maxCommittedSizePerReady: random.pick([1, 100, 1024 * 1024]),
      maxInflightMsgs: random.pick([1, 2, 8, 256]),
      maxUncommittedEntriesSize: random.pick([0, 0, 200]),
      checkQuorum: modern || random.chance(0.5),
      preVote: modern || random.chance(0.5),
      tickMs: 50,
      snapshotEntries: random.pick([4, 20, 10_000]),
      stepDownOnRemoval: random.chance(0.5),
    };
    this.#leadersMayGo = random.chance(0.3);
    const isStormy = random.chance(0.35);
    const sizes = isStormy ? [3, 5, 5] : [1, 2, 3, 3, 3, 5];
    const founders = Array.from({ length: random.pick(sizes) }, (_, i) => BigInt(i + 1));
    for (const id of founders) this.#addMember(id, founders);
    this.#faults = new RaftFaults(this, isStormy);
  }

  run(): void {
    for (const member of this.members.values()) member.drain();
    this.#scheduleWork();
    this.#faults.schedule();
    if (!this.#runUntil(safetyMs)) return;
    this.#isHealed = true;
    this.#faults.heal();
    const { checkQuorum, preVote } = this.#common;
    // Without either, nobody tells a leader of an earlier term that others have gone on.
    if ((checkQuorum || preVote) && !this.#leadersMayGo) this.#checkLiveness();
    else this.#runUntil(safetyMs + 2000);
  }

  diskMs(): number {
    return 0.1 + this.random.float() * this.#faults.diskMaxMs;
  }

  transmit(message: Message): void {
    this.#noteMessage(message);
    const sent = this.network.send(message.from, message.to, message);
    this.story.note(`m${message.from}`, () => describeMessage(message, sent));
    if (sent === "cut" && this.random.chance(0.3)) {
      this.members.get(message.from)?.input((node) => node.reportUnreachable(message.to));
    }
    if (message.type === MessageType.snap) this.#reportSnapshot(message, sent === "sent");
    this.#faults.strikeSender(message);
  }

  onApplied(member: RaftMember, entry: Entry): void {
    this.counts.committed = Math.max(this.counts.committed, entry.index);
    if (entry.index > this.#committed.lastIndex && isMembershipEntry(entry)) {
      this.counts.membershipChanges++;
    }
    const { name, node } = member;
    this.#committed.noteApplied(entry.index, entry.term, contentOf(entry), name, node.term);
    this.story.note(
      member.name,
      () => `applies ${entry.index} of term ${entry.term}: ${textOf(entry)}`,
    );
  }

  onSnapshotApplied(member: RaftMember, { metadata }: Snapshot): void {
    this.counts.snapshots++;
    this.story.note(member.name, () => `continues from snapshot ${metadata.index}`);
  }

  onReadState(member: RaftMember, context: string, index: number): void {
    const read = this.#reads.get(context);
    if (read === undefined || read.member !== member) return;
    this.#reads.delete(context);
    this.counts.reads++;
    if (index >= read.atLeast) return;
    this.#report({
      property: "stale read",
      text: `${member.name} may read at ${index}, though ${read.atLeast} was applied before it asked`,
    });
  }

  onFailure(member: RaftMember, error: Error): void {
    this.#report({
      property: "assertion",
      text: `${member.name}: ${error.stack ?? error.message}`,
    });
  }

  afterStep(member: RaftMember): void {
    const { node, appliedIndex, state } = member;
    if (node.role === "leader" && this.#ledTerms.get(member.id) !== node.term) {
      this.#ledTerms.set(member.id, node.term);
      this.counts.leaders++;
      this.story.note(member.name, () => `leads in term ${node.term}`);
      this.#elections.noteLeader(node.term, member.name);
      this.#checkLeader(member);
    }
    const known = this.#states.get(appliedIndex);
    if (known === undefined) this.#states.set(appliedIndex, state);
    else if (known !== state) {
      this.#report({
        property: "equal state",
        text: `after entry ${appliedIndex}, ${member.name} is not in the state of others`,
      });
    }
  }

  #checkLeader(member: RaftMember): void {
    const { storage, node } = member;
    this.#committed.checkLeader(member.name, node.term, {
      firstIndex: storage.firstIndex(),
      // A leader's log may reach further than its disk.
      lastIndex: Math.min(storage.lastIndex(), node.lastIndex),
      termAt: (index) => storage.term(index),
    });
  }

  #runUntil(limitMs: number): boolean {
    while (this.queue.runNext(limitMs)) if (this.violation) return false;
    return this.violation === undefined;
  }

  #addMember(id: bigint, founders: readonly bigint[]): RaftMember {
    const member = new this.#memberClass({ ...this.#common, id }, this, founders);
    this.members.set(id, member);
    this.network.attach(id, (message) => {
      if (member.isRunning) this.story.note(member.name, () => describeMessage(message, "arrived"));
      member.receive(message);
    });
    return member;
  }

  /** What is in a message shows what its sender holds. */
  #noteMessage(message: Message): void {
    if (message.type !== MessageType.app) return;
    let previousTerm = message.logTerm;
    for (const entry of message.entries) {
      const name = `m${message.from}`;
      this.#matching.noteEntry(entry.index, entry.term, previousTerm, contentOf(entry), name);
      previousTerm = entry.term;
    }
  }

  #reportSnapshot(message: Message, isSent: boolean): void {
    const sender = this.members.get(message.from);
    this.queue.schedule(this.random.between(1, 100), () =>
      sender?.input((node) => node.reportSnapshot(message.to, isSent && this.random.chance(0.9))),
    );
  }

  #scheduleWork(): void {
    this.queue.schedule(this.random.float() * 60, () => {
      if (this.#isHealed) return;
      this.#work();
      this.#scheduleWork();
    });
  }

  #work(): void {
    const { random } = this;
    const all = [...this.members.values()];
    // Often at somebody who believes to lead, rightly or not.
    const leaders = all.filter(({ isRunning, node }) => isRunning && node.role === "leader");
    const member = random.pick(leaders.length > 0 && random.chance(0.4) ? leaders : all);
    const dice = random.float();
    if (dice < 0.6) this.#propose(member);
    else if (dice < 0.9) this.#read(member);
    else if (dice < 0.96) this.#changeMembers();
    else {
      const to = random.pick([...this.members.keys()]);
      this.counts.transfers++;
      this.story.note("world", () => `asks ${member.name} to hand over to m${to}`);
      member.input((node) => node.transferLeader(to));
    }
  }

  #propose(member: RaftMember): void {
    const count = this.random.pick([1, 1, 1, 5]);
    const proposals = Array.from({ length: count }, () => ({
      type: EntryType.normal,
      data: Buffer.from(`p${this.#proposals++}`),
    }));
    member.input((node) => {
      this.story.note(
        member.name,
        () => `is asked for ${proposals.map(({ data }) => data).join()}`,
      );
      node.propose(proposals);
    });
  }

  #read(member: RaftMember): void {
    const context = `r${this.#reads.size}-${this.queue.nowMs}-${member.id}`;
    member.input((node) => {
      this.#reads.set(context, { member, atLeast: this.#committed.lastIndex });
      this.story.note(
        member.name,
        () => `is asked to read, at ${this.#committed.lastIndex} or later`,
      );
      node.readIndex(Buffer.from(context));
    });
  }

  /** Also changes that make no sense now: the core must see to it that no harm comes of them. */
  #changeMembers(): void {
    const { random } = this;
    const leader = [...this.members.values()].find((m) => m.isRunning && m.node.role === "leader");
    if (leader === undefined) return;
    const { voters, learners } = leader.node.confState;
    const id = BigInt(random.between(1, 6));
    const kinds = [
      ...(voters.includes(id) || learners.includes(id) ? [] : [0, 3]),
      ...(learners.includes(id) ? [0, 1] : []),
      ...(voters.includes(id) && voters.length > 1 ? [1, 3] : []),
    ];
    if (kinds.length === 0 || (id === leader.id && !this.#leadersMayGo)) return;
    const type = random.pick(kinds);
    if (!this.members.has(id)) this.#addMember(id, []);
    this.story.note("world", () => `asks ${leader.name} for change ${type} of m${id}`);
    const others = voters.filter(
      (voter) => voter !== id && (voter !== leader.id || this.#leadersMayGo),
    );
    const isJoint = random.chance(0.3) && others.length > 1;
    leader.input((node) => {
      if (!isJoint) {
        const data = ConfChange.encode({ type: type as never, nodeId: id }).finish();
        node.proposeConfChange({ type: EntryType.confChange, data });
        return;
      }
      const swapped = { type: random.pick([1, 3]) as never, nodeId: random.pick(others) };
      const transition = random.pick([
        ConfChangeTransition.ConfChangeTransitionAuto,
        ConfChangeTransition.ConfChangeTransitionJointImplicit,
      ]);
      const changes = [{ type: type as never, nodeId: id }, swapped];
      const data = ConfChangeV2.encode(ConfChangeV2.fromPartial({ transition, changes })).finish();
      node.proposeConfChange({ type: EntryType.confChangeV2, data });
    });
  }

  #checkLiveness(): void {
    const endMs = safetyMs + livenessMs;
    const text = "alive";
    while (this.queue.nowMs < endMs) {
      const limitMs = this.queue.nowMs + 500;
      if (!this.#runUntil(limitMs)) return;
      const leader = this.leader();
      if (leader === undefined) continue;
      const { voters, learners } = leader.confState;
      const isLevel = [...voters, ...learners].every(
        (id) => (this.members.get(id)?.appliedIndex ?? 0) >= leader.appliedIndex,
      );
      const hasSaidSo = this.#committed.lastIndex > 0 && leader.appliedTerm === leader.node.term;
      if (isLevel && hasSaidSo && leader.node.commit === leader.node.lastIndex) return;
      leader.input((node) => node.propose([{ type: EntryType.normal, data: Buffer.from(text) }]));
      // The last proposal of this round is given time.
      if (!this.#runUntil(this.queue.nowMs + 300)) return;
    }
    if (this.#isHeldByWhoLeft()) return;
    this.#report({
      property: "progress",
      text: `${livenessMs} ms after everything was healed: ${this.#describeMembers()}`,
    });
  }

  /**
   * A leader that leaves the voters and stops before the rest know: they still need its vote, and its longer log
   * refuses it. Raft as etcd has it is stuck then, for lack of a quorum rather than of safety.
   */
  #isHeldByWhoLeft(): boolean {
    const members = [...this.members.values()];
    return members.some(({ id, node, confState }) => {
      const { voters, votersOutgoing } = confState;
      if (voters.length === 0 || voters.includes(id) || votersOutgoing.includes(id)) return false;
      return voters.every(
        (voter) => (this.members.get(voter)?.node.lastIndex ?? 0) < node.lastIndex,
      );
    });
  }

  leader(): RaftMember | undefined {
    let best: RaftMember | undefined;
    for (const member of this.members.values()) {
      if (!member.isRunning || member.node.role !== "leader") continue;
      if (best === undefined || member.node.term > best.node.term) best = member;
    }
    return best;
  }

  #describeMembers(): string {
    return [...this.members.values()]
      .map(({ name, node, appliedIndex, confState }) => {
        const { role, term, commit, lastIndex } = node;
        return `${name} ${role} of term ${term}, log to ${lastIndex}, commit ${commit}, applied ${appliedIndex}, voters ${confState.voters.join()} learners ${confState.learners.join()}`;
      })
      .join("; ");
  }
}

function textOf(entry: Entry): string {
  return entry.type === EntryType.normal
    ? Buffer.from(entry.data).toString()
    : "a change of members";
}
