// A member's side towards the others: what the transport brings goes to the loop, and whom the transport
// reaches follows the members that the log names.

import type { Clock } from "../io/clock.ts";
import type { Transport, TransportHandler } from "../peer/types.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { RaftLoop } from "./loop/raft-loop.ts";
import type { Membership, MembershipEffect } from "./members/membership.ts";
import type { SnapshotExchange } from "./snapshot/snapshot-exchange.ts";
import { Succession } from "./succession.ts";

export interface PeerSideParts {
  readonly memberId: bigint;
  readonly clock: Clock;
  readonly raw: RawNode;
  readonly loop: RaftLoop;
  readonly transport: Transport;
  readonly membership: Membership;
  readonly snapshots: SnapshotExchange;
  /** The cluster has removed this member. */
  onRemoved(): void;
}

export interface KnownPeer {
  readonly id: bigint;
  readonly urls: readonly string[];
}

/** A removed member lives on for so long, to tell the others that its removal is committed. */
const removalDelayMs = 1000;

export class PeerSide {
  readonly #parts: PeerSideParts;
  readonly #succession: Succession;

  constructor(parts: PeerSideParts) {
    this.#parts = parts;
    this.#succession = new Succession({ ...parts, onWork: () => parts.loop.queueRun() });
  }

  /** Begins to reach the members, and `peers`, who are known before the log names them. */
  start(peers: readonly KnownPeer[]): void {
    const { transport, snapshots, raw, loop } = this.#parts;
    transport.start(this.#handler());
    for (const { id, urls } of peers) transport.addPeer(id, urls);
    for (const { ID, peerURLs } of this.#others()) transport.addPeer(ID, peerURLs);
    snapshots.start({
      appliedIndex: () => raw.applied,
      onFailed: (id) => loop.tell((core) => core.reportSnapshot(id, false)),
    });
    loop.isAlone = this.isAlone();
  }

  /** The only voter, and no learner: nobody else sees the log. */
  isAlone(): boolean {
    const { raw, memberId } = this.#parts;
    const { voters, learners, votersOutgoing, learnersNext } = raw.confState;
    const others = learners.length + votersOutgoing.length + learnersNext.length;
    return voters.length === 1 && voters[0] === memberId && others === 0;
  }

  /** A change of members is applied. */
  follow(effect: MembershipEffect): void {
    const { transport, loop, clock, memberId } = this.#parts;
    loop.isAlone = this.isAlone();
    if (effect.id === memberId) {
      if (effect.kind === "removed") {
        clock.setTimer(removalDelayMs, () => this.#parts.onRemoved(), { unref: true });
      }
      return;
    }
    if (effect.kind === "added") transport.addPeer(effect.id, effect.peerUrls);
    else if (effect.kind === "updated") transport.updatePeer(effect.id, effect.peerUrls);
    else if (effect.kind === "removed") transport.removePeer(effect.id);
  }

  /** The members are others than before, as after a snapshot. */
  followAll(): void {
    const { transport, loop } = this.#parts;
    loop.isAlone = this.isAlone();
    const others = this.#others();
    const ids = new Set(others.map((member) => member.ID));
    for (const { id } of transport.health()) if (!ids.has(id)) transport.removePeer(id);
    for (const { ID, peerURLs } of others) {
      transport.addPeer(ID, peerURLs);
      transport.updatePeer(ID, peerURLs);
    }
  }

  #others() {
    const { membership, memberId } = this.#parts;
    return membership.list().filter((member) => member.ID !== memberId);
  }

  #handler(): TransportHandler {
    const { loop, snapshots, membership } = this.#parts;
    return {
      onMessages: (messages) => loop.receive(messages),
      onUnreachable: (id) => loop.tell((raw) => raw.reportUnreachable(id)),
      onGone: (id) => this.#succession.onGone(id),
      onSnapshotSent: (id, ok) => {
        snapshots.onSent(id);
        loop.tell((raw) => raw.reportSnapshot(id, ok));
      },
      isRemoved: (id) => membership.isRemoved(id),
      onRemovedFromCluster: () => this.#parts.onRemoved(),
      snapshotPath: (index) => snapshots.pathFor(index),
      onSnapshot: async (message, path) => {
        await snapshots.received(message, path);
        loop.receive([message]);
      },
    };
  }
}
