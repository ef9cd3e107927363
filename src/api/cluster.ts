// The Cluster service of one member: who belongs to the cluster, and changes of that. The rules are the
// replica's; here stands what is checked of the requests themselves.

import type { Replica } from "../node/replica-types.ts";
import type { ServiceHandlers } from "../rpc/grpc/types.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import type { ClusterDefinition } from "../wire/generated/rpc.ts";
import { parseMemberUrls } from "../wire/peer-urls.ts";

type Handlers = ServiceHandlers<typeof ClusterDefinition>;

export class ClusterService implements Handlers {
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  readonly memberAdd: NonNullable<Handlers["memberAdd"]> = async (request) => {
    const urls = parseMemberUrls(request.peerURLs);
    if (typeof urls === "string") throw toStatusError(EtcdErrors.memberBadUrls);
    const member = await this.#replica.addMember(urls, request.isLearner);
    return { ...this.#reply(), member };
  };

  readonly memberRemove: NonNullable<Handlers["memberRemove"]> = async (request) => {
    await this.#replica.removeMember(request.ID);
    return this.#reply();
  };

  /** As in etcd, the URLs are not looked at: clients check them. */
  readonly memberUpdate: NonNullable<Handlers["memberUpdate"]> = async (request) => {
    await this.#replica.updateMember(request.ID, request.peerURLs);
    return this.#reply();
  };

  readonly memberPromote: NonNullable<Handlers["memberPromote"]> = async (request) => {
    const members = await this.#replica.promoteMember(request.ID);
    return { ...this.#reply(), members: [...members] };
  };

  readonly memberList: NonNullable<Handlers["memberList"]> = async (request) => {
    if (request.linearizable) await this.#replica.readIndexAsync();
    return this.#reply();
  };

  #reply() {
    // As etcd, without a revision in the header.
    const { clusterId, memberId, raftTerm } = this.#replica.header();
    return { header: { clusterId, memberId, raftTerm }, members: [...this.#replica.members()] };
  }
}
