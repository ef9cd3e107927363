// What a leader knows of one member's log, and whether it may send it more. Three states:
// `probe` (where its log ends is a guess: one append at a time), `replicate` (it follows: appends
// are sent ahead of their acknowledgements, within the window), `snapshot` (it needs entries that
// are gone: nothing is sent until a snapshot has arrived). Invariant: match < next.

import { assert } from "../../base/assert.ts";
import type { ProgressState, ProgressStatus } from "../ready.ts";
import { Inflights } from "./inflights.ts";

export interface WindowLimits {
  readonly maxInflightMessages: number;
  /** 0: no limit. */
  readonly maxInflightBytes: number;
}

export class Progress {
  readonly id: bigint;
  readonly inflights: Inflights;
  isLearner: boolean;
  /** It has been heard from since the flag was last lowered (checkQuorum does). */
  recentActive: boolean;
  /** The next append waits for a heartbeat response: a probe is out, or the window is full. */
  appendsPaused = false;
  #state: ProgressState = "probe";
  #match = 0;
  #next: number;
  /** The highest commit index on its way to the member, as far as the leader can tell. */
  #sentCommit = 0;
  #pendingSnapshot = 0;

  /** A member that has just become known: a first probe with `next`, and it counts as active. */
  constructor(id: bigint, next: number, isLearner: boolean, limits: WindowLimits) {
    this.id = id;
    this.#next = next;
    this.isLearner = isLearner;
    this.recentActive = true;
    this.inflights = new Inflights(limits.maxInflightMessages, limits.maxInflightBytes);
  }

  get state(): ProgressState {
    return this.#state;
  }

  /** Its log agrees with the leader's up to here. */
  get match(): number {
    return this.#match;
  }

  /** The next entry to send. Everything between match and next is in flight. */
  get next(): number {
    return this.#next;
  }

  /** The index of the snapshot it is being sent; 0 outside the snapshot state. */
  get pendingSnapshot(): number {
    return this.#pendingSnapshot;
  }

  /** No append is to be sent now. */
  get isPaused(): boolean {
    return this.#state === "snapshot" || this.appendsPaused;
  }

  /** A new term begins: forgets everything but who it is. `match` 0 except for the leader itself. */
  reset(match: number, next: number): void {
    this.#enter("probe");
    this.#match = match;
    this.#next = next;
    this.#sentCommit = 0;
    this.recentActive = false;
  }

  /** Begins to look for the end of its log; after a snapshot that arrived, from that snapshot on. */
  becomeProbe(): void {
    const snapshot = this.#pendingSnapshot;
    this.#enter("probe");
    this.#next = Math.max(this.#match, snapshot) + 1;
    this.#lowerSentCommit();
  }

  becomeReplicate(): void {
    this.#enter("replicate");
    this.#next = this.#match + 1;
  }

  /** A snapshot up to `index` is being sent. */
  becomeSnapshot(index: number): void {
    this.#enter("snapshot");
    this.#pendingSnapshot = index;
    this.#next = index + 1;
    this.#sentCommit = index;
  }

  /** The snapshot did not arrive: the probe that follows must not count on it. */
  snapshotFailed(): void {
    this.#pendingSnapshot = 0;
  }

  /** An append with `count` entries of `bytes` payload, from `next` on, was sent. */
  sentEntries(count: number, bytes: number): void {
    assert(this.#state !== "snapshot", "no entries are sent while a snapshot is under way");
    if (this.#state === "probe") {
      if (count > 0) this.appendsPaused = true;
      return;
    }
    if (count > 0) {
      this.#next += count;
      this.inflights.add(this.#next - 1, bytes);
    }
    this.appendsPaused = this.inflights.isFull;
  }

  /** A message that carries this commit index was sent. */
  sentCommit(commit: number): void {
    this.#sentCommit = commit;
  }

  /** Telling it this commit index may let it commit more than what it was told before. */
  canBumpCommit(commit: number): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.#next - 1;
  }

  /** It has acknowledged everything up to `index`. False when that is old news. */
  acknowledge(index: number): boolean {
    if (index <= this.#match) return false;
    this.#match = index;
    if (index >= this.#next) this.#next = index + 1;
    this.appendsPaused = false;
    return true;
  }

  /**
   * It refused the append that follows `rejected`, and says its log may agree up to `hint`. False when
   * the refusal is stale (late, or duplicated) and nothing changes.
   */
  reject(rejected: number, hint: number): boolean {
    if (this.#state === "replicate") {
      if (rejected <= this.#match) return false;
      this.#next = this.#match + 1;
      this.#lowerSentCommit();
      return true;
    }
    // A probe is the only append out, so a refusal of anything else answers an earlier one.
    if (rejected !== this.#next - 1) return false;
    this.#next = Math.max(Math.min(rejected, hint + 1), this.#match + 1);
    this.#lowerSentCommit();
    this.appendsPaused = false;
    return true;
  }

  /** A copy for whoever asks from outside. */
  status(): ProgressStatus {
    return {
      id: this.id,
      match: this.#match,
      next: this.#next,
      state: this.#state,
      isLearner: this.isLearner,
      recentActive: this.recentActive,
      pendingSnapshot: this.#pendingSnapshot,
      inflight: this.inflights.count,
      isWindowFull: this.inflights.isFull,
      isPaused: this.isPaused,
    };
  }

  #enter(state: ProgressState): void {
    this.#state = state;
    this.#pendingSnapshot = 0;
    this.appendsPaused = false;
    this.inflights.clear();
  }

  #lowerSentCommit(): void {
    if (this.#sentCommit > this.#next - 1) this.#sentCommit = this.#next - 1;
  }
}
