// What members say to each other in the simulator: raft messages and snapshots as a Transport, and calls to peer
// URLs as a PeerClient. Both go over one network of machines, where anything may happen to them.

import { asBuffer } from "../../src/base/bytes.ts";
import { Random } from "../../src/base/random.ts";
import { Status, StatusError } from "../../src/base/status.ts";
import type { MemoryDisk } from "../../src/io/disk-memory.ts";
import type { MemberReplica } from "../../src/node/replica.ts";
import type { PeerClient } from "../../src/peer/peer-client.ts";
import type {
  PeerHealth,
  SnapshotFile,
  Transport,
  TransportHandler,
} from "../../src/peer/types.ts";
import { type Message, MessageType } from "../../src/raft/message.ts";
import { EtcdErrors, toStatusError } from "../../src/wire/errors.ts";
import type { EventQueue } from "./event-queue.ts";
import { Network } from "./network.ts";
import type { ProcessLife } from "./process-life.ts";

/** A machine as the network sees it. */
export interface NetworkedMachine {
  readonly name: string;
  readonly disk: MemoryDisk;
  readonly life: ProcessLife;
  /** Of the running process, once it is open. */
  readonly replica: MemberReplica | undefined;
}

type Parcel = (to: NetworkedMachine) => void;

/** Sees every raft message that is sent. */
export type MessageTap = (message: Message, fate: string) => void;

const snapshotTimeoutMs = 3000;
const dialMs = 500;
const noticeMs = 20;
/** Each time a member looks, of each peer: about one in three seconds for a cluster of three. */
const falseAlarmChance = 0.001;

export class PeerNetwork {
  readonly network: Network<string, Parcel>;
  readonly queue: EventQueue;
  readonly random: Random;
  onMessage: MessageTap = () => {};
  /** May change or swallow what is sent; for planted bugs. */
  filter: (message: Message) => Message | undefined = (message) => message;
  readonly #machines = new Map<string, NetworkedMachine>();
  readonly #transports = new Map<string, SimulatedTransport>();

  constructor(queue: EventQueue, random: Random) {
    this.queue = queue;
    this.random = random;
    this.network = new Network(queue, random.fork());
  }

  attach(machine: NetworkedMachine): void {
    this.#machines.set(machine.name, machine);
    this.network.attach(machine.name, (parcel) => parcel(machine));
  }

  transport(machine: NetworkedMachine, memberId: bigint): Transport {
    const transport = new SimulatedTransport(this, machine, memberId);
    this.#transports.set(machine.name, transport);
    return transport;
  }

  transportOf(name: string): SimulatedTransport | undefined {
    return this.#transports.get(name);
  }

  /** Calls of one life of a machine to others' peer URLs. */
  client(machine: NetworkedMachine): PeerClient {
    const call = <Answer>(
      url: string,
      timeoutMs: number,
      ask: (replica: MemberReplica) => Answer | Promise<Answer>,
    ): Promise<Answer> => this.#call(machine, machine.life, url, timeoutMs, ask);
    return {
      members: (url, timeoutMs) =>
        call(url, timeoutMs, (replica) => ({
          clusterId: replica.clusterId,
          members: replica.members(),
        })),
      versions: (url, timeoutMs) =>
        call(url, timeoutMs, (replica) => ({
          server: replica.status().version,
          cluster: replica.clusterVersion || "not_decided",
        })),
      downgradeEnabled: (url, timeoutMs) =>
        call(url, timeoutMs, (replica) => replica.downgrade.enabled),
      promote: (url, id, timeoutMs) => call(url, timeoutMs, (replica) => replica.promoteHere(id)),
      renewLease: (url, id, timeoutMs) => call(url, timeoutMs, (replica) => replica.renewLease(id)),
      leaseTimeToLive: async (url, id, withKeys, timeoutMs) => {
        const times = await call(url, timeoutMs, (replica) => replica.leaseTimes(id, withKeys));
        if (times === undefined) throw toStatusError(EtcdErrors.leaseNotFound);
        const keys = times.keys.map(asBuffer);
        return { header: undefined, ID: id, TTL: times.ttl, grantedTTL: times.grantedTtl, keys };
      },
      hashKv: () => Promise.reject(unavailable("hashes are compared otherwise here")),
    };
  }

  /** Hands a parcel over; what comes of it happens in the receiver's process. */
  send(from: string, to: string, parcel: Parcel, isRepeatable = true) {
    const deliver: Parcel = (machine) => machine.life.deliver(() => parcel(machine));
    return this.network.send(from, to, deliver, isRepeatable);
  }

  /** The process of a machine that has ended, and whose port refuses connections from `from`; else undefined. */
  endedLife(from: string, name: string): ProcessLife | undefined {
    const life = this.#machines.get(name)?.life;
    return life?.isOver === true && !this.network.isCut(from, name) ? life : undefined;
  }

  machineOf(urls: readonly string[]): NetworkedMachine | undefined {
    for (const url of urls) {
      const found = this.#machines.get(new URL(url).hostname);
      if (found) return found;
    }
    return undefined;
  }

  #call<Answer>(
    machine: NetworkedMachine,
    life: ProcessLife,
    url: string,
    timeoutMs: number,
    ask: (replica: MemberReplica) => Answer | Promise<Answer>,
  ): Promise<Answer> {
    const target = this.machineOf([url]);
    return new Promise((resolve, reject) => {
      const end = (action: () => void) => life.deliver(action);
      const fail = (error: unknown) => end(() => reject(error));
      this.queue.schedule(timeoutMs, () => fail(unavailable(`${url} did not answer`)));
      if (target === undefined) return;
      const isRefused = target.life.isOver || target.replica === undefined;
      if (isRefused && !this.network.isCut(machine.name, target.name)) {
        this.queue.schedule(1, () => fail(unavailable(`${url} refuses connections`)));
        return;
      }
      this.send(machine.name, target.name, ({ replica }) => {
        if (replica === undefined) return;
        const answer = (action: () => void) =>
          this.network.send(target.name, machine.name, () => end(action));
        Promise.resolve()
          .then(() => ask(replica))
          .then(
            (value) => answer(() => resolve(value)),
            (error: unknown) => answer(() => reject(error)),
          );
      });
    });
  }
}

export class SimulatedTransport implements Transport {
  readonly memberId: bigint;
  readonly #world: PeerNetwork;
  readonly #machine: NetworkedMachine;
  readonly #life: ProcessLife;
  readonly #peers = new Map<bigint, string>();
  readonly #activeSinceMs = new Map<bigint, number>();
  /** Whose end was noticed already. */
  readonly #ended = new Map<bigint, ProcessLife>();
  /** Of its own, so that false alarms do not change what else happens. */
  readonly #chance: Random;
  #handler: TransportHandler | undefined;

  constructor(world: PeerNetwork, machine: NetworkedMachine, memberId: bigint) {
    this.#world = world;
    this.#machine = machine;
    this.#life = machine.life;
    this.memberId = memberId;
    this.#chance = new Random(memberId);
  }

  start(handler: TransportHandler): void {
    this.#handler = handler;
    this.#dial();
    this.#noticeEnds();
  }

  /** A process that has ended refuses connections. Now and then one that lives seems to do so as well. */
  #noticeEnds(): void {
    this.#world.queue.schedule(noticeMs, () => {
      if (this.#life.isOver) return;
      this.#noticeEnds();
      for (const [id, name] of this.#peers) {
        const ended = this.#world.endedLife(this.#machine.name, name);
        const isNew = ended !== undefined && this.#ended.get(id) !== ended;
        if (ended !== undefined) this.#ended.set(id, ended);
        if (!isNew && !this.#chance.chance(falseAlarmChance)) continue;
        this.#life.deliver(() => this.#handler?.onGone(id));
      }
    });
  }

  /** Streams are opened again and again; whoever answers tells a removed member that it is one. */
  #dial(): void {
    this.#world.queue.schedule(dialMs, () => {
      if (this.#life.isOver) return;
      this.#dial();
      if (this.#life.isPaused) return;
      for (const peer of this.#peers.values()) {
        this.#world.send(this.#machine.name, peer, (to) => {
          this.#world.transportOf(to.name)?.dialled(this.memberId, this.#machine.name);
        });
      }
    });
  }

  dialled(by: bigint, from: string): void {
    if (this.#life.isOver || this.#handler?.isRemoved(by) !== true) return;
    this.#world.send(this.#machine.name, from, (to) => {
      this.#world.transportOf(to.name)?.gone(by);
    });
  }

  send(messages: readonly Message[]): void {
    if (this.#life.isOver) return;
    for (const sent of messages) {
      const message = this.#world.filter(sent);
      const peer = message && this.#peers.get(message.to);
      if (message === undefined || peer === undefined) continue;
      const receive = (to: NetworkedMachine) => {
        this.#world.transportOf(to.name)?.receive([message], this.#machine.name);
      };
      // A proposal that is forwarded twice is made twice; connections repeat nothing.
      const isRepeatable = message.type !== MessageType.prop;
      const fate = this.#world.send(this.#machine.name, peer, receive, isRepeatable);
      this.#world.onMessage(message, fate);
      if (fate !== "sent" && this.#world.random.chance(0.5)) this.#unreachable(message.to);
    }
  }

  /** Messages from another machine; called in this member's process. */
  receive(messages: readonly Message[], from: string): void {
    const handler = this.#handler;
    if (handler === undefined || this.#life.isOver) return;
    const wanted = messages.filter(({ to }) => to === this.memberId);
    const [first] = wanted;
    if (first === undefined) return;
    if (handler.isRemoved(first.from)) {
      this.#world.send(this.#machine.name, from, (to) => {
        this.#world.transportOf(to.name)?.gone(first.from);
      });
      return;
    }
    // A stream carries its sender's URLs: who does not know it yet can answer all the same.
    if (!this.#peers.has(first.from)) this.#peers.set(first.from, from);
    const nowMs = this.#world.queue.nowMs;
    if (!this.#activeSinceMs.has(first.from)) this.#activeSinceMs.set(first.from, nowMs);
    handler.onMessages(wanted);
  }

  /** Somebody says that this member was removed. */
  gone(memberId: bigint): void {
    if (memberId === this.memberId && !this.#life.isOver) this.#handler?.onRemovedFromCluster();
  }

  sendSnapshot(message: Message, file: SnapshotFile): void {
    const peer = this.#peers.get(message.to);
    const { queue, random } = this.#world;
    let isDone = false;
    const done = (ok: boolean) => {
      if (isDone) return;
      isDone = true;
      this.#life.deliver(() => this.#handler?.onSnapshotSent(message.to, ok));
    };
    queue.schedule(snapshotTimeoutMs, () => done(false));
    if (peer === undefined || random.chance(0.05)) return;
    const bytes = Buffer.from(this.#machine.disk.bytesOf(file.path));
    const fate = this.#world.send(this.#machine.name, peer, (to) => {
      this.#world
        .transportOf(to.name)
        ?.receiveSnapshot(message, bytes)
        .then((ok) => {
          this.#world.send(to.name, this.#machine.name, () => done(ok));
        });
    });
    this.#world.onMessage(message, fate);
  }

  async receiveSnapshot(message: Message, bytes: Buffer): Promise<boolean> {
    const handler = this.#handler;
    if (handler === undefined || message.to !== this.memberId) return false;
    const path = handler.snapshotPath(message.snapshot?.metadata.index ?? 0);
    if (path === undefined) return false;
    this.#machine.disk.replace(path, bytes);
    return handler.onSnapshot(message, path, bytes.length).then(
      () => true,
      () => false,
    );
  }

  addPeer(id: bigint, urls: readonly string[]): void {
    const machine = this.#world.machineOf(urls);
    if (machine) this.#peers.set(id, machine.name);
  }

  updatePeer(id: bigint, urls: readonly string[]): void {
    if (this.#peers.has(id)) this.addPeer(id, urls);
  }

  removePeer(id: bigint): void {
    this.#peers.delete(id);
    this.#activeSinceMs.delete(id);
  }

  health(): readonly PeerHealth[] {
    return [...this.#peers.keys()].map((id) => ({
      id,
      activeSinceMs: this.#activeSinceMs.get(id),
      roundTripMs: undefined,
      clockDriftMs: undefined,
    }));
  }

  async close(): Promise<void> {
    this.#handler = undefined;
  }

  #unreachable(id: bigint): void {
    this.#activeSinceMs.delete(id);
    this.#world.queue.schedule(0, () => this.#life.deliver(() => this.#handler?.onUnreachable(id)));
  }
}

function unavailable(text: string): StatusError {
  return new StatusError(Status.UNAVAILABLE, text);
}
