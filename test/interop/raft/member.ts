// One member of an interaction transcript: a RawNode on a log in memory, the work that its append and
// apply threads have before them, and a state machine that appends every entry's bytes to its state and
// remembers each state as a snapshot.

import { Random } from "../../../src/base/random.ts";
import { emptyConfState } from "../../../src/raft/confchange/changer.ts";
import { LogStorage } from "../../../src/raft/log-storage.ts";
import type { ConfState, Message, Snapshot } from "../../../src/raft/message.ts";
import { type RaftConfig, RawNode } from "../../../src/raft/raw-node.ts";
import { type Entry, EntryType, type HardState } from "../../../src/raft/types.ts";
import { ConfChange, ConfChangeV2 } from "../../../src/wire/generated/raft.ts";
import { isEmptyHardState, isSnapshot } from "./describe.ts";

export type MemberOptions = Omit<RaftConfig, "id" | "storage" | "random">;

export const emptySnapshot: Snapshot = {
  metadata: { index: 0, term: 0, confState: emptyConfState },
  data: new Uint8Array(0),
};

export class Member {
  readonly id: bigint;
  readonly options: MemberOptions;
  readonly storage = new LogStorage();
  readonly raft: RawNode;
  appendWork: Message[] = [];
  applyWork: Message[] = [];
  /** A snapshot for every entry that was applied; a follower that needs one gets the last. */
  readonly #history: Snapshot[];

  constructor(id: bigint, options: MemberOptions, start: Snapshot) {
    this.id = id;
    this.options = options;
    this.#history = [start];
    this.storage.snapshotSource = () => this.snapshot();
    if (isSnapshot(start)) this.storage.applySnapshot(start);
    this.raft = new RawNode({ ...options, id, storage: this.storage, random: new Random(id) });
  }

  snapshot(): Snapshot {
    return this.#history.at(-1) as Snapshot;
  }

  /** What a disk does with a Ready, or with the message to the append thread. */
  persist(
    hardState: HardState | undefined,
    entries: readonly Entry[],
    snapshot: Snapshot | undefined,
  ): void {
    if (hardState !== undefined && !isEmptyHardState(hardState)) {
      this.storage.setHardState(hardState);
    }
    if (isSnapshot(snapshot)) this.storage.applySnapshot(snapshot);
    this.storage.append(entries);
  }

  apply(entries: readonly Entry[]): void {
    for (const { index, term, type, data } of entries) {
      const before = this.snapshot();
      let update = data;
      let confState: ConfState = before.metadata.confState;
      if (type !== EntryType.normal) {
        const codec = type === EntryType.confChange ? ConfChange : ConfChangeV2;
        const change = codec.decode(data);
        confState = this.raft.applyConfChange(change);
        update = change.context ?? new Uint8Array(0);
      }
      const state = Buffer.concat([before.data, update]);
      this.#history.push({ metadata: { index, term, confState }, data: state });
    }
  }
}
