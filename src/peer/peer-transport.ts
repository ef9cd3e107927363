// rafthttp, the network between members: byte for byte what etcd 3.7 speaks, in both directions. Knows the
// peers, hands each what is for it, and gives what they send to the member. No peer can block it: every
// queue belongs to one peer and has a bound. The member's handler is never called from inside a call it
// makes.

import type { ServerResponse } from "node:http";
import { assert } from "../base/assert.ts";
import type { Logger } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { type Message, MessageType } from "../raft/message.ts";
import { Peer } from "./peer.ts";
import { defaultPeerLimits, type PeerContext, type PeerLimits } from "./peer-context.ts";
import { PeerDialer, type PeerDialTls } from "./peer-dialer.ts";
import { type PeerCounters, PeerMetrics } from "./peer-metrics.ts";
import { formatId, type PeerIdentity } from "./peer-protocol.ts";
import { parsePeerUrl } from "./peer-url.ts";
import { Remote } from "./remote.ts";
import type { StreamKind } from "./stream-encoder.ts";
import type { PeerHealth, SnapshotFile, Transport, TransportHandler } from "./types.ts";

export interface PeerTransportOptions {
  readonly identity: PeerIdentity;
  /** For dialling https and unixs addresses. */
  readonly tls?: PeerDialTls | undefined;
  readonly limits?: Partial<PeerLimits>;
}

export interface PeerTransportDependencies {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Logger;
}

/** Members that dialled us and are not known yet; more are not answered. */
const remotesMax = 16;
const ticksPerSilence = 12;

export class PeerTransport implements Transport {
  readonly metrics = new PeerMetrics();
  /** For the server side of the same member. */
  readonly context: PeerContext;
  readonly #dialer: PeerDialer;
  readonly #log: Logger;
  readonly #peers = new Map<bigint, Peer>();
  readonly #remotes = new Map<bigint, Remote>();
  readonly #unreachable = new Set<bigint>();
  readonly #closing = new Set<Promise<void>>();
  #handler: TransportHandler | undefined = undefined;
  #ticker: Timer | undefined = undefined;
  #tickedMs = 0;
  #closed = false;

  constructor(options: PeerTransportOptions, dependencies: PeerTransportDependencies) {
    const limits = { ...defaultPeerLimits, ...options.limits };
    const { clock, disk, random } = dependencies;
    this.#log = dependencies.log.named("peer/transport");
    this.#dialer = new PeerDialer(clock, limits.dialTimeoutMs, options.tls);
    const handler = (): TransportHandler => this.#startedHandler();
    this.context = {
      identity: options.identity,
      limits,
      clock,
      disk,
      random,
      log: this.#log,
      metrics: this.metrics,
      dialer: this.#dialer,
      get handler() {
        return handler();
      },
      reportUnreachable: (id) => this.#reportUnreachable(id),
      reportGone: (id) => this.#reportGone(id),
      reportSnapshotSent: (id, ok) => this.#reportSnapshotSent(id, ok),
      receive: (messages, from) => this.#receive(messages, from),
    };
  }

  /** False before `start` and after `close`: requests of peers are put off. */
  get isStarted(): boolean {
    return this.#handler !== undefined && !this.#closed;
  }

  start(handler: TransportHandler): void {
    assert(this.#handler === undefined, "a transport is started once");
    this.#handler = handler;
    this.#tickedMs = this.context.clock.now();
    for (const peer of this.#peers.values()) peer.start();
    this.#scheduleTick();
  }

  send(messages: readonly Message[]): void {
    const touched: Peer[] = [];
    for (const message of messages) {
      const peer = this.#peers.get(message.to);
      if (message.type === MessageType.snap) this.#refuseSnapshot(message);
      else if (peer === undefined) this.#remotes.get(message.to)?.send(message);
      else if (peer.stage(message)) touched.push(peer);
    }
    for (const peer of touched) peer.flush();
  }

  sendSnapshot(message: Message, file: SnapshotFile): void {
    const peer = this.#peers.get(message.to);
    if (peer !== undefined) peer.sendSnapshot(message, file);
    else this.#reportSnapshotSent(message.to, false);
  }

  addPeer(id: bigint, urls: readonly string[]): void {
    if (this.#closed || id === this.context.identity.memberId || this.#peers.has(id)) return;
    this.#remotes.get(id)?.close();
    this.#remotes.delete(id);
    const peer = new Peer(this.context, id, urls);
    this.#peers.set(id, peer);
    this.#log.info("added remote peer", {
      "remote-peer-id": formatId(id),
      "remote-peer-urls": urls,
    });
    if (this.#handler !== undefined) peer.start();
  }

  updatePeer(id: bigint, urls: readonly string[]): void {
    if (this.#peers.get(id)?.update(urls) !== true) return;
    this.#log.info("updated remote peer", {
      "updated-remote-peer-id": formatId(id),
      "updated-remote-peer-urls": urls,
    });
  }

  removePeer(id: bigint): void {
    this.#remotes.get(id)?.close();
    this.#remotes.delete(id);
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#peers.delete(id);
    this.#settle(peer.close());
    this.#log.info("removed remote peer", { "removed-remote-peer-id": formatId(id) });
  }

  health(): readonly PeerHealth[] {
    return [...this.#peers.values()].map((peer) => peer.health());
  }

  /** How many of the four streams with a peer (two each way) are up. */
  streamsWith(id: bigint): number {
    return this.#peers.get(id)?.streams ?? 0;
  }

  /** New certificates for connections to come. */
  setTls(tls: PeerDialTls | undefined): void {
    this.#dialer.setTls(tls);
  }

  hasPeer(id: bigint): boolean {
    return this.#peers.has(id);
  }

  /** A peer dialled for one of its streams; `response` has a head. False when it is not known. */
  attach(id: bigint, kind: StreamKind, response: ServerResponse): boolean {
    const peer = this.#peers.get(id);
    peer?.attach(kind, response);
    return peer !== undefined;
  }

  /** Somebody who is no peer (yet) wrote to us and says where it can be answered. */
  learnRemote(id: bigint, urls: readonly string[]): void {
    const { identity, handler } = this.context;
    if (this.#closed || id === 0n || id === identity.memberId || this.#peers.has(id)) return;
    if (this.#remotes.has(id) || this.#remotes.size >= remotesMax || handler.isRemoved(id)) return;
    if (!urls.some((url) => parsePeerUrl(url) !== undefined)) return;
    this.#remotes.set(id, new Remote(this.context, id, urls));
    this.#log.info("added new remote peer", {
      "remote-peer-id": formatId(id),
      "remote-peer-urls": urls,
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#ticker?.cancel();
    for (const remote of this.#remotes.values()) remote.close();
    for (const peer of this.#peers.values()) this.#settle(peer.close());
    this.#peers.clear();
    this.#remotes.clear();
    await Promise.all(this.#closing);
    this.#dialer.close();
  }

  #startedHandler(): TransportHandler {
    assert(this.#handler !== undefined, "the transport is started before peers are heard");
    return this.#handler;
  }

  #settle(closing: Promise<void>): void {
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  /** A snapshot without its file would lose data at the receiver. */
  #refuseSnapshot(message: Message): void {
    this.#log.warn("refused to send a snapshot without its file", {
      "remote-peer-id": formatId(message.to),
    });
    this.#reportSnapshotSent(message.to, false);
  }

  #receive(messages: readonly Message[], from: PeerCounters): void {
    if (this.#closed) return;
    const accepted = messages.every((message) => this.#isAcceptable(message))
      ? messages
      : messages.filter((message) => this.#isAcceptable(message));
    if (accepted.length < messages.length) {
      from.receiveFailures.value += messages.length - accepted.length;
      this.#log.warn(
        "rejected Raft messages: from a removed member, to another, or not for peers",
        {
          "remote-peer-id": formatId(from.id),
          messages: messages.length - accepted.length,
        },
      );
    }
    if (accepted.length > 0) this.#startedHandler().onMessages(accepted);
  }

  #isAcceptable(message: Message): boolean {
    return (
      message.to === this.context.identity.memberId &&
      refusedTypes[message.type] !== true &&
      !this.#startedHandler().isRemoved(message.from)
    );
  }

  #reportGone(id: bigint): void {
    if (this.#peers.has(id) && !this.#closed) this.#handler?.onGone(id);
  }

  #reportUnreachable(id: bigint): void {
    if (this.#unreachable.size === 0) {
      queueMicrotask(() => {
        const ids = [...this.#unreachable];
        this.#unreachable.clear();
        if (this.isStarted) for (const one of ids) this.#handler?.onUnreachable(one);
      });
    }
    this.#unreachable.add(id);
  }

  #reportSnapshotSent(id: bigint, ok: boolean): void {
    queueMicrotask(() => this.#handler?.onSnapshotSent(id, ok));
  }

  #scheduleTick(): void {
    const delayMs = this.context.limits.silenceMs / ticksPerSilence;
    this.#ticker = this.context.clock.setTimer(delayMs, () => this.#tick(delayMs), { unref: true });
  }

  #tick(delayMs: number): void {
    const nowMs = this.context.clock.now();
    // The process was stopped, or busy: what the others sent meanwhile has not been looked at yet.
    const wasAway = nowMs - this.#tickedMs > delayMs * 3;
    this.#tickedMs = nowMs;
    for (const peer of this.#peers.values()) {
      if (wasAway) peer.forgive(nowMs);
      peer.tick(nowMs);
    }
    this.#scheduleTick();
  }
}

/** By type. Messages of a member to itself, and a snapshot without its file, must not come from outside. */
const refusedTypes: boolean[] = [];
for (const type of [
  MessageType.hup,
  MessageType.beat,
  MessageType.snap,
  MessageType.unreachable,
  MessageType.snapStatus,
  MessageType.checkQuorum,
  MessageType.storageAppend,
  MessageType.storageAppendResp,
  MessageType.storageApply,
  MessageType.storageApplyResp,
]) {
  refusedTypes[type] = true;
}
