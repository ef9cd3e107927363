// One simulated machine and the member that runs on it: disk, databases and clock outlive the process; a process can
// be killed, lose its power, be stopped for a while, be closed in order, and be started again.

import type { Random } from "../src/base/random.ts";
import { MemoryDisk } from "../src/io/disk-memory.ts";
import type { NamedMember } from "../src/node/members/bootstrap.ts";
import {
  type MemberDependencies,
  type MemberOptions,
  type OpenedMember,
  openMember,
} from "../src/node/open-member.ts";
import type { MemberReplica } from "../src/node/replica.ts";
import type { Story } from "./story.ts";
import { Databases } from "./world/database.ts";
import type { EventQueue } from "./world/event-queue.ts";
import { MemberClock } from "./world/member-clock.ts";
import { type DiskSpeed, memberDisk } from "./world/member-disk.ts";
import type { PeerNetwork } from "./world/peer-network.ts";
import { ProcessLife } from "./world/process-life.ts";

export interface MachineParts {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly peers: PeerNetwork;
  readonly story: Story;
  /** Something that must not happen to a member, whatever is done to it. */
  readonly onBug: (machine: Machine, error: Error) => void;
  /** Changes what a member is made of, for planted bugs. */
  readonly plant?: (dependencies: MemberDependencies, machine: Machine) => MemberDependencies;
  readonly onOpened?: (machine: Machine, replica: MemberReplica) => void;
}

export type MachineOptions = Omit<
  MemberOptions,
  "dataDir" | "name" | "peerUrls" | "initialCluster" | "clusterState"
>;

type State = "down" | "starting" | "running" | "removed";

const dataDir = "/data";

export class Machine {
  readonly name: string;
  disk: MemoryDisk;
  readonly speed: DiskSpeed = { minMs: 0.1, maxMs: 2 };
  readonly databases: Databases;
  readonly time: { readonly offsetMs: number; wallOffsetMs: number };
  life = new ProcessLife();
  state: State = "down";
  /** How its member is to begin, when it has no data. */
  beginning: { readonly clusterState: "new" | "existing"; readonly members: NamedMember[] };
  /** Lives so far. */
  starts = 0;
  /** A byte of its log is not what was written: it must not start until it is replaced. */
  isDamaged = false;
  /** Its member has begun: there is data. */
  hasBegun = false;
  /** Why the last life ended by itself. */
  failure: Error | undefined;
  readonly #options: MachineOptions;
  readonly #parts: MachineParts;
  #opened: OpenedMember | undefined;

  constructor(name: string, options: MachineOptions, parts: MachineParts, members: NamedMember[]) {
    this.name = name;
    this.#options = options;
    this.#parts = parts;
    this.beginning = { clusterState: "new", members };
    const { random } = parts;
    this.disk = new MemoryDisk(random.uint32());
    this.databases = new Databases({ ...parts, random: random.fork(), speed: this.speed });
    this.time = { offsetMs: random.below(1_000_000), wallOffsetMs: random.between(-2000, 2000) };
    this.life.end();
  }

  get url(): string {
    return `http://${this.name}:2380`;
  }

  get replica(): MemberReplica | undefined {
    return this.state === "running" ? this.#opened?.replica : undefined;
  }

  get isPaused(): boolean {
    return this.life.isPaused;
  }

  start(): void {
    if (this.state !== "down") return;
    const { story, queue, random, peers } = this.#parts;
    const life = new ProcessLife();
    this.life = life;
    this.state = "starting";
    this.failure = undefined;
    this.starts++;
    story.note(this.name, () => "starts");
    const { clusterState, members: initialCluster } = this.beginning;
    const options: MemberOptions = {
      ...this.#options,
      dataDir,
      name: this.name,
      peerUrls: [this.url],
      initialCluster,
      clusterState,
    };
    const diskParts = { disk: this.disk, queue, life, speed: this.speed, random: random.fork() };
    const dependencies: MemberDependencies = {
      clock: new MemberClock(queue, life, this.time),
      disk: memberDisk(diskParts),
      databases: this.databases.files(life),
      lockFolder: async () => ({ release: async () => {} }),
      createTransport: ({ memberId }) => peers.transport(this, memberId),
      peerClient: peers.client(this),
      lookUpHost: async (name) => name,
      random: random.fork(),
      trace: (line) => story.note(this.name, () => line),
    };
    const planted = this.#parts.plant?.(dependencies, this) ?? dependencies;
    openMember(options, planted).then(
      (opened) => this.#onOpened(life, opened),
      (error: Error) => this.#onFailed(life, error),
    );
  }

  /** kill -9, or with the power going as well. */
  crash(isPowerLost: boolean): void {
    if (isPowerLost) this.disk.crash();
    if (this.state === "removed") return;
    this.#parts.story.note(this.name, () => (isPowerLost ? "loses power" : "is killed"));
    this.#end();
    this.databases.crash(isPowerLost);
  }

  /** Ends in order; resolves when it is down. */
  async close(): Promise<void> {
    const opened = this.#opened;
    if (this.state !== "running" || opened === undefined) return;
    this.#parts.story.note(this.name, () => "is asked to end");
    const { life } = this;
    await opened.close().catch((error: Error) => this.#onFailed(life, error));
    if (this.life === life) this.#end();
  }

  /** While it is down, one bit of its log turns over. Resolves to false when there is none. */
  async damageLog(random: Random): Promise<boolean> {
    const folder = `${dataDir}/member/wal`;
    const names = (await this.disk.list(folder)).filter((name) => name.endsWith(".wal"));
    if (names.length === 0) return false;
    const path = `${folder}/${random.pick(names)}`;
    const bytes = Buffer.from(this.disk.bytesOf(path));
    const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
    if (used === 0) return false;
    const at = random.below(used);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    this.disk.replace(path, bytes);
    this.isDamaged = true;
    this.#parts.story.note(this.name, () => `byte ${at} of ${path} is damaged`);
    return true;
  }

  /** The machine comes back with nothing on it. */
  wipe(): void {
    this.#end();
    this.state = "down";
    this.hasBegun = false;
    this.isDamaged = false;
    this.starts = 0;
    this.disk = new MemoryDisk(this.#parts.random.uint32());
    this.databases.wipe();
  }

  /** Its member is not in the cluster any more. */
  retire(): void {
    this.#end();
    this.state = "removed";
  }

  #end(): void {
    this.life.end();
    this.#opened = undefined;
    this.state = "down";
  }

  #onOpened(life: ProcessLife, opened: OpenedMember): void {
    if (this.life !== life || life.isOver) return;
    this.#opened = opened;
    this.state = "running";
    this.hasBegun = true;
    // What was damaged is not needed any more.
    this.isDamaged = false;
    const { replica } = opened;
    this.#parts.story.note(this.name, () => `runs, entry ${replica.appliedIndex} is applied`);
    replica.onFatal = (error) => this.#onFailed(life, error);
    replica.onRemoved = () => {
      this.#parts.story.note(this.name, () => "learns that it was removed");
      this.retire();
    };
    this.#parts.onOpened?.(this, replica);
    const attributes = { name: this.name, clientUrls: [`http://${this.name}:2379`] };
    replica.publish(attributes).catch(() => {});
  }

  #onFailed(life: ProcessLife, error: Error): void {
    if (this.life !== life || life.isOver) return;
    this.#parts.story.note(this.name, () => `ends by itself: ${error.message}`);
    this.failure = error;
    this.#end();
    this.databases.crash(false);
    if (isBug(error)) this.#parts.onBug(this, error);
  }
}

/** What disks and other members do to a member comes as a StatusError or as an error with a code or a cause. */
function isBug(error: Error): boolean {
  if ("code" in error || error.cause !== undefined) return false;
  return error.message !== "no space for the log";
}
