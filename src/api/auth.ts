// The Auth service of a member without authentication: it can only tell so. Everything else is not
// registered, and so answers UNIMPLEMENTED.

import type { Replica } from "../node/replica-types.ts";
import type { ServiceHandlers } from "../rpc/grpc/types.ts";
import type { AuthDefinition } from "../wire/generated/rpc.ts";

type Handlers = ServiceHandlers<typeof AuthDefinition>;

/** The revision that etcd's auth store begins with. */
const firstAuthRevision = 1;

export class AuthService implements Handlers {
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  readonly authStatus: NonNullable<Handlers["authStatus"]> = async () => {
    await this.#replica.readIndexAsync();
    return { header: this.#replica.header(), enabled: false, authRevision: firstAuthRevision };
  };
}
