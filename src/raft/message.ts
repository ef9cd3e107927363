// What members say to each other, and what the core says to its own log and state machine. Names and
// numbers are raftpb's. Ids are bigint (0n: nobody), terms and indexes safe integers (0: none).

import type { Entry } from "./types.ts";

/** raftpb.MessageType. From `storageAppend` on they never leave the member. */
export const MessageType = {
  hup: 0,
  beat: 1,
  prop: 2,
  app: 3,
  appResp: 4,
  vote: 5,
  voteResp: 6,
  snap: 7,
  heartbeat: 8,
  heartbeatResp: 9,
  unreachable: 10,
  snapStatus: 11,
  checkQuorum: 12,
  transferLeader: 13,
  timeoutNow: 14,
  readIndex: 15,
  readIndexResp: 16,
  preVote: 17,
  preVoteResp: 18,
  storageAppend: 19,
  storageAppendResp: 20,
  storageApply: 21,
  storageApplyResp: 22,
  forgetLeader: 23,
} as const;

export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** Who votes: raftpb.ConfState. Lists are sorted. */
export interface ConfState {
  readonly voters: readonly bigint[];
  readonly learners: readonly bigint[];
  readonly votersOutgoing: readonly bigint[];
  readonly learnersNext: readonly bigint[];
  readonly autoLeave: boolean;
}

export interface SnapshotMetadata {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
}

/** A state that stands for all entries up to its index. The state itself travels beside it; `data` is small. */
export interface Snapshot {
  readonly metadata: SnapshotMetadata;
  readonly data: Uint8Array;
}

export interface Message {
  readonly type: MessageType;
  readonly to: bigint;
  readonly from: bigint;
  readonly term: number;
  readonly logTerm: number;
  readonly index: number;
  /** Shared with the log: never changed. */
  readonly entries: readonly Entry[];
  readonly commit: number;
  readonly vote: bigint;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  readonly rejectHint: number;
  /** Empty when there is none. */
  readonly context: Uint8Array;
  /** Of storageAppend and storageApply: what to step or send when it is done. */
  readonly responses: readonly Message[];
}

/** `to` of storageAppend and storageApply. */
export const localAppendThread = 0xffff_ffff_ffff_ffffn;
export const localApplyThread = 0xffff_ffff_ffff_fffen;
