// When the leader's process has ended, nobody need wait for an election timeout: members learn of it by their
// connections, forget the leader, and campaign one after the other in the order of their ids. Nothing rests on
// it being true: a campaign begins by asking a quorum, and whoever still hears the leader says no.

import type { Clock } from "../io/clock.ts";
import type { RawNode } from "../raft/raw-node.ts";

export interface SuccessionParts {
  readonly memberId: bigint;
  readonly clock: Clock;
  readonly raw: RawNode;
  /** Something was told to the core. */
  onWork(): void;
}

/** So that the others have noticed as well, whom a campaign would ask in vain. */
const noticeMs = 30;
/** Between one member's turn and the next one's: a few round trips and disk writes. */
const turnMs = 60;

export class Succession {
  readonly #parts: SuccessionParts;

  constructor(parts: SuccessionParts) {
    this.#parts = parts;
  }

  /** Nothing listens where this member was. */
  onGone(id: bigint): void {
    const { raw, clock, memberId, onWork } = this.#parts;
    if (id !== raw.leader || raw.role !== "follower") return;
    const { term } = raw;
    const others = raw.confState.voters.filter((voter) => voter !== id);
    const turn = others.indexOf(memberId);
    raw.forgetLeader();
    onWork();
    if (turn < 0) return;
    const campaign = () => {
      if (raw.leader !== 0n || raw.role !== "follower" || raw.term !== term) return;
      raw.campaign();
      onWork();
    };
    clock.setTimer(noticeMs + turn * turnMs, campaign, { unref: true });
  }
}
