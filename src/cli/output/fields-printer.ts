// Every field on a line of its own, `"Name" : value`, as etcdctl prints it.

import type { Member, MemberList } from "../../client/cluster.ts";
import type { KeyValue } from "../../client/key-value.ts";
import type { LeaseRenewal } from "../../client/lease.ts";
import type { LeaseList, LeaseTimeToLive } from "../../client/leases.ts";
import type { DeleteResult, PutResult, RangeResult, ResponseHeader } from "../../client/results.ts";
import type { WatchBatch } from "../../client/watch-event.ts";
import type { ClusterReport, HealthCheck } from "../cluster-report.ts";
import { formatDuration } from "../duration.ts";
import { goQuote } from "../go-quote.ts";
import { CLUSTER_COLUMNS, clusterRows } from "./cluster-rows.ts";
import type { PrinterOptions } from "./create-printer.ts";
import {
  type EndpointHash,
  type EndpointHealth,
  type EndpointStatus,
  type LeaseGranted,
  leaseHex,
  type MemberChange,
  type Output,
  type Printer,
  type SnapshotStatus,
  type TxnReport,
  type TxnStep,
} from "./printer.ts";

export class FieldsPrinter implements Printer {
  readonly format = "fields";
  readonly #hex: boolean;

  constructor(options: PrinterOptions) {
    this.#hex = options.hex;
  }

  put(result: PutResult): Output {
    return (
      this.#header(result.header) + (result.previous ? this.#pair(result.previous, "Prev") : "")
    );
  }

  range(result: RangeResult): Output {
    const pairs = result.kvs.map((kv) => this.#pair(kv)).join("");
    return `${this.#header(result.header)}${pairs}${field("More", result.more)}${field("Count", result.count)}`;
  }

  delete(result: DeleteResult): Output {
    const pairs = result.previous.map((kv) => this.#pair(kv, "Prev")).join("");
    return this.#header(result.header) + field("Deleted", result.deleted) + pairs;
  }

  txn(report: TxnReport): Output {
    const steps = report.steps.map((step) => this.#step(step)).join("");
    return this.#header(report.header) + field("Succeeded", report.succeeded) + steps;
  }

  watch(batch: WatchBatch): Output {
    const progress = batch.progress ? `progress notify: ${batch.revision}\n` : "";
    const events = batch.events.map((event) => {
      const previous = event.previous ? this.#pair(event.previous, "Prev") : "";
      return (
        field("Type", event.type === "put" ? "PUT" : "DELETE") + previous + this.#pair(event.kv)
      );
    });
    return progress + this.#header(batch.header) + events.join("");
  }

  leaseGranted(lease: LeaseGranted): Output {
    return (
      this.#header(lease.header) + this.#lease(lease.id) + field("TTL", lease.grantedTtlSeconds)
    );
  }

  leaseRevoked(_id: bigint, header: ResponseHeader): Output {
    return this.#header(header);
  }

  leaseRenewed(renewal: LeaseRenewal): Output {
    const ttl = field("TTL", renewal.ttlSeconds);
    return this.#header(renewal.header) + this.#lease(renewal.id) + ttl;
  }

  leaseTimeToLive(result: LeaseTimeToLive): Output {
    return [
      this.#header(result.header),
      this.#lease(result.id),
      field("TTL", result.ttlSeconds),
      field("GrantedTTL", result.grantedTtlSeconds),
      ...result.keys.map((key) => field("Key", goQuote(key))),
    ].join("");
  }

  leaseList(list: LeaseList): Output {
    return this.#header(list.header) + list.ids.map((id) => this.#lease(id)).join("");
  }

  memberList(list: MemberList): Output {
    return this.#header(list.header) + list.members.map((member) => this.#member(member)).join("");
  }

  memberChanged(change: MemberChange): Output {
    return this.memberList(change.result);
  }

  endpointHealth(list: readonly EndpointHealth[]): Output {
    return list
      .map(({ endpoint, healthy, tookMs, error }) =>
        [
          field("Endpoint", goQuote(endpoint)),
          field("Health", healthy),
          field("Took", formatDuration(tookMs)),
          field("Error", error),
          "\n",
        ].join(""),
      )
      .join("");
  }

  endpointStatus(list: readonly EndpointStatus[]): Output {
    return list.map((entry) => this.#status(entry)).join("");
  }

  endpointHash(list: readonly EndpointHash[]): Output {
    return list
      .map(({ endpoint, hash }) =>
        [
          this.#header(hash.header),
          field("Endpoint", goQuote(endpoint)),
          field("Hash", hash.hash),
          field("HashRevision", hash.hashRevision),
          "\n",
        ].join(""),
      )
      .join("");
  }

  snapshotStatus(status: SnapshotStatus): Output {
    return [
      field("Hash", status.hash),
      field("Revision", status.revision),
      field("Keys", status.totalKeys),
      field("Size", status.totalSizeBytes),
      field("Version", status.version),
    ].join("");
  }

  clusterStatus(report: ClusterReport): Output {
    return clusterRows(report)
      .map((row) =>
        [...row.map((cell, at) => field(CLUSTER_COLUMNS[at] ?? "", cell)), "\n"].join(""),
      )
      .join("");
  }

  clusterHealth(checks: readonly HealthCheck[]): Output {
    return checks.map(({ name, verdict, text }) => field(name, `${verdict}: ${text}`)).join("");
  }

  #status({ endpoint, status }: EndpointStatus): string {
    return [
      this.#header(status.header),
      field("Version", goQuote(status.version)),
      field("StorageVersion", goQuote(status.storageVersion)),
      field("DBSize", status.dbSizeBytes),
      field("DBSizeInUse", status.dbSizeInUseBytes),
      field("DBSizeQuota", status.dbQuotaBytes),
      field("Leader", status.leader),
      field("IsLearner", status.isLearner),
      field("RaftIndex", status.raftIndex),
      field("RaftAppliedIndex", status.raftAppliedIndex),
      field("Errors", `[${status.errors.join(" ")}]`),
      field("Endpoint", goQuote(endpoint)),
      field("DowngradeTargetVersion", goQuote(status.downgrade?.targetVersion ?? "")),
      field("DowngradeEnabled", status.downgrade?.enabled ?? false),
      "\n",
    ].join("");
  }

  #step(step: TxnStep): Output {
    switch (step.kind) {
      case "put":
        return this.put(step.result);
      case "range":
        return this.range(step.result);
      case "delete":
        return this.delete(step.result);
    }
  }

  #header(header: ResponseHeader): string {
    return [
      field("ClusterID", this.#id(header.clusterId)),
      field("MemberID", this.#id(header.memberId)),
      // Answers that are not about keys have no revision.
      header.revision > 0 ? field("Revision", header.revision) : "",
      field("RaftTerm", header.raftTerm),
    ].join("");
  }

  #pair(kv: KeyValue, prefix = ""): string {
    return [
      field(`${prefix}Key`, goQuote(kv.key)),
      field(`${prefix}CreateRevision`, kv.createRevision),
      field(`${prefix}ModRevision`, kv.modRevision),
      field(`${prefix}Version`, kv.version),
      field(`${prefix}Value`, goQuote(kv.value)),
      field(`${prefix}Lease`, this.#hex ? leaseHex(kv.lease) : kv.lease),
    ].join("");
  }

  #member(member: Member): string {
    return [
      field("ID", this.#id(member.id)),
      field("Name", goQuote(member.name)),
      ...member.peerUrls.map((url) => field("PeerURL", goQuote(url))),
      ...member.clientUrls.map((url) => field("ClientURL", goQuote(url))),
      field("IsLearner", member.isLearner),
      "\n",
    ].join("");
  }

  #lease(id: bigint): string {
    return field("ID", this.#hex ? leaseHex(id) : id);
  }

  #id(id: bigint): string | bigint {
    return this.#hex ? id.toString(16) : id;
  }
}

function field(name: string, value: string | number | bigint | boolean): string {
  return `"${name}" : ${value}\n`;
}
