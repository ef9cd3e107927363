// The members of the cluster.

import type { Member as WireMember } from "../wire/generated/rpc.ts";
import type { Caller, CallOptions } from "./caller.ts";
import { headerOf, type ResponseHeader } from "./results.ts";

export interface Member {
  readonly id: bigint;
  /** Empty until the member has started for the first time. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface MemberList {
  readonly header: ResponseHeader;
  readonly members: readonly Member[];
}

export interface MemberAdded extends MemberList {
  readonly member: Member;
}

export class Cluster {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async memberList(
    options: CallOptions & { readonly serializable?: boolean } = {},
  ): Promise<MemberList> {
    const request = { linearizable: !(options.serializable ?? false) };
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.cluster.memberList(request, rpc),
      "read",
      options,
    );
    return memberList(response);
  }

  async memberAdd(
    peerUrls: readonly string[],
    options: CallOptions & { readonly learner?: boolean } = {},
  ): Promise<MemberAdded> {
    const request = { peerURLs: [...peerUrls], isLearner: options.learner ?? false };
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.cluster.memberAdd(request, rpc),
      "write",
      options,
    );
    const added = response.member ?? { ID: 0n, name: "", ...request, clientURLs: [] };
    return { ...memberList(response), member: member(added) };
  }

  async memberRemove(id: bigint, options: CallOptions = {}): Promise<MemberList> {
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.cluster.memberRemove({ ID: id }, rpc),
      "write",
      options,
    );
    return memberList(response);
  }

  async memberUpdate(
    id: bigint,
    peerUrls: readonly string[],
    options: CallOptions = {},
  ): Promise<MemberList> {
    const request = { ID: id, peerURLs: [...peerUrls] };
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.cluster.memberUpdate(request, rpc),
      "write",
      options,
    );
    return memberList(response);
  }

  async memberPromote(id: bigint, options: CallOptions = {}): Promise<MemberList> {
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.cluster.memberPromote({ ID: id }, rpc),
      "write",
      options,
    );
    return memberList(response);
  }
}

type WireMemberList = Parameters<typeof headerOf>[0] & { readonly members: readonly WireMember[] };

function memberList(response: WireMemberList): MemberList {
  return { header: headerOf(response), members: response.members.map(member) };
}

function member(wire: WireMember): Member {
  return {
    id: wire.ID,
    name: wire.name,
    peerUrls: wire.peerURLs,
    clientUrls: wire.clientURLs,
    isLearner: wire.isLearner,
  };
}
