// The words that the raft core and its caller share. Terms and indexes are safe integers, ids bigint.

/** Raft entry types, by etcd's numbers. */
export const EntryType = { normal: 0, confChange: 1, confChangeV2: 2 } as const;

/** One entry of the log. `data` is never changed after it was proposed. */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** What must be on disk before a member speaks or votes. */
export interface HardState {
  readonly term: number;
  readonly vote: bigint;
  readonly commit: number;
}

/** What a caller proposes: an entry without its place in the log. */
export interface Proposal {
  readonly type: number;
  readonly data: Uint8Array;
}
