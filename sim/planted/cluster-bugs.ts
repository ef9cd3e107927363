// Bugs planted in whole clusters, at the seams of real members: in their disk and database, in what they say to each
// other, in methods of their parts that are replaced while the run lasts. Each must be found within a stated number
// of seeds.

import { Lessor } from "../../src/lease/lessor.ts";
import { metaKeys } from "../../src/mvcc/flush.ts";
import { WatchHub } from "../../src/mvcc/watch-hub.ts";
import { Proposals } from "../../src/node/loop/proposals.ts";
import { ReadRounds } from "../../src/node/loop/read-rounds.ts";
import type { MemberDependencies } from "../../src/node/open-member.ts";
import { MemberReplica } from "../../src/node/replica.ts";
import { MemberSnapshots } from "../../src/node/snapshot/member-snapshots.ts";
import { type Message, MessageType } from "../../src/raft/message.ts";
import { RawNode } from "../../src/raft/raw-node.ts";
import { WriteBatch } from "../../src/storage/backend.ts";
import { Wal } from "../../src/wal/wal.ts";
import type { ClusterSeedOptions } from "../cluster.ts";
import { replaceMethod } from "./patch.ts";

export interface PlantedClusterBug {
  readonly name: string;
  /** Found within seeds 1 to this. */
  readonly seedsMax: number;
  readonly options?: ClusterSeedOptions;
  /** Plants it; returns what takes it out again. */
  readonly plant?: () => () => void;
}

/** Says that it is durable at once; the machine's disk writes it when it likes. */
function withoutSync({ disk, ...others }: MemberDependencies): MemberDependencies {
  const open: MemberDependencies["disk"]["open"] = async (path, mode) => {
    const plain = mode.replace("-durable", "") as typeof mode;
    const file = await disk.open(path, plain);
    return { ...file, datasync: async () => {} };
  };
  return { ...others, disk: { ...disk, open } };
}

/** The index of what the database holds goes with every other commit only. */
function forgettingIndex(dependencies: MemberDependencies): MemberDependencies {
  const { databases } = dependencies;
  if (databases === undefined) return dependencies;
  let commits = 0;
  const open: typeof databases.open = async (path, options) => {
    const backend = await databases.open(path, options);
    const commit = backend.commit.bind(backend);
    backend.commit = (batch, onVisible) => {
      if (commits++ % 2 === 0) return commit(batch, onVisible);
      const kept = new WriteBatch();
      for (const operation of batch.operations) {
        const { table, key, value } = operation;
        if (table === "meta" && metaKeys.consistentIndex.equals(key)) continue;
        if (value) kept.put(table, key, value);
        else kept.delete(table, key);
      }
      return commit(kept, onVisible);
    };
    return backend;
  };
  return { ...dependencies, databases: { ...databases, open } };
}

function voteForEverybody(message: Message): Message {
  const { type } = message;
  const isVote = type === MessageType.voteResp || type === MessageType.preVoteResp;
  return isVote ? { ...message, reject: false } : message;
}

export const plantedClusterBugs: readonly PlantedClusterBug[] = [
  { name: "the log is not synced", seedsMax: 50, options: { plant: withoutSync } },
  {
    name: "the log acknowledges what it has not written",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        Wal,
        "append",
        (original) =>
          function (this: Wal, ...values) {
            original.apply(this, values).catch(() => {});
            return Promise.resolve();
          },
      ),
  },
  {
    name: "entries are applied again after a restart",
    seedsMax: 50,
    options: { plant: forgettingIndex },
  },
  { name: "members vote for everybody", seedsMax: 50, options: { filter: voteForEverybody } },
  {
    name: "followers answer reads without asking the leader",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        MemberReplica,
        "readIndex",
        (original) =>
          function (this: MemberReplica, receiver, ticket) {
            if (this.isLeader) original.call(this, receiver, ticket);
            else receiver.onReadable(ticket);
          },
      ),
  },
  {
    name: "a leader answers reads without asking a quorum",
    seedsMax: 200,
    plant: () =>
      replaceMethod(
        MemberReplica,
        "readIndex",
        (original) =>
          function (this: MemberReplica, receiver, ticket) {
            if (this.isLeader) receiver.onReadable(ticket);
            else original.call(this, receiver, ticket);
          },
      ),
  },
  {
    name: "reads do not wait until their index is applied",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        ReadRounds,
        "confirm",
        (original) =>
          function (this: ReadRounds, context) {
            original.call(this, context, 0);
          },
      ),
  },
  {
    name: "leases go on from their grant when the leader changes",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        Lessor,
        "promote",
        (original) =>
          function (this: Lessor, nowMs) {
            original.call(this, nowMs - 2000, 0);
          },
      ),
  },
  {
    name: "a leader that was replaced ends leases through its successor",
    seedsMax: 1000,
    plant: () => replaceMethod(Proposals, "forgetDuties", () => () => {}),
  },
  {
    name: "leases that ended are not revoked",
    seedsMax: 50,
    plant: () => replaceMethod(Lessor, "expired", () => () => []),
  },
  {
    name: "watches skip what a snapshot brings",
    seedsMax: 50,
    plant: () => replaceMethod(WatchHub, "adopt", () => () => {}),
  },
  {
    name: "a snapshot carries the index of the entry after it",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        MemberSnapshots,
        "write",
        (original) =>
          async function (this: MemberSnapshots, path, signal) {
            const facts = await original.call(this, path, signal);
            return { ...facts, index: facts.index + 1 };
          },
      ),
  },
  {
    name: "a removed member stays a voter",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        RawNode,
        "applyConfChange",
        (original) =>
          function (this: RawNode, change) {
            const isRemoval =
              "procedure" in change && change.changes.some(({ kind }) => kind === "remove");
            return isRemoval ? this.confState : original.call(this, change);
          },
      ),
  },
];
