// --force-new-cluster: what is left of a cluster goes on as one member. Entries that were never known to be
// committed are dropped; new ones remove all other members, and count as committed at once. Unsafe by
// nature: what the lost majority acknowledged meanwhile is gone.

import { type Entry, EntryType, type HardState } from "../../raft/types.ts";
import { ConfChangeKind, encodeConfChange } from "../../wire/conf-change.ts";
import { ConfChange } from "../../wire/generated/raft.ts";
import { memberJson } from "../../wire/member-json.ts";

export interface ForcedLog {
  readonly memberId: bigint;
  /** What the store has applied: committed for sure. */
  readonly applied: { readonly index: number; readonly term: number };
  /** Members and learners as the store knows them. */
  readonly memberIds: readonly bigint[];
  readonly hardState: HardState;
  /** The log after `applied`. */
  readonly entries: readonly Entry[];
}

export interface ForcedStart {
  /** Its commit covers all of `entries`. */
  readonly hardState: HardState;
  /** The log after `applied` from now on. */
  readonly entries: readonly Entry[];
  /** The end of `entries` that must be written to the log before anything else, over what is there. */
  readonly added: readonly Entry[];
  /** How many entries were dropped. */
  readonly dropped: number;
}

/** Where a member says it is when it is not among its own members; as in etcd, to be updated by hand. */
const unknownPeerUrl = "http://localhost:2380";

export function forceNewCluster(log: ForcedLog): ForcedStart {
  const { hardState, applied, memberId } = log;
  // A commit alone is not always written; what was applied had one.
  const commit = Math.max(hardState.commit, applied.index);
  const kept = log.entries.filter((entry) => entry.index <= commit);
  const ids = membersAfter(log.memberIds, kept);
  const changes: Uint8Array[] = [];
  // First comes this member: there must never be a moment without one.
  if (!ids.has(memberId)) {
    const context = Buffer.from(memberJson({ ID: memberId, peerURLs: [unknownPeerUrl] }));
    changes.push(encodeConfChange({ type: ConfChangeKind.addNode, nodeId: memberId, context }));
  }
  for (const id of [...ids].sort((a, b) => (a < b ? -1 : 1))) {
    if (id === memberId) continue;
    changes.push(encodeConfChange({ type: ConfChangeKind.removeNode, nodeId: id }));
  }
  const added = changes.map((data, i) => ({
    term: hardState.term,
    index: commit + 1 + i,
    type: EntryType.confChange,
    data,
  }));
  return {
    hardState: { ...hardState, commit: commit + added.length },
    entries: [...kept, ...added],
    added,
    dropped: log.entries.length - kept.length,
  };
}

function membersAfter(ids: readonly bigint[], entries: readonly Entry[]): Set<bigint> {
  const members = new Set(ids);
  for (const entry of entries) {
    if (entry.type !== EntryType.confChange) continue;
    const { type, nodeId = 0n } = ConfChange.decode(entry.data);
    if (type === ConfChangeKind.removeNode) members.delete(nodeId);
    else if (type !== ConfChangeKind.updateNode) members.add(nodeId);
  }
  return members;
}
