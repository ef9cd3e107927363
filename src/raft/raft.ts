// The consensus core of one member, pure: no clock, no chance, no I/O. The caller hands in
// proposals and completions, takes a Ready out, makes it durable, and applies what is committed.
// This version knows configurations of one voter: the quorum is the member itself, so an entry
// is committed as soon as it is on its own disk. It refuses any other configuration.
//
// The caller's loop:
//   raft.propose(...); const ready = raft.ready();
//   await log.append(ready.entries, ready.hardState); raft.persisted(last index);
//   apply(raft.ready().committed); raft.appliedTo(index);

import { assert } from "../base/assert.ts";
import type { Entry, HardState, Proposal, Ready } from "./types.ts";

export interface RaftOptions {
  readonly id: bigint;
  readonly voters: readonly bigint[];
  readonly hardState: HardState;
  /** The last entry that is applied and need not be seen again. */
  readonly applied: { readonly index: number; readonly term: number };
  /** The entries on disk after `applied`, without gaps. */
  readonly entries: readonly Entry[];
}

const nothing: readonly Entry[] = [];

export class Raft {
  readonly id: bigint;
  #term: number;
  #vote: bigint;
  #commit: number;
  #role: "follower" | "leader" = "follower";
  /** The log after `#offset`: `#entries[i]` has index `#offset + 1 + i`. */
  #entries: Entry[];
  #offset: number;
  #offsetTerm: number;
  /** Entries up to here were handed out to be written (Ready.entries). */
  #handedOut: number;
  /** Entries up to here are durable on this member. */
  #persisted: number;
  /** Entries up to here were handed out to be applied (Ready.committed). */
  #applying: number;
  /** The last one handed out, and the last one known to be on disk. */
  #lastHardState: HardState;
  #persistedHardState: HardState;

  constructor(options: RaftOptions) {
    assert(
      options.voters.length === 1 && options.voters[0] === options.id,
      "a configuration has exactly one voter, the member itself",
    );
    this.id = options.id;
    this.#term = options.hardState.term;
    this.#vote = options.hardState.vote;
    this.#entries = [...options.entries];
    this.#offset = options.applied.index;
    this.#offsetTerm = options.applied.term;
    this.#entries.forEach((entry, i) => {
      assert(entry.index === this.#offset + 1 + i, `log has a gap before entry ${entry.index}`);
    });
    this.#commit = Math.max(options.hardState.commit, options.applied.index);
    assert(this.#commit <= this.lastIndex, `commit ${this.#commit} is past the end of the log`);
    this.#handedOut = this.lastIndex;
    this.#persisted = this.lastIndex;
    this.#applying = options.applied.index;
    this.#lastHardState = options.hardState;
    this.#persistedHardState = options.hardState;
  }

  get term(): number {
    return this.#term;
  }

  get commitIndex(): number {
    return this.#commit;
  }

  get lastIndex(): number {
    return this.#offset + this.#entries.length;
  }

  /** The leader's id, or 0 while there is none. */
  get leader(): bigint {
    return this.#role === "leader" ? this.id : 0n;
  }

  /** Begins an empty log with the entries that a new cluster agrees on beforehand, at term 1. */
  bootstrap(proposals: readonly Proposal[]): void {
    assert(this.lastIndex === 0, "only an empty log is bootstrapped");
    this.#term = 1;
    this.#push(proposals);
  }

  /**
   * Starts an election, wins it (the only vote is its own) and appends the empty entry that lets the
   * new term commit what earlier terms left behind.
   */
  campaign(): void {
    this.#term += 1;
    this.#vote = this.id;
    this.#role = "leader";
    this.propose([{ type: 0, data: new Uint8Array(0) }]);
  }

  /** Appends to the leader's log. Returns the index of the first entry; the rest follow without gaps. */
  propose(proposals: readonly Proposal[]): number {
    assert(this.#role === "leader", "only a leader appends proposals");
    return this.#push(proposals);
  }

  #push(proposals: readonly Proposal[]): number {
    const first = this.lastIndex + 1;
    for (let i = 0; i < proposals.length; i++) {
      const proposal = proposals[i] as Proposal;
      this.#entries.push({
        term: this.#term,
        index: first + i,
        type: proposal.type,
        data: proposal.data,
      });
    }
    return first;
  }

  /** What is to be done now. Each entry is handed out once for writing and once for applying. */
  ready(): Ready {
    const entries = this.#slice(this.#handedOut, this.lastIndex);
    this.#handedOut = this.lastIndex;
    const committed = this.#slice(this.#applying, this.#commit);
    this.#applying = this.#commit;
    return { hardState: this.#changedHardState(), entries, committed };
  }

  /** Everything handed out up to `index` is durable; with one voter this commits it. */
  persisted(index: number): void {
    assert(index <= this.#handedOut, `entry ${index} was never handed out`);
    if (index > this.#persisted) this.#persisted = index;
    this.#persistedHardState = this.#lastHardState;
    if (this.#role === "leader" && this.#persisted > this.#commit) this.#commit = this.#persisted;
  }

  /**
   * The append of all that was handed out after `persistedIndex` failed and nothing of it is in the
   * log: drops those entries, so that they can never commit. The caller fails their proposals. The
   * hard state that went with them is handed out again.
   */
  appendFailed(): void {
    this.#entries.length = this.#persisted - this.#offset;
    this.#handedOut = this.#persisted;
    this.#lastHardState = this.#persistedHardState;
  }

  /** Entries up to `index` are applied and kept elsewhere: forgets them. */
  compact(index: number): void {
    assert(index <= this.#applying, `entry ${index} was not handed out to be applied`);
    if (index <= this.#offset) return;
    this.#offsetTerm = this.termOf(index);
    if (index === this.lastIndex) this.#entries = [];
    else this.#entries.splice(0, index - this.#offset);
    this.#offset = index;
  }

  /** The term of an entry that is still in memory, or of the last one forgotten. */
  termOf(index: number): number {
    if (index === this.#offset) return this.#offsetTerm;
    const entry = this.#entries[index - this.#offset - 1];
    assert(entry !== undefined, `entry ${index} is not in the log`);
    return entry.term;
  }

  #slice(after: number, upTo: number): readonly Entry[] {
    if (after >= upTo) return nothing;
    const from = after - this.#offset;
    const to = upTo - this.#offset;
    if (from === 0 && to === this.#entries.length) return this.#entries.slice();
    return this.#entries.slice(from, to);
  }

  /** Only term and vote must be durable before acting; a newer commit index rides along with them. */
  #changedHardState(): HardState | undefined {
    const last = this.#lastHardState;
    if (last.term === this.#term && last.vote === this.#vote && last.commit === this.#commit) {
      return undefined;
    }
    this.#lastHardState = { term: this.#term, vote: this.#vote, commit: this.#commit };
    return this.#lastHardState;
  }
}
