// The arguments of interaction commands: what a member is made with, and what is proposed.

import { EntryType, type Proposal } from "../../../src/raft/types.ts";
import { parseChanges } from "./conf-change-harness.ts";
import type { MemberOptions } from "./member.ts";
import type { Argument, Command } from "./transcript.ts";

/** The value of `key=value`. */
export function argument(args: readonly Argument[], key: string): string | undefined {
  return args.find((arg) => arg.key === key)?.values[0];
}

/** `add-nodes`: as etcd's harness has them, with what the command says, and a few limits more. */
export function optionsOf(args: readonly Argument[], applied: number): MemberOptions {
  const isOn = (key: string) => argument(args, key) === "true";
  const maxCommitted = argument(args, "max-committed-size-per-ready");
  return {
    electionTick: 3,
    heartbeatTick: 1,
    applied,
    maxSizePerMsg: Number(argument(args, "max-size-per-msg") ?? Number.MAX_SAFE_INTEGER),
    maxInflightBytes: Number(argument(args, "max-inflight-bytes") ?? 0),
    maxUncommittedEntriesSize: Number(argument(args, "max-uncommitted") ?? 0),
    disableProposalForwarding: isOn("disable-forwarding"),
    maxInflightMsgs: Number(argument(args, "inflight") ?? 0x7fff_ffff),
    ...(maxCommitted === undefined ? {} : { maxCommittedSizePerReady: Number(maxCommitted) }),
    asyncStorageWrites: isOn("async-storage-writes"),
    voteRequestsBeforeDisk: true,
    preVote: isOn("prevote"),
    checkQuorum: isOn("checkquorum"),
    disableConfChangeValidation: isOn("disable-conf-change-validation"),
    stepDownOnRemoval: isOn("step-down-on-removal"),
    readOnlyOption: argument(args, "read-only") === "lease-based" ? "leaseBased" : "safe",
  };
}

const changeTypes = { addVoter: 0, remove: 1, update: 2, addLearner: 3 } as const;
const transitions = { auto: 0, implicit: 1, explicit: 2 } as const;

/**
 * `propose-conf-change`, in the first form with `v1=true`. The bytes are as Go writes them, zeros too,
 * since their number counts against limits. Ids are small.
 */
export function confChangeOf({ args, input }: Command): Proposal {
  const changes = parseChanges(input).map(
    ({ kind, id }) => [changeTypes[kind], Number(id)] as const,
  );
  if (argument(args, "v1") === "true") {
    const [type, id] = changes[0] as (typeof changes)[number];
    return { type: EntryType.confChange, data: Uint8Array.of(0x10, type, 0x18, id) };
  }
  const transition = transitions[(argument(args, "transition") ?? "auto") as "auto"];
  const parts = changes.flatMap(([type, id]) => [0x12, 4, 0x08, type, 0x10, id]);
  return { type: EntryType.confChangeV2, data: Uint8Array.of(0x08, transition, ...parts) };
}
