// What goes wrong in a simulated cluster: which faults, when, to whom, all drawn from the seed. Each run favours some
// kinds, so that rare ones also come in numbers. Whatever is done here can be undone by `heal`.

import type { Random } from "../src/base/random.ts";
import { systemError } from "../src/io/disk-memory.ts";
import type { Machine } from "./machine.ts";
import type { MembershipChanges } from "./membership-changes.ts";
import type { Story } from "./story.ts";
import type { EventQueue } from "./world/event-queue.ts";
import type { PeerNetwork } from "./world/peer-network.ts";

export interface FaultsWorld {
  readonly queue: EventQueue;
  readonly story: Story;
  readonly peers: PeerNetwork;
  readonly machines: readonly Machine[];
  readonly changes: MembershipChanges;
}

const kinds = [
  "kill",
  "powerLoss",
  "tornWrite",
  "close",
  "pause",
  "cutOff",
  "split",
  "openNetwork",
  "badNetwork",
  "slowDisk",
  "diskError",
  "fullDisk",
  "databaseError",
  "damage",
  "wallClock",
  "moveLeader",
  "members",
] as const;

export type FaultKind = (typeof kinds)[number];

export class Faults {
  readonly counts = new Map<FaultKind, number>();
  readonly #world: FaultsWorld;
  readonly #random: Random;
  readonly #kinds: FaultKind[];
  readonly #intervalMs: number;
  #isOver = false;
  #hasDamaged = false;

  constructor(world: FaultsWorld, random: Random) {
    this.#world = world;
    this.#random = random;
    // Some kinds of fault, and the undoing of what cuts the network.
    this.#kinds = random.shuffle([...kinds]).slice(0, random.between(3, 9));
    this.#kinds.push("openNetwork");
    if (random.chance(0.3)) this.#kinds.push("members", "members", "moveLeader");
    if (random.chance(0.3)) this.#kinds.push("pause", "pause");
    this.#intervalMs = random.pick([400, 900, 2000]);
    this.#next();
  }

  /** Everything is as it should be from now on; what is down starts again. */
  heal(): void {
    this.#isOver = true;
    const { peers, machines, story } = this.#world;
    story.note("world", () => "everything is healed");
    peers.network.heal();
    for (const machine of machines) {
      this.#mendDisk(machine);
      machine.speed.maxMs = 2;
      if (machine.isPaused) machine.life.resume();
      if (machine.starts > 0) machine.start();
    }
  }

  #next(): void {
    this.#world.queue.schedule(this.#random.float() * 2 * this.#intervalMs, () => {
      if (this.#isOver) return;
      const kind = this.#random.pick(this.#kinds);
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
      this.#cause(kind);
      this.#next();
    });
  }

  /** Leaders are where it hurts. */
  #target(): Machine | undefined {
    const { machines } = this.#world;
    const running = machines.filter(({ replica }) => replica !== undefined);
    const leader = running.find(({ replica }) => replica?.isLeader);
    if (leader && this.#random.chance(0.4)) return leader;
    return running.length > 0 ? this.#random.pick(running) : undefined;
  }

  #cause(kind: FaultKind): void {
    const machine = this.#target();
    if (machine === undefined) return;
    const random = this.#random;
    const { peers, story, changes } = this.#world;
    switch (kind) {
      case "kill":
      case "powerLoss":
        machine.crash(kind === "powerLoss");
        return this.#restartLater(machine);
      case "tornWrite":
        machine.disk.writesUntilCrash = random.between(0, 6);
        return;
      case "close":
        void machine.close().then(() => this.#restartLater(machine));
        return;
      case "pause":
        return this.#pause(machine);
      case "cutOff":
        return this.#cutOff(machine, random.pick(["both", "in", "out"]));
      case "split":
        return this.#split();
      case "openNetwork":
        story.note("world", () => "the network is open");
        return peers.network.heal();
      case "badNetwork":
        return this.#worsenNetwork();
      case "slowDisk":
        machine.speed.maxMs = random.pick([2, 20, 200, 1000]);
        story.note(machine.name, () => `its disk takes up to ${machine.speed.maxMs} ms`);
        return;
      case "diskError":
      case "fullDisk":
      case "databaseError":
        return this.#damageDisk(machine, kind);
      case "damage":
        return this.#damageLog(machine);
      case "wallClock":
        machine.time.wallOffsetMs += random.between(-100_000, 100_000);
        return;
      case "moveLeader":
        return changes.moveLeader();
      case "members":
        return changes.change();
    }
  }

  #restartLater(machine: Machine): void {
    this.#world.queue.schedule(this.#random.float() * 2500, () => machine.start());
  }

  #pause(machine: Machine): void {
    const { life } = machine;
    if (life.isPaused) return;
    const ms = this.#random.float() * this.#random.pick([600, 3500, 6000]);
    this.#world.story.note(machine.name, () => `is stopped for ${ms.toFixed(0)} ms`);
    life.pause();
    this.#world.queue.schedule(ms, () => {
      if (life.isOver || !life.isPaused) return;
      this.#world.story.note(machine.name, () => "goes on");
      life.resume();
    });
  }

  #cutOff(machine: Machine, which: "both" | "in" | "out"): void {
    const { story, peers, machines } = this.#world;
    story.note("world", () => `${machine.name} is cut off (${which})`);
    for (const { name } of machines) {
      if (name === machine.name) continue;
      if (which !== "in") peers.network.cut(machine.name, name);
      if (which !== "out") peers.network.cut(name, machine.name);
    }
  }

  #split(): void {
    const { story, peers, machines } = this.#world;
    const names = this.#random.shuffle(machines.map(({ name }) => name));
    const few = names.slice(0, this.#random.between(1, Math.max(1, names.length >> 1)));
    story.note("world", () => `${few.join(" and ")} can not talk to the others`);
    for (const a of few) {
      for (const b of names) {
        if (few.includes(b)) continue;
        peers.network.cut(a, b);
        peers.network.cut(b, a);
      }
    }
  }

  #worsenNetwork(): void {
    const random = this.#random;
    const { network } = this.#world.peers;
    network.conditions = {
      delayMinMs: 0.2,
      delayMaxMs: random.pick([2, 20, 200]),
      loss: random.pick([0, 0.05, 0.3]),
      duplicate: random.pick([0, 0.1, 0.3]),
      straggle: random.pick([0, 0.05, 0.3]),
    };
    this.#world.story.note("world", () => `network: ${JSON.stringify(network.conditions)}`);
  }

  /** Once, and only where a quorum can do without: the member has to be replaced. */
  #damageLog(machine: Machine): void {
    const voters = machine.replica?.members().filter(({ isLearner }) => !isLearner) ?? [];
    if (this.#hasDamaged || voters.length < 3 || this.#world.changes.isBusy) return;
    this.#hasDamaged = true;
    machine.crash(false);
    void machine.damageLog(this.#random).then(() => this.#restartLater(machine));
  }

  #damageDisk(machine: Machine, kind: "diskError" | "fullDisk" | "databaseError"): void {
    const { disk, databases, name } = machine;
    const { queue, story } = this.#world;
    story.note(name, () => `disk: ${kind}`);
    if (kind === "databaseError") databases.commitError = systemError("ENOSPC", "db");
    else if (kind === "fullDisk") {
      disk.capacityBytes = 2 ** 40;
      disk.capacityBytes = 2 ** 40 - disk.room(2 ** 40) + this.#random.below(4000);
    } else {
      disk.fault = (operation) =>
        operation === "write" || operation === "datasync" ? systemError("EIO", name) : undefined;
    }
    queue.schedule(this.#random.float() * 2500, () => {
      this.#mendDisk(machine);
      machine.start();
    });
  }

  #mendDisk({ disk, databases }: Machine): void {
    disk.fault = () => undefined;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    disk.writesUntilCrash = Number.POSITIVE_INFINITY;
    databases.commitError = undefined;
  }
}
