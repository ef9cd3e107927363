// A member's whole state as an etcd database file, and back: what snapshot-exchange.ts needs of
// src/node/snapshot/, which does it.

import type { ConfState } from "../../raft/message.ts";
import type { SnapshotReader } from "./snapshot-reader.ts";

/** The last entry that a state contains, and who votes after it. */
export interface SnapshotPoint {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
}

export interface SnapshotFacts extends SnapshotPoint {
  readonly sizeBytes: number;
}

export interface SnapshotFiles {
  /** Writes the state of now, or a little older, to a new file; the member serves on meanwhile. */
  write(path: string): Promise<SnapshotFacts>;
  /**
   * Builds a database from a received file, durable beside the present one, so that `install` need not; the member
   * goes on meanwhile. Rejects with a StatusError when the file is no such state.
   */
  prepare(path: string, point: SnapshotPoint): Promise<void>;
  /**
   * Builds a database from a file unless that is done; calls `note`, which makes the change known to
   * the log; then puts it in the place of the present one, and the store and the leases go on from it.
   */
  install(path: string, point: SnapshotPoint, note: () => Promise<void>): Promise<void>;
  /** Writes the state of now to a temporary file, for someone to read. */
  open(signal: AbortSignal): Promise<SnapshotReader>;
  /** Gives up what is being written. */
  close(): Promise<void>;
}
