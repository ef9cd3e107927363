// The configuration in force and what is known of everyone in it: each member's progress, the votes of
// the current election. Answers the leader's three questions: what is committed, is a quorum within
// reach, how does the election stand. The arrays that these need are made when the configuration
// changes, so that an acknowledgement costs no allocation.

import type { ConfigChanged } from "../confchange/changer.ts";
import { allVoters, emptyConfState, isJoint } from "../confchange/changer.ts";
import type { ConfState } from "../message.ts";
import { jointVote, majorityMatch, majorityOf, type VoteResult } from "../quorum/quorum.ts";
import { Progress, type WindowLimits } from "./progress.ts";

export interface Tally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

export class Tracker {
  readonly #limits: WindowLimits;
  #config = emptyConfState;
  #voters: readonly bigint[] = [];
  #progress: ReadonlyMap<bigint, Progress> = new Map();
  #all: readonly Progress[] = [];
  #incoming: readonly Progress[] = [];
  #outgoing: readonly Progress[] = [];
  readonly #votes = new Map<bigint, boolean>();

  constructor(limits: WindowLimits) {
    this.#limits = limits;
  }

  get config(): ConfState {
    return this.#config;
  }

  /** Everybody's progress in the order of ids, learners and the member itself too. Never changed. */
  get all(): readonly Progress[] {
    return this.#all;
  }

  /** Everybody who votes, in either half, sorted. */
  get voters(): readonly bigint[] {
    return this.#voters;
  }

  get isJoint(): boolean {
    return isJoint(this.#config);
  }

  /** One voter decides alone. There may be learners. */
  get isSingleton(): boolean {
    return this.#incoming.length === 1 && this.#outgoing.length === 0;
  }

  progress(id: bigint): Progress | undefined {
    return this.#progress.get(id);
  }

  isVoter(id: bigint): boolean {
    return this.#voters.includes(id);
  }

  /** Goes over to a changed configuration: newcomers are first probed with the last entry of the log. */
  change(changed: ConfigChanged, lastIndex: number): void {
    this.#adopt(changed.config, lastIndex, (id) =>
      changed.forgotten.has(id) ? undefined : this.#progress.get(id),
    );
  }

  /** Begins anew with a configuration from a snapshot or from the disk: all progress and votes are gone. */
  restart(config: ConfState, lastIndex: number): void {
    this.#votes.clear();
    this.#adopt(config, lastIndex, () => undefined);
  }

  /** A new term begins with a log that ends at `lastIndex`: no votes, no knowledge of other logs. */
  reset(self: bigint, lastIndex: number): void {
    this.#votes.clear();
    for (const progress of this.#all) {
      progress.reset(progress.id === self ? lastIndex : 0, lastIndex + 1);
    }
  }

  /** The greatest index that a quorum has; `Infinity` while there are no voters at all. */
  committed(): number {
    const incoming = majorityMatch(this.#incoming);
    if (this.#outgoing.length === 0) return incoming;
    return Math.min(incoming, majorityMatch(this.#outgoing));
  }

  /** A quorum has been heard from since the flags were last lowered. */
  isQuorumActive(): boolean {
    return isMajorityActive(this.#incoming) && isMajorityActive(this.#outgoing);
  }

  clearVotes(): void {
    this.#votes.clear();
  }

  /** The first word of a voter counts; repetitions change nothing. */
  recordVote(id: bigint, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  /** The numbers count voters of now only, whoever may have voted before. */
  tally(): Tally {
    let granted = 0;
    let rejected = 0;
    for (const id of this.#voters) {
      const vote = this.#votes.get(id);
      if (vote === true) granted++;
      else if (vote === false) rejected++;
    }
    const { voters, votersOutgoing } = this.#config;
    return { granted, rejected, result: jointVote(voters, votersOutgoing, this.#votes) };
  }

  #adopt(config: ConfState, lastIndex: number, known: (id: bigint) => Progress | undefined): void {
    const voters = allVoters(config);
    const progress = new Map<bigint, Progress>();
    for (const id of [...voters, ...config.learners].sort((a, b) => (a < b ? -1 : 1))) {
      const isLearner = config.learners.includes(id);
      const kept = known(id);
      if (kept !== undefined) kept.isLearner = isLearner;
      progress.set(id, kept ?? new Progress(id, Math.max(lastIndex, 1), isLearner, this.#limits));
    }
    this.#config = config;
    this.#voters = voters;
    this.#progress = progress;
    this.#all = [...progress.values()];
    this.#incoming = config.voters.map((id) => progress.get(id) as Progress);
    this.#outgoing = config.votersOutgoing.map((id) => progress.get(id) as Progress);
  }
}

function isMajorityActive(peers: readonly Progress[]): boolean {
  if (peers.length === 0) return true;
  let active = 0;
  for (const peer of peers) if (peer.recentActive) active++;
  return active >= majorityOf(peers.length);
}
