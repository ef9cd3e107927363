// What a member does for the cluster beside replicating: changes of members, leases for clients of other
// members, the version that all agree on.

import type { LoggedCommand } from "./apply/state-machine.ts";
import type { Leadership } from "./leadership.ts";
import { LeaseCalls } from "./lease-calls.ts";
import { versionOfServer } from "./member-status.ts";
import { VersionMonitor } from "./members/cluster-version.ts";
import { type ConfChangeRequest, Reconfigurer } from "./members/reconfigure.ts";
import type { ReplicaOptions, ReplicaParts } from "./replica-options.ts";
import type { Replica } from "./replica-types.ts";

export interface ClusterDuties {
  readonly reconfigurer: Reconfigurer;
  readonly leases: LeaseCalls;
  readonly versions: VersionMonitor;
}

/** What the duties need of the replica that has them. */
export interface DutiesHost {
  readonly replica: Pick<Replica, "peers" | "raftStatus" | "proposeAsync" | "readIndexAsync"> & {
    readonly isLeader: boolean;
  };
  readonly leadership: Leadership;
  /** Resolves when the change is applied here; rejects with a StatusError. */
  proposeConfChange(change: ConfChangeRequest): Promise<void>;
  transferTo(id: bigint): void;
}

export function clusterDuties(
  options: ReplicaOptions,
  parts: ReplicaParts,
  { replica, leadership, proposeConfChange, transferTo }: DutiesHost,
): ClusterDuties {
  const { calls, stateMachine } = parts;
  const propose = ([field, message]: LoggedCommand) => replica.proposeAsync(field, message);
  const reconfigurer = new Reconfigurer(
    { ...options, strict: options.strictReconfig },
    {
      ...parts,
      health: () => replica.peers(),
      raftStatus: () => replica.raftStatus(),
      propose: proposeConfChange,
      transferLeader: transferTo,
      promoteAt: (urls, id, timeoutMs) => calls.promote(urls, id, timeoutMs),
    },
  );
  const { requestTimeoutMs } = options;
  const leases = new LeaseCalls({ ...parts, leadership, replica, requestTimeoutMs });
  const versions = new VersionMonitor({
    ...parts,
    memberId: options.memberId,
    version: versionOfServer,
    isLeader: () => replica.isLeader,
    versionsOf: (member) => calls.versions(member.peerURLs),
    setClusterVersion: (version) => propose(stateMachine.versionCommand(version)),
    endDowngrade: () => propose(stateMachine.downgradeCommand(false, "")),
  });
  return { reconfigurer, leases, versions };
}
