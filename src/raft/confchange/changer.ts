// The steps from one configuration to the next. Each is a function from a ConfState to a ConfState, or to
// the reason why it is refused; nothing is changed in place. The rules that every configuration keeps:
// nobody is voter and learner at once; who is to become a learner and still votes in the outgoing half
// waits in `learnersNext`; outside a joint configuration there is nothing outgoing, nobody waiting and
// no automatic leave; changes never remove the last voter.

import type { ConfState } from "../message.ts";
import type { MemberChange, MembershipChange } from "./conf-change.ts";

export const emptyConfState: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

export interface ConfigChanged {
  readonly config: ConfState;
  /** Who left the configuration at some point of the change, even if only to come back: starts anew. */
  readonly forgotten: ReadonlySet<bigint>;
}

export interface ConfigRefused {
  readonly refused: string;
}

export type ConfigResult = ConfigChanged | ConfigRefused;

/** Carries out a decoded change in the way it asks for. */
export function applyChange(config: ConfState, change: MembershipChange): ConfigResult {
  switch (change.procedure.name) {
    case "simple":
      return changeSimply(config, change.changes);
    case "enterJoint":
      return enterJoint(config, change.procedure.autoLeave, change.changes);
    case "leaveJoint":
      return leaveJoint(config);
  }
}

/** Changes at most one voter (and any number of learners), without a joint configuration. */
export function changeSimply(config: ConfState, changes: readonly MemberChange[]): ConfigResult {
  const broken = brokenRule(config);
  if (broken !== undefined) return { refused: broken };
  if (isJoint(config)) return { refused: "can't apply simple config change in joint config" };
  const draft = new Draft(config);
  draft.change(changes);
  if (draft.voters.size === 0) return { refused: "removed all voters" };
  if (differences(config.voters, draft.voters) > 1) {
    return { refused: "more than one voter changed without entering joint config" };
  }
  return draft.finish();
}

/** The voters of now become the outgoing half; the incoming half begins as the same and is changed. */
export function enterJoint(
  config: ConfState,
  autoLeave: boolean,
  changes: readonly MemberChange[],
): ConfigResult {
  const broken = brokenRule(config);
  if (broken !== undefined) return { refused: broken };
  if (isJoint(config)) return { refused: "config is already joint" };
  if (config.voters.length === 0) return { refused: "can't make a zero-voter config joint" };
  const draft = new Draft({ ...config, votersOutgoing: config.voters });
  draft.change(changes);
  if (draft.voters.size === 0) return { refused: "removed all voters" };
  draft.autoLeave = autoLeave;
  return draft.finish();
}

/** The incoming half decides alone from now on, and the learners that waited become learners. */
export function leaveJoint(config: ConfState): ConfigResult {
  const broken = brokenRule(config);
  if (broken !== undefined) return { refused: broken };
  if (!isJoint(config)) return { refused: "can't leave a non-joint config" };
  const draft = new Draft(config);
  draft.dropOutgoing();
  return draft.finish();
}

/** Checks a configuration that comes from outside (a snapshot, the disk), and sorts its lists. */
export function restore(state: ConfState): ConfigResult {
  if (state.voters.length === 0 && !isEmpty(state)) return { refused: "removed all voters" };
  const broken = brokenRule(state);
  if (broken !== undefined) return { refused: broken };
  return new Draft(state).finish();
}

export function isJoint(config: ConfState): boolean {
  return config.votersOutgoing.length > 0;
}

/** Everybody who votes in one half or the other, sorted. */
export function allVoters(config: ConfState): readonly bigint[] {
  if (!isJoint(config)) return config.voters;
  return sorted(new Set([...config.voters, ...config.votersOutgoing]));
}

function isEmpty(config: ConfState): boolean {
  return (
    config.learners.length === 0 &&
    config.votersOutgoing.length === 0 &&
    config.learnersNext.length === 0
  );
}

/** A configuration under change. */
class Draft {
  readonly voters: Set<bigint>;
  readonly #outgoing: Set<bigint>;
  readonly #learners: Set<bigint>;
  readonly #learnersNext: Set<bigint>;
  readonly #forgotten = new Set<bigint>();
  autoLeave: boolean;

  constructor(config: ConfState) {
    this.voters = new Set(config.voters);
    this.#outgoing = new Set(config.votersOutgoing);
    this.#learners = new Set(config.learners);
    this.#learnersNext = new Set(config.learnersNext);
    this.autoLeave = config.autoLeave;
  }

  change(changes: readonly MemberChange[]): void {
    for (const { kind, id } of changes) {
      if (id === 0n || kind === "update") continue;
      if (kind === "addVoter") this.#addVoter(id);
      else if (kind === "addLearner") this.#addLearner(id);
      else this.#remove(id);
    }
  }

  dropOutgoing(): void {
    for (const id of this.#learnersNext) this.#learners.add(id);
    this.#learnersNext.clear();
    const left = [...this.#outgoing];
    this.#outgoing.clear();
    for (const id of left) if (!this.#isKnown(id)) this.#forgotten.add(id);
    this.autoLeave = false;
  }

  finish(): ConfigResult {
    const config: ConfState = {
      voters: sorted(this.voters),
      learners: sorted(this.#learners),
      votersOutgoing: sorted(this.#outgoing),
      learnersNext: sorted(this.#learnersNext),
      autoLeave: this.autoLeave,
    };
    const broken = brokenRule(config);
    return broken === undefined ? { config, forgotten: this.#forgotten } : { refused: broken };
  }

  #addVoter(id: bigint): void {
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    this.voters.add(id);
  }

  #addLearner(id: bigint): void {
    this.voters.delete(id);
    if (this.#outgoing.has(id)) this.#learnersNext.add(id);
    else this.#learners.add(id);
  }

  #remove(id: bigint): void {
    if (!this.#isKnown(id)) return;
    this.voters.delete(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    if (!this.#outgoing.has(id)) this.#forgotten.add(id);
  }

  #isKnown(id: bigint): boolean {
    return this.voters.has(id) || this.#learners.has(id) || this.#outgoing.has(id);
  }
}

/** The rule at the head of this file that a configuration does not keep, if there is one. */
function brokenRule(config: ConfState): string | undefined {
  const { voters, votersOutgoing, learners, learnersNext } = config;
  for (const id of learnersNext) {
    if (!votersOutgoing.includes(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (learners.includes(id)) {
      return `${id} is in LearnersNext, but is already marked as learner`;
    }
  }
  for (const id of learners) {
    if (votersOutgoing.includes(id)) return `${id} is in Learners and Voters[1]`;
    if (voters.includes(id)) return `${id} is in Learners and Voters[0]`;
  }
  if (isJoint(config)) return undefined;
  return config.autoLeave ? "AutoLeave must be false when not joint" : undefined;
}

/** How many are in one of the two and not in the other. */
function differences(before: readonly bigint[], after: ReadonlySet<bigint>): number {
  let kept = 0;
  for (const id of before) if (after.has(id)) kept++;
  return before.length - kept + (after.size - kept);
}

function sorted(ids: Iterable<bigint>): readonly bigint[] {
  return [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
