// What a raft core is told at its start. `completeConfig` checks it and fills in the rest; what does not
// fit is a bug of the caller.

import { assert } from "../base/assert.ts";
import type { Random } from "../base/random.ts";
import type { LogStorage } from "./log-storage.ts";
import { isLocalThread } from "./make-message.ts";

export interface RaftConfig {
  readonly id: bigint;
  /** Ticks without a word from the leader after which a follower campaigns: this to twice as many. */
  readonly electionTick: number;
  readonly heartbeatTick: number;
  readonly storage: LogStorage;
  /** The last entry that is applied already. Only after a restart. */
  readonly applied?: number;
  /** Storage work is handed out as messages and answered by messages; else by `advance`. */
  readonly asyncStorageWrites?: boolean;
  /** Of one append message, encoded. 0: one entry each. */
  readonly maxSizePerMsg: number;
  /** Encoded bytes handed out to be applied and not reported back. Default: maxSizePerMsg. */
  readonly maxCommittedSizePerReady?: number;
  /** Payload bytes of the leader's uncommitted entries; more proposals are dropped. Default: no limit. */
  readonly maxUncommittedEntriesSize?: number;
  /** Appends on their way to one member. */
  readonly maxInflightMsgs: number;
  /** Payload bytes on their way to one member. 0, the default: no limit. */
  readonly maxInflightBytes?: number;
  /** The leader steps down when it has not heard from a quorum for an election timeout. */
  readonly checkQuorum?: boolean;
  /** Asks whether an election could be won before it begins a new term. */
  readonly preVote?: boolean;
  /** `leaseBased` needs checkQuorum, and clocks that run alike. */
  readonly readOnlyOption?: "safe" | "leaseBased";
  readonly disableProposalForwarding?: boolean;
  /** Configuration changes enter the log unchecked. Only for a caller that checks them itself. */
  readonly disableConfChangeValidation?: boolean;
  /** A leader that is no longer a voter becomes a follower. */
  readonly stepDownOnRemoval?: boolean;
  /**
   * With asynchronous storage writes, etcd asks for votes before the candidate's own vote and log are
   * durable. That is not safe: after a crash it may win the same term again with another log, or by answers
   * to what it asked before. Only for comparisons with etcd; else the requests wait.
   */
  readonly voteRequestsBeforeDisk?: boolean;
  /** Draws the election timeouts. */
  readonly random: Random;
  /** Gets a line for what happens rarely and is worth to be known: elections, transfers, refusals. */
  readonly trace?: ((line: string) => void) | undefined;
}

export type CompleteConfig = { readonly [Field in keyof RaftConfig]-?: RaftConfig[Field] };

export function completeConfig(config: RaftConfig): CompleteConfig {
  assert(config.id !== 0n && !isLocalThread(config.id), "this id can not be a member's");
  assert(config.heartbeatTick > 0, "heartbeatTick must be greater than 0");
  assert(
    config.electionTick > config.heartbeatTick,
    "electionTick must be more than heartbeatTick",
  );
  assert(config.maxInflightMsgs > 0, "maxInflightMsgs must be greater than 0");
  const complete: CompleteConfig = {
    id: config.id,
    electionTick: config.electionTick,
    heartbeatTick: config.heartbeatTick,
    storage: config.storage,
    applied: config.applied ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMsg: config.maxSizePerMsg,
    // Not 0: that would never let a second entry be applied.
    maxCommittedSizePerReady: config.maxCommittedSizePerReady || config.maxSizePerMsg || 1,
    maxUncommittedEntriesSize: config.maxUncommittedEntriesSize || Number.POSITIVE_INFINITY,
    maxInflightMsgs: config.maxInflightMsgs,
    maxInflightBytes: config.maxInflightBytes ?? 0,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnlyOption: config.readOnlyOption ?? "safe",
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    voteRequestsBeforeDisk: config.voteRequestsBeforeDisk ?? false,
    random: config.random,
    trace: config.trace,
  };
  assert(
    complete.maxInflightBytes === 0 || complete.maxInflightBytes >= complete.maxSizePerMsg,
    "maxInflightBytes must be at least maxSizePerMsg",
  );
  assert(
    complete.readOnlyOption !== "leaseBased" || complete.checkQuorum,
    "reads by lease need checkQuorum",
  );
  return complete;
}
