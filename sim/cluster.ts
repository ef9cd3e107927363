// A whole cluster in one thread, from one seed: real members on simulated machines, clients, faults and checkers.
// First everything goes wrong that the seed has drawn; then all is healed, and the cluster has to lead, commit and
// agree within a stated time; then what the clients saw is judged.

import { Random } from "../src/base/random.ts";
import type { MemberReplica } from "../src/node/replica.ts";
import type { Message } from "../src/raft/message.ts";
import type { EventSeen, Report, Violation } from "./checkers/history.ts";
import { LeaseRules } from "./checkers/lease-rules.ts";
import { checkRegisters } from "./checkers/registers.ts";
import { checkRevisionOrder } from "./checkers/revision-order.ts";
import { checkWatch } from "./checkers/watch-order.ts";
import { Caller, History, KvClient, LeaseClient } from "./clients.ts";
import { Faults } from "./faults.ts";
import { Machine, type MachineOptions, type MachineParts } from "./machine.ts";
import { MembershipChanges } from "./membership-changes.ts";
import { digestOf, Observer } from "./observer.ts";
import { describeMessage } from "./raft/describe-message.ts";
import { Story } from "./story.ts";
import { WatchClient } from "./watchers.ts";
import { EventQueue } from "./world/event-queue.ts";
import { PeerNetwork } from "./world/peer-network.ts";
import { Turns } from "./world/turns.ts";

export interface ClusterSeedOptions {
  readonly isTold?: boolean;
  /** Makes every member of something else, for planted bugs. */
  readonly plant?: MachineParts["plant"];
  readonly filter?: (message: Message) => Message | undefined;
  readonly onOpened?: (machine: Machine, replica: MemberReplica) => void;
}

export interface ClusterSeedResult {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly story: Story;
  readonly counts: Record<string, number>;
  /** Differs when anything that a client saw differs. */
  readonly digest: string;
}

const safetyMs = 8000;
/** How long clients go on after everything is healed. */
const clientsMs = 1500;
/** Without faults, a cluster leads, commits, brings everybody up to date and ends its leases within this time. */
export const livenessMs = 20_000;
const watchPatienceMs = 5000;
/** Leases start anew with a new leader, with an election's time on top. */
const leaseGraceMs = 4000;

/** Runs one seed to its end, or to the first thing that must not be. */
export async function runClusterSeed(
  seed: number,
  options: ClusterSeedOptions = {},
): Promise<ClusterSeedResult> {
  const cluster = new Cluster(seed, options);
  await cluster.run();
  const { violation, story } = cluster;
  return { seed, violation, story, counts: cluster.counts(), digest: cluster.digest() };
}

class Cluster {
  readonly queue = new EventQueue();
  readonly story: Story;
  readonly machines: Machine[] = [];
  readonly history = new History();
  readonly leases: LeaseRules;
  readonly peers: PeerNetwork;
  violation: Violation | undefined;
  readonly #random: Random;
  readonly #turns = new Turns();
  readonly #observer: Observer;
  readonly #changes: MembershipChanges;
  readonly #faults: Faults;
  readonly #clients: (KvClient | LeaseClient)[] = [];
  readonly #watchers: WatchClient[] = [];
  readonly #report = (violation: Violation): void => {
    this.violation ??= violation;
    this.story.note("checker", () => `${violation.property}: ${violation.text}`);
  };

  constructor(seed: number, { isTold = false, plant, filter, onOpened }: ClusterSeedOptions) {
    this.#random = new Random(seed);
    const random = this.#random;
    this.story = new Story(isTold, () => this.queue.nowMs);
    this.leases = new LeaseRules(this.#report);
    this.#observer = new Observer(this.#report, this.leases, () => this.queue.nowMs);
    this.peers = new PeerNetwork(this.queue, random.fork());
    if (filter) this.peers.filter = filter;
    this.peers.onMessage = (message, fate) => {
      this.#observer.noteMessage(message);
      this.story.note("network", () => describeMessage(message, fate));
    };
    const options = drawOptions(random);
    const founders = random.pick([1, 3, 3, 3, 3, 5]);
    const named = Array.from({ length: founders }, (_, i) => ({
      name: `m${i + 1}`,
      peerUrls: [`http://m${i + 1}:2380`],
    }));
    for (let i = 1; i <= founders + 1; i++) {
      const parts: MachineParts = {
        ...this,
        random: random.fork(),
        onBug: (machine, error) => this.#onBug(machine, error),
        ...(plant ? { plant } : {}),
        ...(onOpened ? { onOpened } : {}),
      };
      const machine = new Machine(`m${i}`, options, parts, named);
      this.machines.push(machine);
      this.peers.attach(machine);
    }
    this.#changes = new MembershipChanges(this, random.fork());
    this.#addClients(random, founders);
    this.#faults = new Faults({ ...this, changes: this.#changes }, random.fork());
  }

  async run(): Promise<void> {
    this.#turns.install();
    try {
      for (const machine of this.machines.slice(0, -1)) machine.start();
      await this.#turns.settle();
      await this.#runUntil(safetyMs);
      if (!this.violation) await this.#live();
      if (!this.violation) this.#judge();
    } finally {
      for (const machine of this.machines) machine.life.end();
      this.#turns.restore();
    }
  }

  counts(): Record<string, number> {
    const { calls } = this.history;
    const of = (kind: string) => calls.filter(({ outcome }) => outcome.kind === kind).length;
    return {
      calls: calls.length,
      ok: of("ok"),
      refused: of("refused"),
      unknown: of("unknown"),
      revisions: this.#observer.state.lastRevision,
      terms: this.#observer.elections.terms,
      starts: this.machines.reduce((sum, { starts }) => sum + starts, 0),
      membershipChanges: this.#changes.done,
      snapshots: this.machines.reduce(
        (sum, { replica }) => sum + (replica?.metrics.snapshotsInstalled.value ?? 0),
        0,
      ),
      turns: this.#turns.taken,
    };
  }

  digest(): string {
    const { calls } = this.history;
    let hash = 0x811c_9dc5;
    const text = JSON.stringify(calls, (_, value) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
    return `${calls.length}-${(hash >>> 0).toString(16)}-${this.queue.nowMs}`;
  }

  #addClients(random: Random, founders: number): void {
    // Clients begin with the founders.
    const world = { ...this, machines: this.machines.slice(0, founders) };
    for (let i = 0; i < random.between(2, 4); i++) {
      this.#clients.push(new KvClient(`c${i}`, world, random.fork()));
    }
    for (let i = 0; i < random.below(3); i++) {
      this.#clients.push(new LeaseClient(i + 1, world, random.fork()));
    }
    const all = { key: "\0", rangeEnd: "\0" };
    const some = { key: "t", rangeEnd: "u" };
    this.#watchers.push(new WatchClient("w0", this, random.fork(), all));
    this.#watchers.push(new WatchClient("w1", this, random.fork(), some));
  }

  #onBug(machine: Machine, error: Error): void {
    this.#report({
      property: "assertion",
      text: `${machine.name}: ${error.stack ?? error.message}`,
    });
  }

  async #runUntil(limitMs: number): Promise<void> {
    while (this.violation === undefined && this.queue.runNext(limitMs)) {
      await this.#turns.settle();
      for (const machine of this.machines) {
        this.#observer.look(machine);
        if (machine.disk.crashed) {
          machine.crash(true);
          this.queue.schedule(this.#random.float() * 2000, () => machine.start());
        }
      }
    }
  }

  /** Heals everything and gives the cluster its time to be well again. */
  async #live(): Promise<void> {
    this.#faults.heal();
    const healedMs = this.queue.nowMs;
    const endMs = healedMs + livenessMs;
    await this.#runUntil(healedMs + clientsMs);
    for (const client of this.#clients) client.stop();
    // Calls under way end, or are given up.
    while (this.violation === undefined && this.history.open > 0) {
      await this.#runUntil(this.queue.nowMs + 100);
    }
    let what = "";
    while (this.violation === undefined && this.queue.nowMs < endMs) {
      what = await this.#whatIsMissing();
      if (what === "") break;
      await this.#runUntil(this.queue.nowMs + 500);
    }
    if (this.violation === undefined && what !== "") {
      this.#report({
        property: "progress",
        text: `${livenessMs} ms after everything was healed: ${what}; ${this.#describeMembers()}`,
      });
    }
    if (this.violation === undefined) await this.#awaitLeases(this.queue.nowMs);
    // Watches are told the last changes; those that are slow get some time.
    const patienceMs = this.queue.nowMs + watchPatienceMs;
    while (this.violation === undefined && this.queue.nowMs < patienceMs) {
      await this.#runUntil(this.queue.nowMs + 300);
      let isLevel = true;
      this.#checkWatches(() => {
        isLevel = false;
      });
      if (isLevel) break;
    }
  }

  /** Nobody keeps any alive any more: they end in time. */
  async #awaitLeases(quietSinceMs: number): Promise<void> {
    for (;;) {
      const held = this.#leader()?.lessor.leases() ?? [];
      this.leases.checkEnded(held, this.queue.nowMs, quietSinceMs, leaseGraceMs);
      if (held.length === 0 || this.violation !== undefined) return;
      await this.#runUntil(this.queue.nowMs + 200);
    }
  }

  /** What a healed cluster still lacks; nothing when it is well. */
  async #whatIsMissing(): Promise<string> {
    for (const machine of this.machines) {
      if (machine.hasBegun && !machine.isDamaged) machine.start();
    }
    const leader = this.#leader();
    if (leader === undefined) {
      // Whoever was added may be the voter that is missing.
      for (const { replica } of this.machines) {
        const knows = replica?.members().some(({ ID }) => ID === replica.memberId);
        if (replica && knows) this.#changes.startMissing(replica);
      }
      return "there is no leader";
    }
    const damaged = this.machines.find(({ isDamaged, state }) => isDamaged && state === "down");
    if (damaged) {
      this.#changes.replace(leader, damaged);
      return `${damaged.name} is damaged and not replaced`;
    }
    this.#changes.startMissing(leader);
    const members = leader.members();
    for (const { peerURLs, ID } of members) {
      const machine = this.machines.find(({ url }) => peerURLs.includes(url));
      const { replica } = machine ?? {};
      if (machine === undefined || replica?.memberId !== ID) {
        return `member ${ID.toString(16)} does not run${machine?.failure ? `: ${machine.failure.message}` : ""}`;
      }
      const outcome = await this.#probe(machine);
      if (outcome !== "ok") return `a put at ${machine.name} is ${outcome}`;
    }
    const indexes = members.map(
      ({ peerURLs }) =>
        this.machines.find(({ url }) => peerURLs.includes(url))?.replica?.appliedIndex ?? 0,
    );
    return new Set(indexes).size === 1 ? "" : `applied are ${indexes.join()}`;
  }

  async #probe(machine: Machine): Promise<string> {
    const caller = new Caller("probe", this, this.#random);
    caller.machine = machine;
    let outcome = "";
    const value = `probe-${this.history.calls.length}`;
    const put = { kind: "put", key: "p", value, lease: 0n } as const;
    caller.call({ kind: "write", compares: [], success: [put], failure: [] }, (result) => {
      outcome = result.kind;
    });
    while (outcome === "" && this.violation === undefined) {
      await this.#runUntil(this.queue.nowMs + 50);
    }
    return outcome;
  }

  #leader(): MemberReplica | undefined {
    let best: MemberReplica | undefined;
    for (const { replica } of this.machines) {
      if (replica?.isLeader && replica.raftTerm > (best?.raftTerm ?? 0)) best = replica;
    }
    return best;
  }

  #judge(): void {
    const { changes, lastRevision } = this.#observer.state;
    const { calls } = this.history;
    checkRevisionOrder({ changes, lastRevision, calls, isLeaseEnd }, this.#report);
    checkRegisters(calls, this.#report);
    const members = new Set(
      this.#leader()
        ?.members()
        .map(({ ID }) => ID),
    );
    const running = this.machines.filter(({ replica }) => replica && members.has(replica.memberId));
    this.#checkWatches(this.#report);
    for (const machine of running) this.#checkVoters(machine.replica as MemberReplica);
    const hashes = running.map(({ replica }) => hashOf(replica as MemberReplica));
    if (new Set(hashes).size > 1) {
      this.#report({
        property: "equal state",
        text: `in the end, hashes are ${hashes.join(" / ")}`,
      });
    }
  }

  #checkWatches(report: Report): void {
    const { changes, lastRevision } = this.#observer.state;
    for (const watcher of this.#watchers) checkWatch(watcher.seen(lastRevision), changes, report);
  }

  /** The core counts the votes of just those who are members and no learners. */
  #checkVoters(replica: MemberReplica): void {
    const { voters, votersOutgoing } = replica.raftStatus().confState;
    const names = (ids: readonly bigint[]) =>
      [...ids]
        .map((id) => id.toString(16))
        .sort()
        .join();
    const members = replica.members().filter(({ isLearner }) => !isLearner);
    const expected = names(members.map(({ ID }) => ID));
    if (names(voters) === expected && votersOutgoing.length === 0) return;
    const text = `${replica.memberId.toString(16)} counts the votes of ${names(voters)}, members are ${expected}`;
    this.#report({ property: "voters are members", text });
  }

  #describeMembers(): string {
    return this.machines
      .map(({ name, state, replica, failure }) => {
        if (!replica) return `${name} ${state}${failure ? ` (${failure.message})` : ""}`;
        const { role, term, commit, applied, confState } = replica.raftStatus();
        return `${name} ${replica.memberId.toString(16)} ${role} of term ${term}, commit ${commit}, applied ${applied}, voters ${confState.voters.map((id) => id.toString(16)).join()}`;
      })
      .join("; ");
  }
}

function drawOptions(random: Random): MachineOptions {
  return {
    clusterToken: "simulation",
    forceNewCluster: false,
    heartbeatMs: 100,
    electionTimeoutMs: random.pick([500, 1000]),
    preVote: random.chance(0.8),
    strictReconfig: random.chance(0.7),
    maxLearners: random.pick([1, 2]),
    keptEntries: random.pick([5, 30, 5000]),
    keptBytes: random.pick([2000, 32 * 1024 * 1024]),
    leaseCheckpointIntervalMs: random.pick([500, 300_000]),
    maxRequestBytes: 1024 * 1024,
    maxPendingProposals: random.pick([5, 1000]),
    maxPendingBytes: 16 * 1024 * 1024,
    requestTimeoutMs: 3000,
    quotaBytes: 1024 * 1024 * 1024,
    flushIntervalMs: 100,
    flushChanges: random.pick([1, 10, 1000]),
    flushDelayMs: random.pick([0, 300, 1000]),
    flushBytes: random.pick([500, 1024 * 1024]),
    snapshotEntries: random.pick([3, 20, 1000]),
    compactionSleepMs: 10,
    walSegmentBytes: random.pick([8 * 1024, 64 * 1024]),
  };
}

/** The end of a lease deletes its one key, in the simulation. */
function isLeaseEnd(events: readonly EventSeen[]): boolean {
  return events.length === 1 && events[0]?.type === "delete" && events[0].key.startsWith("l");
}

function hashOf(replica: MemberReplica): string {
  const hash = replica.store.hashKv(0);
  return `${"error" in hash ? hash.error : hash.hash} ${digestOf(replica)}`;
}
