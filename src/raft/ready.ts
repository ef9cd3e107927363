// What the core hands to its caller, and what a caller may know of it.

import type { ConfState, Message, Snapshot } from "./message.ts";
import type { Entry, HardState } from "./types.ts";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

export interface SoftState {
  /** 0n while none is known. */
  readonly leader: bigint;
  readonly role: Role;
}

/** A read that was asked for with `context` may be served once entry `index` is applied. */
export interface ReadState {
  readonly index: number;
  readonly context: Uint8Array;
}

/**
 * What is to be done now. With `asyncStorageWrites` all of it is in `messages`: to `localAppendThread`
 * (write entries, hard state and snapshot in the order of these messages; when durable, deliver its
 * `responses`), to `localApplyThread` (apply its entries; then deliver its `responses`), and to peers (send at
 * once). A response to this member's own id is stepped, others are sent. Without it, the caller writes `entries`, `hardState` and
 * `snapshot`, then sends `messages`, applies `committedEntries` and calls `advance`.
 */
export interface Ready {
  readonly softState: SoftState | undefined;
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  readonly mustSync: boolean;
}

export type ProgressState = "probe" | "replicate" | "snapshot";

/** What a leader knows of one member. */
export interface ProgressStatus {
  readonly id: bigint;
  readonly match: number;
  readonly next: number;
  readonly state: ProgressState;
  readonly isLearner: boolean;
  readonly recentActive: boolean;
  readonly pendingSnapshot: number;
  /** Appends that were sent and not acknowledged. */
  readonly inflight: number;
  readonly isWindowFull: boolean;
  /** No append is to be sent now: a probe or a snapshot is under way, or the window is full. */
  readonly isPaused: boolean;
}

export interface RaftStatus {
  readonly id: bigint;
  readonly term: number;
  readonly vote: bigint;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly leader: bigint;
  readonly role: Role;
  /** 0n while no transfer of leadership is under way. */
  readonly leadTransferee: bigint;
  readonly confState: ConfState;
  /** Of the leader only, else empty. */
  readonly progress: readonly ProgressStatus[];
}
