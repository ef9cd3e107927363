// What the replica needs of a log: the WAL on disk, or a stand-in for members that live in memory only.

import type { Entry, HardState } from "../../raft/types.ts";

export interface Log {
  /** Resolves when all of it is durable. A rejection means that nothing of it is in the log. */
  append(
    entries: readonly Entry[],
    hardState: HardState | undefined,
    mustSync: boolean,
  ): Promise<void>;
  /** Notes that everything up to this entry is kept elsewhere. */
  saveSnapshot(snapshot: LogSnapshot): Promise<void>;
  /** May drop what is only needed for entries up to `index`. */
  release(index: number): Promise<void>;
  close(): Promise<void>;
}

export interface LogSnapshot {
  readonly index: number;
  readonly term: number;
  /** Encoded raftpb.ConfState. */
  readonly confState: Uint8Array;
}

const done = Promise.resolve();

/** Forgets everything at once: for members that keep nothing. */
export class MemoryLog implements Log {
  append(): Promise<void> {
    return done;
  }
  saveSnapshot(): Promise<void> {
    return done;
  }
  release(): Promise<void> {
    return done;
  }
  close(): Promise<void> {
    return done;
  }
}
