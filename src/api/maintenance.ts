// The Maintenance service of one member: status, hashes, alarms, snapshots, and etcd's answers to what a single
// member has no use for.

import { failpoints } from "../base/failpoint.ts";
import type { Logger } from "../base/log.ts";
import { Status, StatusError } from "../base/status.ts";
import { clusterVersionOf, downgradeTargetOf } from "../node/members/cluster-version.ts";
import { CommandField, type Replica } from "../node/replica-types.ts";
import type { ServiceHandlers } from "../rpc/grpc/types.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import { DowngradeInfoSetRequest } from "../wire/generated/membership.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmRequest,
  AlarmResponse,
  AlarmType,
  DowngradeRequest_DowngradeAction as DowngradeAction,
  type MaintenanceDefinition,
  type SnapshotResponse,
} from "../wire/generated/rpc.ts";
import { snapshotPieces } from "./snapshot-stream.ts";

type Handlers = ServiceHandlers<typeof MaintenanceDefinition>;

export class MaintenanceService implements Handlers {
  readonly #replica: Replica;
  readonly #log: Logger;

  constructor(replica: Replica, log: Logger) {
    this.#replica = replica;
    this.#log = log;
  }

  readonly status: NonNullable<Handlers["status"]> = () => {
    const status = this.#replica.status();
    return {
      header: this.#replica.header(),
      version: status.version,
      dbSize: status.dbSizeBytes,
      leader: status.leader,
      raftIndex: status.raftIndex,
      raftTerm: status.raftTerm,
      raftAppliedIndex: status.appliedIndex,
      errors: [...status.errors],
      dbSizeInUse: status.dbSizeInUseBytes,
      isLearner: status.isLearner,
      storageVersion: status.storageVersion,
      dbSizeQuota: Number.isFinite(status.quotaBytes) ? status.quotaBytes : -1,
      downgradeInfo: { ...this.#replica.downgrade },
    };
  };

  readonly hash: NonNullable<Handlers["hash"]> = () => ({
    header: this.#replica.header(),
    hash: this.#replica.store.hash(),
  });

  readonly hashKV: NonNullable<Handlers["hashKV"]> = (request) => {
    const result = this.#replica.store.hashKv(request.revision);
    if ("error" in result) {
      const error = result.error === "compacted" ? "compacted" : "futureRevision";
      throw toStatusError(EtcdErrors[error]);
    }
    const { hash, revision, compactRevision } = result;
    return { header: this.#replica.header(), hash, hashRevision: revision, compactRevision };
  };

  readonly alarm: NonNullable<Handlers["alarm"]> = async (request) => {
    if (request.action !== AlarmAction.GET) {
      const message = AlarmRequest.encode(request).finish();
      const response = await this.#replica.proposeAsync(CommandField.alarm, message);
      return { ...AlarmResponse.decode(response), header: this.#replica.header() };
    }
    await this.#replica.readIndexAsync();
    const alarms = this.#replica
      .alarms()
      .filter((alarm) => request.alarm === AlarmType.NONE || alarm.type === request.alarm)
      .map((alarm) => ({ memberID: alarm.memberId, alarm: alarm.type as AlarmType }));
    return { header: this.#replica.header(), alarms };
  };

  readonly snapshot: NonNullable<Handlers["snapshot"]> = (_request, { signal }) =>
    this.#snapshot(signal);

  /** The database gives freed pages to new data by itself and serves all the while: there is nothing to do. */
  readonly defragment: NonNullable<Handlers["defragment"]> = async () => {
    this.#log.info("defragment asked for; this database needs none");
    await failpoints.defragBeforeCopy?.reach();
    await failpoints.defragBeforeRename?.reach();
    return { header: this.#replica.header() };
  };

  readonly moveLeader: NonNullable<Handlers["moveLeader"]> = async ({ targetID }) => {
    await this.#replica.moveLeader(targetID);
    return { header: undefined };
  };

  readonly downgrade: NonNullable<Handlers["downgrade"]> = async (request) => {
    const replica = this.#replica;
    switch (request.action) {
      case DowngradeAction.VALIDATE:
        await checkDowngrade(request.version, replica);
        break;
      case DowngradeAction.ENABLE:
        await checkDowngrade(request.version, replica);
        throw new StatusError(
          Status.UNIMPLEMENTED,
          "portal: data can not be handed to an older etcd by a downgrade; take a snapshot instead",
        );
      case DowngradeAction.CANCEL:
        await replica.readIndexAsync();
        if (replica.downgrade.enabled) await this.#endDowngrade();
        break;
      default:
        throw new StatusError(Status.UNKNOWN, "etcdserver: unknown method");
    }
    const [major = 0, minor = 0] = replica.clusterVersion.split(".").map(Number);
    return { header: replica.header(), version: `${major}.${minor}` };
  };

  /** One that an etcd member began. */
  async #endDowngrade(): Promise<void> {
    const message = DowngradeInfoSetRequest.encode({ enabled: false, ver: "" }).finish();
    await this.#replica.proposeAsync(CommandField.downgradeInfoSet, message);
  }

  async *#snapshot(signal: AbortSignal): AsyncGenerator<SnapshotResponse> {
    const reader = await this.#replica.openSnapshot(signal);
    this.#log.info("sending database snapshot to client", { "total-bytes": reader.sizeBytes });
    const { storageVersion } = this.#replica.status();
    yield* snapshotPieces(reader, this.#replica.header(), storageVersion);
    this.#log.info("successfully sent database snapshot to client", {
      "total-bytes": reader.sizeBytes,
    });
  }
}

/** Throws unless the cluster could be asked to become of version `text`: one minor version down. */
async function checkDowngrade(text: string, replica: Replica): Promise<void> {
  const target = clusterVersionOf(text);
  if (target === undefined) throw toStatusError(EtcdErrors.wrongDowngradeVersionFormat);
  if (replica.clusterVersion === "") throw toStatusError(EtcdErrors.clusterVersionUnavailable);
  await replica.readIndexAsync();
  if (target !== downgradeTargetOf(replica.clusterVersion)) {
    throw toStatusError(EtcdErrors.invalidDowngradeTargetVersion);
  }
  if (replica.downgrade.enabled) throw toStatusError(EtcdErrors.downgradeInProcess);
}
