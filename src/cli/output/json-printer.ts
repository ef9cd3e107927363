// One JSON document a result, with etcdctl's field names, order and omissions.

import type { Member, MemberList } from "../../client/cluster.ts";
import type { KeyValue } from "../../client/key-value.ts";
import type { LeaseRenewal } from "../../client/lease.ts";
import type { LeaseList, LeaseTimeToLive } from "../../client/leases.ts";
import type { DeleteResult, PutResult, RangeResult, ResponseHeader } from "../../client/results.ts";
import type { WatchBatch, WatchEvent } from "../../client/watch-event.ts";
import type { ClusterReport, HealthCheck } from "../cluster-report.ts";
import { formatDuration } from "../duration.ts";
import { clusterStatusJson } from "./cluster-rows.ts";
import type { PrinterOptions } from "./create-printer.ts";
import { type GoJson, goJson, nonEmpty } from "./go-json.ts";
import type {
  EndpointHash,
  EndpointHealth,
  EndpointStatus,
  LeaseGranted,
  MemberChange,
  Output,
  Printer,
  SnapshotStatus,
  TxnReport,
  TxnStep,
} from "./printer.ts";

type Fields = { readonly [field: string]: GoJson };

export class JsonPrinter implements Printer {
  readonly format = "json";
  readonly #hex: boolean;

  constructor(options: PrinterOptions) {
    this.#hex = options.hex;
  }

  put(result: PutResult): Output {
    return document(putFields(result));
  }

  range(result: RangeResult): Output {
    return document(rangeFields(result));
  }

  delete(result: DeleteResult): Output {
    return document(deleteFields(result));
  }

  txn(report: TxnReport): Output {
    return document({
      header: header(report.header),
      succeeded: nonEmpty(report.succeeded),
      responses: nonEmpty(report.steps.map((step) => ({ Response: stepFields(step) }))),
    });
  }

  watch(batch: WatchBatch): Output {
    return document({
      Header: header(batch.header),
      Events: batch.events.map(eventFields),
      CompactRevision: 0,
      Canceled: false,
      Created: false,
      CancelReason: "",
    });
  }

  leaseGranted(lease: LeaseGranted): Output {
    const { id: ID, grantedTtlSeconds: TTL } = lease;
    return document({ ...headerFields(lease.header), ID, TTL, Error: "" });
  }

  leaseRevoked(_id: bigint, revokedHeader: ResponseHeader): Output {
    return document({ header: header(revokedHeader) });
  }

  leaseRenewed(renewal: LeaseRenewal): Output {
    const { id: ID, ttlSeconds: TTL } = renewal;
    return document({ ...headerFields(renewal.header), ID, TTL });
  }

  leaseTimeToLive(result: LeaseTimeToLive): Output {
    return document({
      ...headerFields(result.header),
      id: result.id,
      ttl: result.ttlSeconds,
      "granted-ttl": result.grantedTtlSeconds,
      keys: result.keys.length === 0 ? null : result.keys,
    });
  }

  leaseList(list: LeaseList): Output {
    const leases = list.ids.map((id) => ({ id }));
    return document({ ...headerFields(list.header), leases });
  }

  memberList(list: MemberList): Output {
    return document({
      header: this.#memberHeader(list.header),
      members: list.members.map((member) => this.#member(member)),
    });
  }

  memberChanged(change: MemberChange): Output {
    const { result } = change;
    return document({
      header: this.#memberHeader(result.header),
      member: change.kind === "added" ? this.#member(change.result.member) : undefined,
      members: result.members.map((member) => this.#member(member)),
    });
  }

  endpointHealth(list: readonly EndpointHealth[]): Output {
    return document(
      list.map(({ endpoint, healthy, tookMs, error }) => ({
        endpoint,
        health: healthy,
        took: formatDuration(tookMs),
        error: nonEmpty(error),
      })),
    );
  }

  endpointStatus(list: readonly EndpointStatus[]): Output {
    return document(
      list.map(({ endpoint, status }) => ({
        Endpoint: endpoint,
        Status: {
          header: header(status.header),
          version: nonEmpty(status.version),
          dbSize: nonEmpty(status.dbSizeBytes),
          leader: nonEmpty(status.leader),
          raftIndex: nonEmpty(status.raftIndex),
          raftTerm: nonEmpty(status.raftTerm),
          raftAppliedIndex: nonEmpty(status.raftAppliedIndex),
          errors: nonEmpty(status.errors),
          dbSizeInUse: nonEmpty(status.dbSizeInUseBytes),
          isLearner: nonEmpty(status.isLearner),
          storageVersion: nonEmpty(status.storageVersion),
          dbSizeQuota: nonEmpty(status.dbQuotaBytes),
          downgradeInfo: status.downgrade && {
            enabled: nonEmpty(status.downgrade.enabled),
            targetVersion: nonEmpty(status.downgrade.targetVersion),
          },
        },
      })),
    );
  }

  endpointHash(list: readonly EndpointHash[]): Output {
    return document(
      list.map(({ endpoint, hash }) => ({
        Endpoint: endpoint,
        HashKV: {
          header: header(hash.header),
          hash: nonEmpty(hash.hash),
          compact_revision: nonEmpty(hash.compactRevision),
          hash_revision: nonEmpty(hash.hashRevision),
        },
      })),
    );
  }

  snapshotStatus(status: SnapshotStatus): Output {
    return document({
      hash: status.hash,
      revision: status.revision,
      totalKey: status.totalKeys,
      totalSize: status.totalSizeBytes,
      version: status.version,
    });
  }

  clusterStatus(report: ClusterReport): Output {
    return document(clusterStatusJson(report));
  }

  clusterHealth(checks: readonly HealthCheck[]): Output {
    const healthy = checks.every(({ verdict }) => verdict !== "failed");
    return document({ healthy, checks: checks.map((check) => ({ ...check })) });
  }

  #memberHeader(value: ResponseHeader): Fields {
    if (!this.#hex) return header(value);
    return {
      ...header(value),
      cluster_id: value.clusterId.toString(16),
      member_id: value.memberId.toString(16),
    };
  }

  #member(member: Member): Fields {
    return {
      ID: this.#hex ? member.id.toString(16) : nonEmpty(member.id),
      name: nonEmpty(member.name),
      peerURLs: nonEmpty(member.peerUrls),
      clientURLs: nonEmpty(member.clientUrls),
      isLearner: nonEmpty(member.isLearner),
    };
  }
}

function document(value: GoJson): string {
  return `${goJson(value)}\n`;
}

function headerFields(value: ResponseHeader): Fields {
  return {
    cluster_id: nonEmpty(value.clusterId),
    member_id: nonEmpty(value.memberId),
    revision: nonEmpty(value.revision),
    raft_term: nonEmpty(value.raftTerm),
  };
}

const header = headerFields;

function pair(kv: KeyValue): Fields {
  return {
    key: nonEmpty(kv.key),
    create_revision: nonEmpty(kv.createRevision),
    mod_revision: nonEmpty(kv.modRevision),
    version: nonEmpty(kv.version),
    value: nonEmpty(kv.value),
    lease: nonEmpty(kv.lease),
  };
}

function putFields(result: PutResult): Fields {
  return { header: header(result.header), prev_kv: result.previous && pair(result.previous) };
}

function rangeFields(result: RangeResult): Fields {
  return {
    header: header(result.header),
    kvs: nonEmpty(result.kvs.map(pair)),
    more: nonEmpty(result.more),
    count: nonEmpty(result.count),
  };
}

function deleteFields(result: DeleteResult): Fields {
  return {
    header: header(result.header),
    deleted: nonEmpty(result.deleted),
    prev_kvs: nonEmpty(result.previous.map(pair)),
  };
}

function stepFields(step: TxnStep): Fields {
  switch (step.kind) {
    case "put":
      return { response_put: putFields(step.result) };
    case "range":
      return { response_range: rangeFields(step.result) };
    case "delete":
      return { response_delete_range: deleteFields(step.result) };
  }
}

function eventFields(event: WatchEvent): Fields {
  return {
    type: event.type === "delete" ? 1 : undefined,
    kv: pair(event.kv),
    prev_kv: event.previous && pair(event.previous),
  };
}
