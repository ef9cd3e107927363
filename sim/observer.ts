// Looks at every member after every moment of a simulation, from outside: what it has applied, whether it leads,
// which leases it has. Feeds the checkers that compare members with each other.

import type { MemberReplica } from "../src/node/replica.ts";
import type { Message } from "../src/raft/message.ts";
import { MessageType } from "../src/raft/message.ts";
import { EqualState } from "./checkers/equal-state.ts";
import type { EventSeen, Report } from "./checkers/history.ts";
import type { LeaseRules } from "./checkers/lease-rules.ts";
import { ElectionSafety, LogMatching } from "./checkers/raft-properties.ts";
import type { Machine } from "./machine.ts";
import { toEvent } from "./requests.ts";

interface Seen {
  readonly replica: MemberReplica;
  revision: number;
  appliedIndex: number;
}

export class Observer {
  readonly state: EqualState;
  readonly elections: ElectionSafety;
  readonly #matching: LogMatching;
  readonly #leases: LeaseRules;
  readonly #now: () => number;
  readonly #seen = new Map<Machine, Seen>();
  /** Events as they are encoded, to see at a glance that another member has the same. */
  readonly #raw = new Map<number, string>();
  #liveLeases = new Set<bigint>();
  #leasesSeenIndex = 0;

  constructor(report: Report, leases: LeaseRules, now: () => number) {
    this.state = new EqualState(report);
    this.elections = new ElectionSafety(report);
    this.#matching = new LogMatching(report);
    this.#leases = leases;
    this.#now = now;
  }

  /** A raft message that was sent shows what its sender holds. */
  noteMessage(message: Message): void {
    const { type, from, term } = message;
    const sender = from.toString(16);
    if (type === MessageType.app || type === MessageType.heartbeat) {
      this.elections.noteLeader(term, sender);
    }
    if (type !== MessageType.app) return;
    let previousTerm = message.logTerm;
    for (const entry of message.entries) {
      const content = `${entry.type}:${Buffer.from(entry.data).toString("latin1")}`;
      this.#matching.noteEntry(entry.index, entry.term, previousTerm, content, sender);
      previousTerm = entry.term;
    }
  }

  look(machine: Machine): void {
    const { replica } = machine;
    if (replica === undefined) return;
    let seen = this.#seen.get(machine);
    if (seen?.replica !== replica) {
      seen = { replica, revision: Math.max(1, replica.store.compactRevision - 1), appliedIndex: 0 };
      this.#seen.set(machine, seen);
    }
    if (replica.appliedIndex === seen.appliedIndex) return;
    seen.appliedIndex = replica.appliedIndex;
    if (replica.store.currentRevision > seen.revision) this.#readEvents(machine, seen);
    this.state.noteDigest(replica.appliedIndex, digestOf(replica), machine.name);
    this.#noteLeases(replica);
    if (replica.isLeader) {
      this.elections.noteLeader(replica.raftTerm, replica.memberId.toString(16));
    }
  }

  #readEvents(machine: Machine, seen: Seen): void {
    const { store } = seen.replica;
    let next = Math.max(seen.revision + 1, store.compactRevision + 1);
    while (next <= store.currentRevision) {
      const chunk = store.eventsSince(next, 64 * 1024);
      if ("error" in chunk) break;
      let group: { type: 0 | 1; kv: Uint8Array }[] = [];
      let revision = 0;
      const flush = () => {
        if (group.length > 0) this.#noteEvents(revision, group, machine.name);
        group = [];
      };
      for (const { main, type, kv } of chunk.events) {
        if (main !== revision) flush();
        revision = main;
        group.push({ type, kv });
      }
      flush();
      next = chunk.nextRevision;
    }
    seen.revision = store.currentRevision;
  }

  #noteEvents(
    revision: number,
    group: readonly { readonly type: 0 | 1; readonly kv: Uint8Array }[],
    member: string,
  ): void {
    let raw = "";
    for (const { type, kv } of group) raw += `${type}${Buffer.from(kv).toString("latin1")}|`;
    if (this.#raw.get(revision) === raw) return;
    if (!this.#raw.has(revision)) this.#raw.set(revision, raw);
    const events: EventSeen[] = group.map(({ type, kv }) => toEvent(type, kv, revision));
    this.state.noteChanges(revision, events, member);
  }

  /** Whoever is furthest ahead shows first that a lease is gone. */
  #noteLeases({ lessor, appliedIndex }: MemberReplica): void {
    if (appliedIndex <= this.#leasesSeenIndex) return;
    this.#leasesSeenIndex = appliedIndex;
    const held = new Set(lessor.leases());
    for (const id of this.#liveLeases) if (!held.has(id)) this.#leases.noteGone(id, this.#now());
    this.#liveLeases = held;
  }
}

/** Everything that members must agree on beside the keys' history. */
export function digestOf(replica: MemberReplica): string {
  const { store, lessor } = replica;
  const leases = lessor.leases().sort();
  const members = replica.members().map(({ ID, name, isLearner, peerURLs, clientURLs }) => {
    return `${ID.toString(16)} ${name} ${isLearner ? "learner" : ""} ${peerURLs.join()} ${clientURLs.join()}`;
  });
  const alarms = replica.alarms().map(({ memberId, type }) => `${memberId}:${type}`);
  return `revision ${store.currentRevision}, compacted ${store.compactRevision}, ${store.keyCount} keys, leases ${leases.join()}, members ${members.sort().join(";")}, version ${replica.clusterVersion}, alarms ${alarms.sort().join()}`;
}
