// The Cluster service of one member: who belongs to the cluster. Changes of membership are not
// registered, and so answer UNIMPLEMENTED.

import type { Replica } from "../node/replica-types.ts";
import type { ServiceHandlers } from "../rpc/grpc/types.ts";
import type { ClusterDefinition } from "../wire/generated/rpc.ts";

type Handlers = ServiceHandlers<typeof ClusterDefinition>;

export class ClusterService implements Handlers {
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  readonly memberList: NonNullable<Handlers["memberList"]> = async (request) => {
    if (request.linearizable) await this.#replica.readIndexAsync();
    // As etcd, without a revision in the header.
    const { clusterId, memberId, raftTerm } = this.#replica.header();
    return { header: { clusterId, memberId, raftTerm }, members: [...this.#replica.members()] };
  };
}
