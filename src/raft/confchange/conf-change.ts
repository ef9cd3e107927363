// What a configuration change in the log means: both of raftpb's forms become one, with the question
// of how it is carried out answered (one step, or into and out of a joint configuration).

import { unreachable } from "../../base/assert.ts";
import {
  ConfChangeTransition,
  ConfChangeType,
  ConfChange as WireConfChange,
  ConfChangeV2 as WireConfChangeV2,
} from "../../wire/generated/raft.ts";
import { EntryType, type Proposal } from "../types.ts";

/** One member's part of a change. `update` changes nothing that raft knows of. */
export interface MemberChange {
  readonly kind: "addVoter" | "addLearner" | "remove" | "update";
  /** 0n: the part is void and passed over (etcd writes that for a change it has refused). */
  readonly id: bigint;
}

/**
 * `simple`: at most one voter changes, at once. `enterJoint`: any change, by way of a joint
 * configuration, which the leader leaves by itself when `autoLeave`. `leaveJoint`: out of it.
 */
export type ChangeProcedure =
  | { readonly name: "simple" }
  | { readonly name: "enterJoint"; readonly autoLeave: boolean }
  | { readonly name: "leaveJoint" };

export interface MembershipChange {
  readonly procedure: ChangeProcedure;
  readonly changes: readonly MemberChange[];
  /** Bytes for the state machine; raft does not look at them. */
  readonly context: Uint8Array;
}

const nothing = new Uint8Array(0);

/** The proposal that leaves a joint configuration: a change without parts, encoded as no bytes. */
export const leaveJointProposal: Proposal = { type: EntryType.confChangeV2, data: nothing };

/** A change as the log has it. `type` is the entry's. Throws when the bytes are not one. */
export function decodeMembershipChange(type: number, data: Uint8Array): MembershipChange {
  return type === EntryType.confChange
    ? membershipChangeOfV1(WireConfChange.decode(data))
    : membershipChangeOfV2(WireConfChangeV2.decode(data));
}

export function membershipChangeOfV1(change: WireConfChange): MembershipChange {
  return {
    procedure: { name: "simple" },
    changes: [memberChange(change.type ?? 0, change.nodeId ?? 0n)],
    context: change.context ?? nothing,
  };
}

export function membershipChangeOfV2(change: WireConfChangeV2): MembershipChange {
  return {
    procedure: procedureOf(change.transition ?? 0, change.changes.length),
    changes: change.changes.map((one) => memberChange(one.type ?? 0, one.nodeId ?? 0n)),
    context: change.context ?? nothing,
  };
}

/**
 * How a V2 change is carried out. More than one part always goes by way of a joint configuration: whether one
 * step were enough depends on the configuration it meets, which nobody knows when it is proposed.
 */
function procedureOf(transition: ConfChangeTransition, parts: number): ChangeProcedure {
  switch (transition) {
    case ConfChangeTransition.ConfChangeTransitionAuto:
      if (parts === 0) return { name: "leaveJoint" };
      return parts === 1 ? { name: "simple" } : { name: "enterJoint", autoLeave: true };
    case ConfChangeTransition.ConfChangeTransitionJointImplicit:
      return { name: "enterJoint", autoLeave: true };
    case ConfChangeTransition.ConfChangeTransitionJointExplicit:
      return { name: "enterJoint", autoLeave: false };
    case ConfChangeTransition.UNRECOGNIZED:
      throw new RangeError("unknown transition of a configuration change");
    default:
      return unreachable(transition);
  }
}

function memberChange(type: ConfChangeType, id: bigint): MemberChange {
  switch (type) {
    case ConfChangeType.ConfChangeAddNode:
      return { kind: "addVoter", id };
    case ConfChangeType.ConfChangeAddLearnerNode:
      return { kind: "addLearner", id };
    case ConfChangeType.ConfChangeRemoveNode:
      return { kind: "remove", id };
    case ConfChangeType.ConfChangeUpdateNode:
      return { kind: "update", id };
    case ConfChangeType.UNRECOGNIZED:
      throw new RangeError("unknown type of a configuration change");
    default:
      return unreachable(type);
  }
}
