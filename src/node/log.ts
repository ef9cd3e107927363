// What the replica needs of a log: the WAL on disk, or a stand-in for members that live in memory only.

import type { Entry, HardState } from "../raft/types.ts";
import type { Wal } from "../wal/wal.ts";

export interface Log {
  /** Resolves when all of it is durable. One call at a time. A rejection means that nothing of it is in the log. */
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

/** The WAL, which takes one call at a time: calls wait for the one before. */
export class DiskLog implements Log {
  readonly #wal: Wal;
  #last: Promise<unknown> = Promise.resolve();
  #busy = 0;

  constructor(wal: Wal) {
    this.#wal = wal;
  }

  append(
    entries: readonly Entry[],
    hardState: HardState | undefined,
    mustSync: boolean,
  ): Promise<void> {
    return this.#inTurn(() => this.#wal.append(entries, hardState, mustSync));
  }

  saveSnapshot(snapshot: LogSnapshot): Promise<void> {
    return this.#inTurn(() => this.#wal.saveSnapshot(snapshot));
  }

  release(index: number): Promise<void> {
    return this.#inTurn(() => this.#wal.release(index));
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#wal.close());
  }

  #inTurn(call: () => Promise<void>): Promise<void> {
    const result = this.#busy === 0 ? call() : this.#last.then(call);
    this.#busy += 1;
    this.#last = result.then(this.#done, this.#done);
    return result;
  }

  readonly #done = (): void => {
    this.#busy -= 1;
  };
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
