// Who changes the members of a simulated cluster while it runs: adds learners and voters on spare machines, promotes,
// removes, replaces, moves the leadership. One change at a time, as an operator would; refusals are no failure.

import type { Random } from "../src/base/random.ts";
import type { MemberReplica } from "../src/node/replica.ts";
import type { Machine } from "./machine.ts";
import type { Story } from "./story.ts";
import type { EventQueue } from "./world/event-queue.ts";

export interface MembershipWorld {
  readonly queue: EventQueue;
  readonly story: Story;
  readonly machines: readonly Machine[];
}

export class MembershipChanges {
  readonly #world: MembershipWorld;
  readonly #random: Random;
  #isBusy = false;
  done = 0;

  /** A change is under way, or may be. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  constructor(world: MembershipWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  moveLeader(): void {
    const leader = this.#leader();
    if (leader === undefined) return;
    const others = leader.members().filter(({ ID }) => ID !== leader.memberId);
    if (others.length === 0) return;
    const { ID, name } = this.#random.pick(others);
    this.#world.story.note("operator", () => `moves the leadership to ${name}`);
    this.#watch(leader.moveLeader(ID), () => {});
  }

  change(): void {
    const asked = this.#anyone();
    // Before the members have agreed on a version, none can join: as in etcd.
    if (this.#isBusy || asked === undefined || asked.clusterVersion === "") return;
    const damaged = this.#world.machines.find(({ isDamaged }) => isDamaged);
    if (damaged) {
      this.replace(asked, damaged);
      return;
    }
    const members = asked.members();
    const spare = this.#world.machines.filter(
      ({ url, state }) =>
        (state === "down" || state === "removed") && !members.some((m) => m.peerURLs.includes(url)),
    );
    const learners = members.filter(({ isLearner }) => isLearner);
    const dice = this.#random.float();
    if (learners.length > 0 && dice < 0.6) this.#promote(asked, learners[0]?.ID as bigint);
    else if (spare.length > 0 && members.length < 5 && dice < 0.7) {
      this.#add(asked, this.#random.pick(spare), this.#random.chance(0.7));
    } else if (members.length > 1) this.#remove(asked, this.#random.pick([...members]).ID);
  }

  /** Starts members that have not begun: whoever added them did not hear of it, or others were added meanwhile. */
  startMissing(replica: MemberReplica): void {
    for (const { peerURLs } of replica.members()) {
      const machine = this.#world.machines.find(({ url }) => peerURLs.includes(url));
      if (machine === undefined) continue;
      // It was a member under another id before, and was added again.
      if (machine.state === "removed") machine.wipe();
      if (machine.hasBegun) continue;
      this.#startJoining(machine, replica);
    }
  }

  /** Takes the member of a machine whose data is lost out of the cluster; then adds the machine again, empty. */
  replace(leader: MemberReplica, machine: Machine): void {
    if (this.#isBusy || machine.state !== "down") return;
    const member = leader.members().find(({ peerURLs }) => peerURLs.includes(machine.url));
    if (member) this.#remove(leader, member.ID);
    else this.#add(leader, machine, false);
  }

  #add(asked: MemberReplica, machine: Machine, isLearner: boolean): void {
    this.#world.story.note(
      "operator",
      () => `adds ${machine.name} as a ${isLearner ? "learner" : "voter"}`,
    );
    this.#watch(asked.addMember([machine.url], isLearner), () => {
      machine.wipe();
      this.#startJoining(machine, asked);
    });
  }

  #promote(asked: MemberReplica, id: bigint): void {
    this.#world.story.note("operator", () => `promotes ${id.toString(16)}`);
    this.#watch(asked.promoteMember(id), () => {});
  }

  #remove(asked: MemberReplica, id: bigint): void {
    this.#world.story.note("operator", () => `removes ${id.toString(16)}`);
    this.#watch(asked.removeMember(id), () => {});
  }

  #startJoining(machine: Machine, replica: MemberReplica): void {
    if (machine.state !== "down") return;
    const members = replica.members().map(({ name, peerURLs }) => ({
      name: peerURLs.includes(machine.url) ? machine.name : name || (peerURLs[0] as string),
      peerUrls: [...peerURLs],
    }));
    machine.beginning = { clusterState: "existing", members };
    machine.start();
  }

  #watch<Result>(change: Promise<Result>, onDone: () => void): void {
    this.#isBusy = true;
    change.then(
      () => {
        this.#isBusy = false;
        this.done++;
        this.#world.story.note("operator", () => "it is done");
        onDone();
      },
      (error: Error) => {
        this.#isBusy = false;
        this.#world.story.note("operator", () => `refused: ${error.message}`);
      },
    );
    // Whoever was asked may be gone.
    this.#world.queue.schedule(5000, () => {
      this.#isBusy = false;
    });
  }

  #leader(): MemberReplica | undefined {
    return this.#world.machines.find(({ replica }) => replica?.isLeader)?.replica;
  }

  /** Somebody who knows the cluster, and itself in it. */
  #anyone(): MemberReplica | undefined {
    const running = this.#world.machines.filter(
      ({ replica, isPaused }) =>
        replica?.members().some(({ ID }) => ID === replica.memberId) && !isPaused,
    );
    return running.length > 0 ? this.#random.pick(running).replica : undefined;
  }
}
