// What a member says of itself when it is asked: versions, sizes, how far it has come, what is wrong.

import type { Store } from "../mvcc/store.ts";
import type { RawNode } from "../raft/raw-node.ts";
import { AlarmType } from "./apply/alarm-set.ts";
import type { Alarm, ReplicaStatus } from "./replica-types.ts";

/** The etcd whose API and files these are. */
export const versionOfServer = "3.7.3";
export const versionOfStorage = "3.7.0";

export interface MemberStatusParts {
  readonly store: Store;
  readonly raw: RawNode;
  readonly quotaBytes: number;
  readonly appliedIndex: number;
  readonly isLearner: boolean;
  readonly alarms: readonly Alarm[];
}

export function memberStatus(parts: MemberStatusParts): ReplicaStatus {
  const { store, raw, quotaBytes, appliedIndex, isLearner, alarms } = parts;
  const size = store.size();
  const errors = alarms.map(({ memberId, type }) => {
    const name = type === AlarmType.noSpace ? "NOSPACE" : "CORRUPT";
    return `memberID:${memberId} alarm:${name} `;
  });
  if (raw.leader === 0n) errors.push("etcdserver: no leader");
  return {
    version: versionOfServer,
    storageVersion: versionOfStorage,
    dbSizeBytes: size.totalBytes,
    dbSizeInUseBytes: size.inUseBytes,
    quotaBytes,
    leader: raw.leader,
    raftIndex: raw.commit,
    raftTerm: raw.term,
    appliedIndex,
    isLearner,
    errors,
  };
}
