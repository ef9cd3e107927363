// A group under a random schedule. Any step of any member may come next, any message may be late, doubled,
// lost or overtaken, any process may crash between two steps. Nothing here knows of time: members tick at
// wholly different rates. A seed decides everything.

import { assert } from "../../base/assert.ts";
import { Random } from "../../base/random.ts";
import { ConfChange, ConfChangeV2 } from "../../wire/generated/raft.ts";
import { allVoters, applyChange, emptyConfState } from "../confchange/changer.ts";
import { decodeMembershipChange } from "../confchange/conf-change.ts";
import type { ConfState, Message } from "../message.ts";
import { EntryType, type Proposal } from "../types.ts";
import { SafetyChecker } from "./safety-checker.ts";
import { configOf, isSnapshotMessage, type MemberSettings, TestMember } from "./test-member.ts";

/** Beyond this the network loses what is sent. */
const maxInFlight = 400;
const maxFairRounds = 2_000;

export class Chaos {
  readonly members: readonly TestMember[];
  readonly checker = new SafetyChecker();
  readonly #random: Random;
  #network: Message[] = [];
  /** Else who reached a higher term alone, and is no voter any more, does not listen to the leader again. */
  readonly #isFreedFromHighTerms: boolean;
  /** For how many steps a kind of weather lasts, on average. */
  readonly #weatherSteps: number;
  #lossRate = 0;
  #crashRate = 0;
  readonly #slowDisks = new Set<bigint>();
  readonly #slowAppliers = new Set<bigint>();
  /** Who hears whom: members of the same part. */
  #part = new Map<bigint, number>();
  #proposed = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#weatherSteps = this.#random.pick([300, 1_500, 4_000]);
    const settings = this.#settings();
    this.#isFreedFromHighTerms = settings.preVote === true || settings.checkQuorum === true;
    const ids = [1n, 2n, 3n, 4n, 5n];
    const voters = ids.slice(0, this.#random.pick([1, 3, 3, 4, 5]));
    const founders = configOf(voters, ids.slice(voters.length, voters.length + 1));
    this.members = ids.map((id) => {
      const config = [...voters, ...founders.learners].includes(id) ? founders : emptyConfState;
      return new TestMember(id, config, settings, this.checker, seed);
    });
  }

  #settings(): MemberSettings {
    const random = this.#random;
    return {
      electionTick: random.between(3, 6),
      preVote: random.chance(0.5),
      checkQuorum: random.chance(0.5),
      stepDownOnRemoval: random.chance(0.5),
      asyncStorageWrites: random.chance(0.7),
      maxInflightMsgs: random.pick([1, 2, 4, 64]),
      maxSizePerMsg: random.pick([0, 30, 200, Number.POSITIVE_INFINITY]),
      maxCommittedSizePerReady: random.pick([1, 40, Number.POSITIVE_INFINITY]),
      maxUncommittedEntriesSize: random.pick([60, Number.POSITIVE_INFINITY]),
    };
  }

  /** Random steps, more and less wild by turns. */
  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      if (this.#random.chance(1 / this.#weatherSteps)) this.#changeWeather();
      this.#step();
    }
  }

  /** No more faults: everybody gets together and a new proposal is applied everywhere. */
  heal(): void {
    this.#lossRate = 0;
    this.#part.clear();
    this.#slowDisks.clear();
    this.#slowAppliers.clear();
    for (const member of this.members) if (!member.isUp) this.#restart(member);
    for (let round = 0; round < maxFairRounds; round++) {
      if (round % 200 === 0) this.#propose(this.#leader() ?? this.#random.pick(this.members));
      this.#fairRound();
      if (this.#isTogether()) return;
    }
    assert(!this.#isFreedFromHighTerms, `the group does not recover: ${this.describe()}`);
  }

  describe(): string {
    return this.members
      .map(({ id, raft, state }) => {
        const { voters, votersOutgoing, learners } = raft.status().confState;
        const config = [voters, votersOutgoing, learners].join("|");
        return `${id} ${raft.role} term ${raft.term} commit ${raft.commit} applied ${state.index} of ${raft.lastIndex} config ${config}`;
      })
      .join("; ");
  }

  /** Calm at times: a group that is never let alone elects and commits next to nothing. */
  #changeWeather(): void {
    const random = this.#random;
    const isStormy = random.chance(0.6);
    this.#lossRate = isStormy ? random.pick([0, 0.02, 0.1, 0.4]) : 0;
    this.#crashRate = isStormy ? random.pick([0, 0.002, 0.01]) : 0;
    this.#part.clear();
    this.#slowDisks.clear();
    this.#slowAppliers.clear();
    if (!isStormy) return;
    const isDivided = random.chance(0.6);
    for (const { id, raft } of this.members) {
      // Most go on without the leader, which may not notice.
      const isLeader = raft.role === "leader";
      if (isDivided) this.#part.set(id, isLeader || random.chance(0.35) ? 1 : 0);
      if (random.chance(0.2)) this.#slowDisks.add(id);
      if (random.chance(0.2)) this.#slowAppliers.add(id);
    }
  }

  #step(): void {
    const random = this.#random;
    const member = random.pick(this.members);
    if (!member.isUp) {
      if (random.chance(0.05)) this.#restart(member);
      return;
    }
    if (random.chance(this.#crashRate)) {
      member.crash();
      return;
    }
    const dice = random.below(1000);
    if (dice < 350) this.#deliverSome(random.between(1, 4));
    else if (dice < 720) this.#work(member);
    else if (dice < 830) member.raft.tick();
    else if (dice < 900) this.#propose(random.chance(0.5) ? (this.#leader() ?? member) : member);
    else if (dice < 940) this.#read(member);
    else if (dice < 965) this.#proposeConfChange(this.#leader() ?? member);
    else if (dice < 970) member.raft.transferLeader(random.pick(this.members).id);
    else if (dice < 980) member.compact();
    else if (dice < 982) member.raft.campaign();
    else if (dice < 984) member.raft.forgetLeader();
    this.checker.observe(member);
  }

  /** One of the things that a member has to do. */
  #work(member: TestMember): void {
    const { id, raft, appendWork, applyWork } = member;
    const isWorkedOff = (slow: ReadonlySet<bigint>) => !slow.has(id) || this.#random.chance(0.03);
    const tasks: (() => void)[] = [];
    if (raft.hasReady()) tasks.push(() => this.#send(member.handleReady()));
    if (appendWork.length > 0 && isWorkedOff(this.#slowDisks))
      tasks.push(() => this.#send(member.writeNext()));
    if (applyWork.length > 0 && isWorkedOff(this.#slowAppliers))
      tasks.push(() => member.applyNext());
    if (tasks.length === 0) return;
    this.#random.pick(tasks)();
    this.checker.observe(member);
  }

  #fairRound(): void {
    for (const member of this.members) {
      if (this.#random.chance(0.5)) member.raft.tick();
      this.checker.observe(member);
      for (let i = 0; i < 9; i++) this.#work(member);
    }
    this.#deliverSome(this.#network.length);
  }

  #deliverSome(count: number): void {
    for (let i = 0; i < count && this.#network.length > 0; i++) {
      // Mostly in order, with some that are overtaken.
      const reach = this.#random.chance(0.8) ? 1 : Math.min(this.#network.length, 40);
      const at = this.#random.below(reach);
      const message = this.#network[at] as Message;
      if (!this.#random.chance(this.#lossRate / 2)) this.#network.splice(at, 1);
      this.#deliver(message);
    }
  }

  #deliver(message: Message): void {
    const to = this.#find(message.to);
    const from = this.#find(message.from);
    const isHeard = this.#part.get(to.id) === this.#part.get(from.id);
    const isLost = !to.isUp || !isHeard || this.#random.chance(this.#lossRate);
    if (!isLost) {
      to.raft.step(message);
      this.checker.observe(to);
    }
    if (!from.isUp) return;
    // A snapshot's fate is always reported, a lost message only now and then.
    if (isSnapshotMessage(message)) from.raft.reportSnapshot(to.id, !isLost);
    else if (isLost && this.#random.chance(0.3)) from.raft.reportUnreachable(to.id);
    this.checker.observe(from);
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.#network.length < maxInFlight) this.#network.push(message);
      else if (isSnapshotMessage(message)) {
        this.#find(message.from).raft.reportSnapshot(message.to, false);
      }
    }
  }

  #propose(member: TestMember): void {
    const count = this.#random.between(1, 3);
    const proposals = Array.from({ length: count }, () => ({
      type: EntryType.normal,
      data: Buffer.from(`${++this.#proposed}`.padEnd(this.#random.pick([1, 1, 30]), ".")),
    }));
    member.raft.propose(proposals);
  }

  #read(member: TestMember): void {
    const context = this.#random.bytes(8);
    this.checker.askedToRead(context);
    member.raft.readIndex(context);
  }

  #proposeConfChange(member: TestMember): void {
    const random = this.#random;
    const change = () => ({
      type: random.pick([0, 0, 1, 3] as const),
      nodeId: random.pick(this.members).id,
    });
    let proposal: Proposal;
    if (random.chance(0.5)) {
      const data = ConfChange.encode(ConfChange.create(change())).finish();
      proposal = { type: EntryType.confChange, data };
    } else {
      const transition = random.pick([0, 0, 1, 2] as const);
      const changes = Array.from({ length: random.between(0, 3) }, change);
      const data = ConfChangeV2.encode(ConfChangeV2.create({ transition, changes })).finish();
      proposal = { type: EntryType.confChangeV2, data };
    }
    if (canSurvive(member.raft.confState, proposal)) member.raft.proposeConfChange(proposal);
  }

  #restart(member: TestMember): void {
    member.restart();
    this.checker.restarted(member);
  }

  #leader(): TestMember | undefined {
    const leaders = this.members.filter(({ raft, isUp }) => isUp && raft.role === "leader");
    return leaders.sort((a, b) => b.raft.term - a.raft.term)[0];
  }

  /** Everyone in the configuration has applied the same, and the last of it is of the leader's term. */
  #isTogether(): boolean {
    const leader = this.#leader();
    if (leader === undefined || leader.state.term !== leader.raft.term) return false;
    const { voters, votersOutgoing, learners } = leader.raft.confState;
    const all = [...voters, ...votersOutgoing, ...learners];
    const isSame = ({ state }: TestMember) =>
      state.index === leader.state.index && state.hash === leader.state.hash;
    const isJoint = votersOutgoing.length > 0 && leader.raft.confState.autoLeave;
    return (
      !isJoint &&
      leader.raft.lastIndex === leader.state.index &&
      all.every((id) => isSame(this.#find(id)))
    );
  }

  #find(id: bigint): TestMember {
    const member = this.members[Number(id) - 1];
    assert(member !== undefined, `there is no member ${id}`);
    return member;
  }
}

/**
 * Whether the group can be counted on to elect a leader after this change. A configuration counts only for
 * who has applied it, so that a removed voter with the longest log can deny its vote for ever to those who
 * still need it. Not if those who stay are a majority before and after.
 */
function canSurvive(before: ConfState, { type, data }: Proposal): boolean {
  const result = applyChange(before, decodeMembershipChange(type, data));
  if ("refused" in result) return true;
  const old = allVoters(before);
  const { voters } = result.config;
  const kept = old.filter((id) => voters.includes(id)).length;
  return kept === old.length || (kept * 2 > old.length && kept * 2 > voters.length);
}
