// Who belongs to the cluster, by the log's word: members, their attributes, ids that may not come back,
// the cluster's version. Changed only by logged commands, so it is the same on every member at the same
// index; stored as one row of the meta table.

import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import { type ConfChange, ConfChangeType } from "../../wire/generated/raft.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import { type ChangeContext, parseChangeContext } from "../../wire/member-json.ts";

interface StoredMember {
  readonly id: string;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

interface Stored {
  readonly clusterVersion: string;
  readonly members: readonly StoredMember[];
  readonly removed?: readonly string[];
  readonly downgrade?: DowngradeInfo;
}

export interface DowngradeInfo {
  readonly enabled: boolean;
  /** "3.6.0"; empty when not enabled. */
  readonly targetVersion: string;
}

/** What a change did, for those who keep connections to members. */
export type MembershipEffect =
  | {
      readonly kind: "added" | "updated";
      readonly id: bigint;
      readonly peerUrls: readonly string[];
    }
  | { readonly kind: "promoted" | "removed"; readonly id: bigint };

export interface AppliedConfChange {
  /** Why nothing was changed; for whoever proposed it. */
  readonly refusal: EtcdError | undefined;
  readonly effect: MembershipEffect | undefined;
  /** What to hand to the raft core: the change itself, or one that names nobody when it was refused. */
  readonly change: ConfChange;
}

export interface MembershipOptions {
  /** Learners that the cluster may have at a time. */
  readonly maxLearners: number;
}

const noDowngrade: DowngradeInfo = { enabled: false, targetVersion: "" };

export class Membership {
  readonly #members = new Map<bigint, Member>();
  readonly #removed = new Set<bigint>();
  readonly #options: MembershipOptions;
  #learners = 0;
  #clusterVersion = "";
  #downgrade = noDowngrade;

  constructor(stored: Uint8Array | undefined, options: MembershipOptions = { maxLearners: 1 }) {
    this.#options = options;
    this.load(stored);
  }

  /** Takes over what another database says, as after a snapshot. */
  load(stored: Uint8Array | undefined): void {
    this.#members.clear();
    this.#learners = 0;
    this.#removed.clear();
    this.#clusterVersion = "";
    this.#downgrade = noDowngrade;
    if (!stored) return;
    const plain = JSON.parse(Buffer.from(stored).toString()) as Stored;
    this.#clusterVersion = plain.clusterVersion;
    this.#downgrade = plain.downgrade ?? noDowngrade;
    for (const id of plain.removed ?? []) this.#removed.add(BigInt(id));
    for (const member of plain.members) {
      this.#put({
        ID: BigInt(member.id),
        name: member.name,
        peerURLs: [...member.peerUrls],
        clientURLs: [...member.clientUrls],
        isLearner: member.isLearner,
      });
    }
  }

  /** Takes over who is and was a member, from a database file. */
  restore(from: {
    readonly members: readonly Member[];
    readonly removed: readonly bigint[];
  }): void {
    this.load(undefined);
    for (const member of from.members) this.#put(member);
    for (const id of from.removed) this.#removed.add(id);
  }

  /** "3.7.0", or empty before the cluster has agreed on one. */
  get clusterVersion(): string {
    return this.#clusterVersion;
  }

  get downgrade(): DowngradeInfo {
    return this.#downgrade;
  }

  /** All members, by id. */
  list(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) => (a.ID < b.ID ? -1 : 1));
  }

  /** Members with a vote, by id. */
  voters(): readonly Member[] {
    return this.list().filter((member) => !member.isLearner);
  }

  get(id: bigint): Member | undefined {
    return this.#members.get(id);
  }

  /** Quick where there are no learners, since it is asked for every call. */
  isLearner(id: bigint): boolean {
    return this.#learners > 0 && this.#members.get(id)?.isLearner === true;
  }

  /** Ids that belonged to members once; by value. */
  removed(): readonly bigint[] {
    return [...this.#removed].sort((a, b) => (a < b ? -1 : 1));
  }

  isRemoved(id: bigint): boolean {
    return this.#removed.has(id);
  }

  /** Why a change must not be applied to the members as they are now; undefined when it may. */
  validate(change: ConfChange): EtcdError | undefined {
    const id = change.nodeId ?? 0n;
    if (this.#removed.has(id)) return EtcdErrors.memberNotFound;
    const member = this.#members.get(id);
    switch (change.type ?? ConfChangeType.ConfChangeAddNode) {
      case ConfChangeType.ConfChangeAddNode:
      case ConfChangeType.ConfChangeAddLearnerNode: {
        const context = contextOf(change);
        if (context.isPromote) {
          if (!member) return EtcdErrors.memberNotFound;
          return member.isLearner ? undefined : EtcdErrors.memberNotLearner;
        }
        if (member) return EtcdErrors.memberExists;
        if (this.#usesOneOf(context.peerUrls, id)) return EtcdErrors.peerUrlExists;
        const isLearner =
          change.type === ConfChangeType.ConfChangeAddLearnerNode && context.isLearner;
        return isLearner ? this.refuseLearners(1) : undefined;
      }
      case ConfChangeType.ConfChangeRemoveNode:
        if (!member) return EtcdErrors.memberNotFound;
        // Without anybody to vote there would be no cluster, nor a way back to one.
        return !member.isLearner && this.voters().length === 1
          ? EtcdErrors.notEnoughStartedMembers
          : undefined;
      case ConfChangeType.ConfChangeUpdateNode:
        if (!member) return EtcdErrors.memberNotFound;
        return this.#usesOneOf(contextOf(change).peerUrls, id)
          ? EtcdErrors.peerUrlExists
          : undefined;
      default:
        throw new Error(`the log holds a change of members of an unknown kind: ${change.type}`);
    }
  }

  /** Refuses a cluster that has more learners than it may, with so many more to come. */
  refuseLearners(more: number): EtcdError | undefined {
    return this.#learners + more > this.#options.maxLearners
      ? EtcdErrors.tooManyLearners
      : undefined;
  }

  /** Applies a committed change, unless it does not hold (any more). */
  applyConfChange(change: ConfChange): AppliedConfChange {
    const refusal = this.validate(change);
    if (refusal) return { refusal, effect: undefined, change: { ...change, nodeId: 0n } };
    return { refusal, effect: this.#apply(change), change };
  }

  /** What a member says of itself once it runs: its name and where clients reach it. */
  setAttributes(id: bigint, name: string, clientUrls: readonly string[]): void {
    const member = this.#members.get(id);
    if (member) this.#put({ ...member, name, clientURLs: [...clientUrls] });
  }

  setClusterVersion(version: string): void {
    this.#clusterVersion = version;
  }

  setDowngrade(info: DowngradeInfo): void {
    this.#downgrade = info.enabled ? info : noDowngrade;
  }

  encode(): Uint8Array {
    const stored: Stored = {
      clusterVersion: this.#clusterVersion,
      members: this.list().map((member) => ({
        id: member.ID.toString(),
        name: member.name,
        peerUrls: member.peerURLs,
        clientUrls: member.clientURLs,
        isLearner: member.isLearner,
      })),
      removed: this.removed().map(String),
      downgrade: this.#downgrade,
    };
    return Buffer.from(JSON.stringify(stored));
  }

  #apply(change: ConfChange): MembershipEffect {
    const id = change.nodeId ?? 0n;
    if (change.type === ConfChangeType.ConfChangeRemoveNode) {
      this.#drop(id);
      this.#removed.add(id);
      return { kind: "removed", id };
    }
    const context = contextOf(change);
    const member = this.#members.get(id);
    if (change.type === ConfChangeType.ConfChangeUpdateNode) {
      if (member) this.#put({ ...member, peerURLs: [...context.peerUrls] });
      return { kind: "updated", id, peerUrls: context.peerUrls };
    }
    if (context.isPromote) {
      if (member) this.#put({ ...member, isLearner: false });
      return { kind: "promoted", id };
    }
    const { name, peerUrls, clientUrls, isLearner } = context;
    this.#put({
      ID: id,
      name,
      peerURLs: [...peerUrls],
      clientURLs: [...clientUrls],
      isLearner,
    });
    return { kind: "added", id, peerUrls };
  }

  #put(member: Member): void {
    this.#drop(member.ID);
    this.#members.set(member.ID, member);
    if (member.isLearner) this.#learners += 1;
  }

  #drop(id: bigint): void {
    if (this.#members.get(id)?.isLearner) this.#learners -= 1;
    this.#members.delete(id);
  }

  #usesOneOf(urls: readonly string[], exceptId: bigint): boolean {
    for (const member of this.#members.values()) {
      if (member.ID !== exceptId && member.peerURLs.some((url) => urls.includes(url))) return true;
    }
    return false;
  }
}

function contextOf(change: ConfChange): ChangeContext {
  return parseChangeContext(change.context ?? new Uint8Array());
}
