// How one member fares. These calls are answered by the member that gets them; a client with several
// endpoints asks whichever it is connected to, so ask with `new Client({ endpoints: [one] })`.

import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmType,
  type StatusResponse,
} from "../wire/generated/rpc.ts";
import type { Caller, CallOptions } from "./caller.ts";
import { toPortalError } from "./errors.ts";
import { headerOf, type ResponseHeader } from "./results.ts";

export type AlarmName = "none" | "nospace" | "corrupt" | "unknown";

export interface Alarm {
  readonly memberId: bigint;
  readonly alarm: AlarmName;
}

export interface AlarmList {
  readonly header: ResponseHeader;
  readonly alarms: readonly Alarm[];
}

export interface MemberStatus {
  readonly header: ResponseHeader;
  readonly version: string;
  readonly storageVersion: string;
  readonly dbSizeBytes: number;
  readonly dbSizeInUseBytes: number;
  /** 0 when the server did not say. */
  readonly dbQuotaBytes: number;
  /** The member that leads, in this member's eyes; 0n when none does. */
  readonly leader: bigint;
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly raftAppliedIndex: number;
  readonly errors: readonly string[];
  readonly isLearner: boolean;
  readonly downgrade: { readonly enabled: boolean; readonly targetVersion: string } | undefined;
}

export interface Hash {
  readonly header: ResponseHeader;
  readonly hash: number;
}

export interface KvHash extends Hash {
  readonly hashRevision: number;
  /** -1 when nothing has been compacted. */
  readonly compactRevision: number;
}

/** Part of a snapshot: a database file as etcd keeps it, then the SHA-256 of the file. */
export interface SnapshotPart {
  readonly bytes: Uint8Array;
  /** Of the file, without the hash, after this part. */
  readonly remainingBytes: number;
  /** Of the storage, e.g. "3.7.0"; empty from an etcd before 3.6. */
  readonly version: string;
}

const ALARM_NAMES: Readonly<Record<number, AlarmName>> = {
  [AlarmType.NONE]: "none",
  [AlarmType.NOSPACE]: "nospace",
  [AlarmType.CORRUPT]: "corrupt",
};

export class Maintenance {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async status(options: CallOptions = {}): Promise<MemberStatus> {
    const { maintenance } = this.#caller.transport;
    const response = await this.#caller.unary(
      (rpc) => maintenance.status({}, rpc),
      "read",
      options,
    );
    return memberStatus(response);
  }

  /** The hash of the whole database file; comparable only between equal files. */
  async hash(options: CallOptions = {}): Promise<Hash> {
    const { maintenance } = this.#caller.transport;
    const response = await this.#caller.unary((rpc) => maintenance.hash({}, rpc), "read", options);
    return { header: headerOf(response), hash: response.hash };
  }

  /** The hash of all history up to `revision` (0: now); equal on all members that agree. */
  async hashKv(revision = 0, options: CallOptions = {}): Promise<KvHash> {
    const { maintenance } = this.#caller.transport;
    const response = await this.#caller.unary(
      (rpc) => maintenance.hashKV({ revision }, rpc),
      "read",
      options,
    );
    return {
      header: headerOf(response),
      hash: response.hash,
      hashRevision: response.hashRevision,
      compactRevision: response.compactRevision,
    };
  }

  /**
   * One member's whole database as of now, part by part. Waits for the reader. Without `timeoutMs` it may take as
   * long as it does.
   */
  async *snapshot(options: CallOptions = {}): AsyncGenerator<SnapshotPart, void> {
    const rpc = await this.#caller.streamOptions(options.signal);
    const { timeoutMs } = options;
    const { maintenance } = this.#caller.transport;
    try {
      const call = maintenance.snapshot({}, timeoutMs ? { ...rpc, timeoutMs } : rpc);
      for await (const { blob, remainingBytes, version } of call) {
        yield { bytes: blob, remainingBytes, version };
      }
    } catch (error) {
      throw toPortalError(error);
    }
  }

  /** Makes another member with a vote the leader. Only the leader can: ask it alone. */
  async moveLeader(to: bigint, options: CallOptions = {}): Promise<void> {
    const { maintenance } = this.#caller.transport;
    await this.#caller.unary(
      (rpc) => maintenance.moveLeader({ targetID: to }, rpc),
      "write",
      options,
    );
  }

  /** The alarms that are raised in the cluster. */
  async alarms(options: CallOptions = {}): Promise<AlarmList> {
    const { maintenance } = this.#caller.transport;
    const request = { action: AlarmAction.GET, memberID: 0n, alarm: AlarmType.NONE };
    const response = await this.#caller.unary(
      (rpc) => maintenance.alarm(request, rpc),
      "read",
      options,
    );
    const alarms = response.alarms.map(({ memberID, alarm }) => ({
      memberId: memberID,
      alarm: ALARM_NAMES[alarm] ?? "unknown",
    }));
    return { header: headerOf(response), alarms };
  }
}

function memberStatus(response: StatusResponse): MemberStatus {
  return {
    header: headerOf(response),
    version: response.version,
    storageVersion: response.storageVersion,
    dbSizeBytes: response.dbSize,
    dbSizeInUseBytes: response.dbSizeInUse,
    dbQuotaBytes: response.dbSizeQuota,
    leader: response.leader,
    raftIndex: response.raftIndex,
    raftTerm: response.raftTerm,
    raftAppliedIndex: response.raftAppliedIndex,
    errors: response.errors,
    isLearner: response.isLearner,
    downgrade: response.downgradeInfo,
  };
}
