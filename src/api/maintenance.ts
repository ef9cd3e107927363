// The Maintenance service of one member: status, hashes, alarms, and etcd's answers to what a single
// member has no use for. Snapshot is not registered, and so answers UNIMPLEMENTED.

import type { Logger } from "../base/log.ts";
import { Status, StatusError } from "../base/status.ts";
import { CommandField, type Replica } from "../node/replica-types.ts";
import type { ServiceHandlers } from "../rpc/grpc/types.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmRequest,
  AlarmResponse,
  AlarmType,
  DowngradeRequest_DowngradeAction as DowngradeAction,
  type DowngradeRequest,
  type MaintenanceDefinition,
  type MoveLeaderRequest,
} from "../wire/generated/rpc.ts";

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
      downgradeInfo: { enabled: false, targetVersion: "" },
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

  /** The database gives freed pages to new data by itself and serves all the while: there is nothing to do. */
  readonly defragment: NonNullable<Handlers["defragment"]> = () => {
    this.#log.info("defragment asked for; this database needs none");
    return { header: this.#replica.header() };
  };

  readonly moveLeader: NonNullable<Handlers["moveLeader"]> = (request: MoveLeaderRequest) => {
    const { leader } = this.#replica.status();
    if (leader !== this.#replica.memberId) throw toStatusError(EtcdErrors.notLeader);
    const target = this.#replica.members().find((member) => member.ID === request.targetID);
    if (target === undefined || target.isLearner) {
      throw toStatusError(EtcdErrors.badLeaderTransferee);
    }
    // A lone member leads already; a larger cluster is not served by this class.
    return { header: this.#replica.header() };
  };

  readonly downgrade: NonNullable<Handlers["downgrade"]> = async (request) => {
    const [major = 0, minor = 0] = this.#replica.status().version.split(".").map(Number);
    if (request.action !== DowngradeAction.CANCEL) {
      await this.#replica.readIndexAsync();
      checkDowngrade(request, major, minor);
    }
    return { header: this.#replica.header(), version: `${major}.${minor}` };
  };
}

/** Throws unless one minor version down is asked for; enabling it is refused in any case. */
function checkDowngrade(request: DowngradeRequest, major: number, minor: number): void {
  const target = /^(\d+)\.(\d+)(\.\d+)?$/.exec(request.version);
  if (target === null) throw toStatusError(EtcdErrors.wrongDowngradeVersionFormat);
  if (Number(target[1]) !== major || Number(target[2]) !== minor - 1) {
    throw toStatusError(EtcdErrors.invalidDowngradeTargetVersion);
  }
  if (request.action === DowngradeAction.VALIDATE) return;
  if (request.action === DowngradeAction.ENABLE) {
    throw new StatusError(
      Status.UNIMPLEMENTED,
      "portal: data can not be handed to an older etcd by a downgrade; take a snapshot instead",
    );
  }
  throw new StatusError(Status.UNKNOWN, "etcdserver: unknown method");
}
