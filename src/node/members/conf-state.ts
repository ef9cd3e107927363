// Who votes, as a row of the meta table: raftpb.ConfState, encoded. The core starts from it.

import type { ConfState } from "../../raft/message.ts";
import { ConfState as WireConfState } from "../../wire/generated/raft.ts";
import type { Member } from "../../wire/generated/rpc.ts";

export const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

export function encodeConfState(state: ConfState): Uint8Array {
  return WireConfState.encode({
    voters: [...state.voters],
    learners: [...state.learners],
    votersOutgoing: [...state.votersOutgoing],
    learnersNext: [...state.learnersNext],
    autoLeave: state.autoLeave,
  }).finish();
}

/** Lists come out sorted; no row is a state without members. */
export function decodeConfState(bytes: Uint8Array | undefined): ConfState {
  if (!bytes) return emptyConfState;
  const wire = WireConfState.decode(bytes);
  return {
    voters: sorted(wire.voters),
    learners: sorted(wire.learners),
    votersOutgoing: sorted(wire.votersOutgoing),
    learnersNext: sorted(wire.learnersNext),
    autoLeave: wire.autoLeave ?? false,
  };
}

/** The state of a cluster in which no change is half done. */
export function confStateOf(members: readonly Member[]): ConfState {
  const idsOf = (isLearner: boolean) =>
    sorted(members.filter((one) => one.isLearner === isLearner).map((one) => one.ID));
  return { ...emptyConfState, voters: idsOf(false), learners: idsOf(true) };
}

function sorted(ids: readonly bigint[]): bigint[] {
  return [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
