// What a member asks of other members over their peer URLs, beside raft: the leader about leases and
// promotions, anyone about versions and hashes. src/peer speaks it over HTTP; tests have their own.

import type { LeaseTimes } from "../../lease/lessor.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import type { Versions } from "./cluster-version.ts";

export interface PeerCalls {
  /** Starts a lease's time anew at the leader; its TTL in seconds. Rejects with a StatusError, also when there is no such lease. */
  renewLease(urls: readonly string[], id: bigint, timeoutMs: number): Promise<number>;
  /** How long a lease lives by the leader's clock; undefined when there is none. Rejects with a StatusError. */
  leaseTimes(
    urls: readonly string[],
    id: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<LeaseTimes | undefined>;
  /** Makes the leader give a learner its vote; resolves to the members after it. Rejects with a StatusError. */
  promote(urls: readonly string[], id: bigint, timeoutMs: number): Promise<readonly Member[]>;
  /** undefined when it does not answer. */
  versions(urls: readonly string[]): Promise<Versions | undefined>;
}
