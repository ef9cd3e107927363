// What a member that has no others around it has instead of a network between members.

import { Status, StatusError } from "../base/status.ts";
import type { PeerClient } from "../peer/peer-client.ts";
import type { PeerHealth, Transport } from "../peer/types.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import type { PeerCalls } from "./members/peer-calls.ts";
import type { SnapshotFiles } from "./snapshot/snapshot-files.ts";

export class NoTransport implements Transport {
  start(): void {}
  send(): void {}
  sendSnapshot(): void {}
  addPeer(): void {}
  updatePeer(): void {}
  removePeer(): void {}
  health(): readonly PeerHealth[] {
    return [];
  }
  async close(): Promise<void> {}
}

export const noPeerCalls: PeerCalls = {
  renewLease: () => Promise.reject(toStatusError(EtcdErrors.noLeader)),
  leaseTimes: () => Promise.reject(toStatusError(EtcdErrors.noLeader)),
  promote: () => Promise.reject(toStatusError(EtcdErrors.noLeader)),
  versions: () => Promise.resolve(undefined),
};

export const unreachable = (): Promise<never> =>
  Promise.reject(new StatusError(Status.UNAVAILABLE, "there is no network between members"));

export const noPeerClient: PeerClient = {
  members: unreachable,
  versions: unreachable,
  downgradeEnabled: unreachable,
  promote: unreachable,
  renewLease: unreachable,
  leaseTimeToLive: unreachable,
  hashKv: unreachable,
};

const noDisk = (): Promise<never> =>
  Promise.reject(
    new StatusError(Status.FAILED_PRECONDITION, "a member that keeps nothing makes no snapshots"),
  );

/** Of a member that lives in memory only. */
export const noSnapshotFiles: SnapshotFiles = {
  write: noDisk,
  prepare: noDisk,
  install: noDisk,
  open: noDisk,
  close: () => Promise.resolve(),
};
