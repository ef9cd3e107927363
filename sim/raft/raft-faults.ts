// What goes wrong in a group of raft cores: crashes, stops, cuts, bad networks and slow disks, drawn from the seed.
// In a storm, leaders last hardly long enough to send something, and who votes may have crashed a moment later.

import type { Random } from "../../src/base/random.ts";
import { type Message, MessageType } from "../../src/raft/message.ts";
import type { Violation } from "../checkers/history.ts";
import type { Story } from "../story.ts";
import type { EventQueue } from "../world/event-queue.ts";
import type { Network, NetworkConditions } from "../world/network.ts";
import type { RaftMember } from "./raft-member.ts";

export interface RaftFaultsWorld {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly story: Story;
  readonly network: Network<bigint, Message>;
  readonly members: ReadonlyMap<bigint, RaftMember>;
  readonly counts: { crashes: number };
  readonly violation: Violation | undefined;
  /** Of the newest term. */
  leader(): RaftMember | undefined;
}

export class RaftFaults {
  readonly isStormy: boolean;
  /** How long writes may take now. */
  diskMaxMs = 5;
  readonly #world: RaftFaultsWorld;
  #isHealed = false;

  constructor(world: RaftFaultsWorld, isStormy: boolean) {
    this.#world = world;
    this.isStormy = isStormy;
    if (isStormy) world.network.conditions = this.#drawConditions();
  }

  /** Everything is as it should be from now on. */
  heal(): void {
    this.#isHealed = true;
    this.#world.story.note("world", () => "everything is healed");
    this.#world.network.heal();
    this.diskMaxMs = 2;
    for (const member of this.#world.members.values()) {
      if (!member.isRunning) this.#restart(member);
      else if (member.life.isPaused) member.life.resume();
    }
  }

  /** Where it hurts most: right after a vote was given, or when some members have an entry and others do not. */
  strikeSender(message: Message): void {
    if (!this.isStormy || this.#isHealed) return;
    const sender = this.#world.members.get(message.from);
    const isVote = message.type === MessageType.voteResp && !message.reject;
    const isNews = message.type === MessageType.app && message.entries.length > 0;
    if (sender === undefined || !this.#world.random.chance(isVote ? 0.15 : isNews ? 0.04 : 0))
      return;
    this.#world.queue.schedule(0, () => {
      if (this.#isHealed) return;
      if (isVote || this.#world.random.chance(0.5))
        this.#crash(sender, this.#world.random.float() * 60);
      else {
        this.#cutOff(sender, "out");
        this.#world.queue.schedule(this.#world.random.float() * 1000, () =>
          this.#world.network.open(),
        );
      }
    });
  }

  schedule(): void {
    const delayMs = this.isStormy
      ? this.#world.random.float() * 250
      : 50 + this.#world.random.float() * 800;
    this.#world.queue.schedule(delayMs, () => {
      if (this.#isHealed) return;
      if (this.isStormy && this.#world.random.chance(0.8)) this.#strikeLeader();
      else this.#fault();
      this.schedule();
    });
  }

  /** Before it has done what it began, its term is over; soon it is back. */
  #strikeLeader(): void {
    const leader = this.#world.leader();
    if (leader === undefined) return;
    if (this.#world.random.chance(0.5)) {
      this.#crash(leader);
      return;
    }
    this.#cutOff(leader, this.#world.random.pick(["both", "out"]));
    this.#world.queue.schedule(this.#world.random.float() * 800, () => this.#world.network.open());
  }

  #fault(): void {
    const { random } = this.#world;
    const ids = [...this.#world.members.keys()];
    // Leaders are where it hurts.
    const leader = random.chance(0.4) ? this.#world.leader() : undefined;
    const member = leader ?? (this.#world.members.get(random.pick(ids)) as RaftMember);
    switch (random.below(8)) {
      case 0:
      case 1:
        return this.#crash(member);
      case 2:
        return this.#pause(member);
      case 3:
        return this.#cutOff(member, random.pick(["both", "in", "out"]));
      case 4:
        for (const id of random.shuffle([...ids]).slice(0, ids.length >> 1)) {
          this.#cutOff(this.#world.members.get(id) as RaftMember, "both");
        }
        return;
      case 5:
        this.#world.story.note("world", () => "the network is open again");
        this.#world.network.heal();
        return;
      case 6:
        this.diskMaxMs = random.pick([1, 5, 50, 300]);
        return;
      default:
        this.#world.network.conditions = this.#drawConditions();
        this.#world.story.note(
          "world",
          () => `network: ${JSON.stringify(this.#world.network.conditions)}`,
        );
    }
  }

  #crash(member: RaftMember, downMs = this.#drawDownMs()): void {
    if (!member.isRunning) return;
    this.#world.counts.crashes++;
    this.#world.story.note(member.name, () => "crashes");
    member.crash();
    this.#world.queue.schedule(downMs, () => this.#restart(member));
  }

  #drawConditions(): NetworkConditions {
    const { random } = this.#world;
    return {
      delayMinMs: 0.2,
      delayMaxMs: random.pick([2, 20, 150]),
      loss: random.pick([0, 0.05, 0.3]),
      duplicate: random.pick([0, 0.1, 0.3]),
      straggle: random.pick([0, 0.1, 0.4]),
    };
  }

  #drawDownMs(): number {
    return this.#world.random.float() * this.#world.random.pick([50, 400, 2000]);
  }

  #restart(member: RaftMember): void {
    if (member.isRunning || this.#world.violation) return;
    this.#world.story.note(member.name, () => "starts again");
    member.restart();
  }

  #pause(member: RaftMember): void {
    if (!member.isRunning || member.life.isPaused) return;
    const { life } = member;
    this.#world.story.note(member.name, () => "is stopped");
    life.pause();
    this.#world.queue.schedule(this.#world.random.float() * 2500, () => {
      if (life.isOver || !life.isPaused) return;
      this.#world.story.note(member.name, () => "goes on");
      life.resume();
    });
  }

  #cutOff(member: RaftMember, which: "both" | "in" | "out"): void {
    this.#world.story.note("world", () => `${member.name} is cut off (${which})`);
    for (const other of this.#world.members.keys()) {
      if (other === member.id) continue;
      if (which !== "in") this.#world.network.cut(member.id, other);
      if (which !== "out") this.#world.network.cut(other, member.id);
    }
  }
}
