// Who belongs to the cluster, by the log's word: members, their attributes, the cluster version.
// Changed only by logged commands; stored as one row of the meta table.

import type { Member } from "../wire/generated/rpc.ts";

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
}

export class Membership {
  readonly #members = new Map<bigint, Member>();
  #clusterVersion = "";

  constructor(stored: Uint8Array | undefined) {
    if (!stored) return;
    const plain = JSON.parse(Buffer.from(stored).toString()) as Stored;
    this.#clusterVersion = plain.clusterVersion;
    for (const member of plain.members) {
      this.#members.set(BigInt(member.id), {
        ID: BigInt(member.id),
        name: member.name,
        peerURLs: [...member.peerUrls],
        clientURLs: [...member.clientUrls],
        isLearner: member.isLearner,
      });
    }
  }

  /** "3.7.0", or empty before the cluster has agreed on one. */
  get clusterVersion(): string {
    return this.#clusterVersion;
  }

  /** All members, by id. */
  list(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) => (a.ID < b.ID ? -1 : 1));
  }

  get(id: bigint): Member | undefined {
    return this.#members.get(id);
  }

  add(id: bigint, peerUrls: readonly string[], isLearner: boolean): void {
    this.#members.set(id, {
      ID: id,
      name: "",
      peerURLs: [...peerUrls],
      clientURLs: [],
      isLearner,
    });
  }

  /** What a member says of itself once it runs: its name and where clients reach it. */
  setAttributes(id: bigint, name: string, clientUrls: readonly string[]): void {
    const member = this.#members.get(id);
    if (member) this.#members.set(id, { ...member, name, clientURLs: [...clientUrls] });
  }

  setClusterVersion(version: string): void {
    this.#clusterVersion = version;
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
    };
    return Buffer.from(JSON.stringify(stored));
  }
}
