// The default format, byte for byte etcdctl's when no colours are on: keys and values on lines of their
// own, one sentence for everything else.

import type { MemberList } from "../../client/cluster.ts";
import type { KeyValue } from "../../client/key-value.ts";
import type { LeaseRenewal } from "../../client/lease.ts";
import type { LeaseList, LeaseTimeToLive } from "../../client/leases.ts";
import type { DeleteResult, PutResult, RangeResult } from "../../client/results.ts";
import type { WatchBatch } from "../../client/watch-event.ts";
import type { ClusterReport, HealthCheck } from "../cluster-report.ts";
import { formatDuration } from "../duration.ts";
import { goQuote } from "../go-quote.ts";
import { ByteLines } from "./byte-lines.ts";
import { clusterHealthText, clusterStatusText } from "./cluster-rows.ts";
import type { PrinterOptions } from "./create-printer.ts";
import {
  type EndpointHash,
  type EndpointHealth,
  type EndpointStatus,
  hexBytes,
  leaseHex,
  type MemberChange,
  type Output,
  PLAIN_RANGE,
  type Printer,
  type RangePrintOptions,
  type SnapshotStatus,
  type TxnReport,
  type TxnStep,
} from "./printer.ts";
import { hashRow, memberRow, snapshotRow, statusRow } from "./rows.ts";

export class SimplePrinter implements Printer {
  readonly format = "simple";
  readonly #options: PrinterOptions;

  constructor(options: PrinterOptions) {
    this.#options = options;
  }

  put(result: PutResult): Output {
    const lines = new ByteLines().line("OK");
    if (result.previous) this.#pair(lines, result.previous, PLAIN_RANGE);
    return lines.toBytes();
  }

  range(result: RangeResult, options: RangePrintOptions): Output {
    if (options.countOnly) return `${result.count}\n`;
    const lines = new ByteLines();
    for (const kv of result.kvs) this.#pair(lines, kv, options);
    return lines.toBytes();
  }

  delete(result: DeleteResult): Output {
    const lines = new ByteLines().line(String(result.deleted));
    for (const kv of result.previous) this.#pair(lines, kv, PLAIN_RANGE);
    return lines.toBytes();
  }

  txn(report: TxnReport): Output {
    const { colors } = this.#options;
    const lines = new ByteLines();
    lines.line(report.succeeded ? colors.green("SUCCESS") : colors.yellow("FAILURE"));
    for (const step of report.steps) lines.line("").append(this.#step(step));
    return lines.toBytes();
  }

  watch(batch: WatchBatch): Output {
    const { colors } = this.#options;
    const lines = new ByteLines();
    if (batch.progress) lines.line(`progress notify: ${batch.revision}`);
    for (const event of batch.events) {
      lines.line(event.type === "put" ? colors.green("PUT") : colors.red("DELETE"));
      if (event.previous) this.#pair(lines, event.previous, PLAIN_RANGE);
      this.#pair(lines, event.kv, PLAIN_RANGE);
    }
    return lines.toBytes();
  }

  leaseGranted(lease: { readonly id: bigint; readonly grantedTtlSeconds: number }): Output {
    return `lease ${leaseHex(lease.id)} granted with TTL(${lease.grantedTtlSeconds}s)\n`;
  }

  leaseRevoked(id: bigint): Output {
    return `lease ${leaseHex(id)} revoked\n`;
  }

  leaseRenewed(renewal: LeaseRenewal): Output {
    return `lease ${leaseHex(renewal.id)} keepalived with TTL(${renewal.ttlSeconds})\n`;
  }

  leaseTimeToLive(result: LeaseTimeToLive, options: { readonly keys: boolean }): Output {
    const id = leaseHex(result.id);
    if (result.grantedTtlSeconds === 0 && result.ttlSeconds === -1) {
      return `lease ${id} already expired\n`;
    }
    const granted = `granted with TTL(${result.grantedTtlSeconds}s)`;
    const lines = new ByteLines();
    const sentence = `lease ${id} ${granted}, remaining(${result.ttlSeconds}s)`;
    if (!options.keys) return lines.line(sentence).toBytes();
    const keys = result.keys.flatMap((key, index) => (index === 0 ? [key] : [" ", key]));
    return lines.line(sentence, ", attached keys([", ...keys, "])").toBytes();
  }

  leaseList(list: LeaseList): Output {
    const lines = new ByteLines().line(`found ${list.ids.length} leases`);
    for (const id of list.ids) lines.line(leaseHex(id));
    return lines.toBytes();
  }

  memberList(list: MemberList): Output {
    return list.members.map((member) => `${memberRow(member).join(", ")}\n`).join("");
  }

  memberChanged(change: MemberChange): Output {
    const cluster = hex16(change.result.header.clusterId);
    switch (change.kind) {
      case "added": {
        const { member } = change.result;
        const role = member.isLearner ? " as learner " : " ";
        return `Member ${hex16(member.id)} added${role}to cluster ${cluster}\n${newMemberVariables(change)}`;
      }
      case "removed":
        return `Member ${hex16(change.id)} removed from cluster ${cluster}\n`;
      default:
        return `Member ${hex16(change.id)} ${change.kind} in cluster ${cluster}\n`;
    }
  }

  endpointHealth(list: readonly EndpointHealth[]): Output {
    const { colors } = this.#options;
    return list
      .filter((entry) => entry.healthy)
      .map(({ endpoint, tookMs }) => {
        const took = formatDuration(tookMs);
        return `${endpoint} is ${colors.green("healthy")}: successfully committed proposal: took = ${took}\n`;
      })
      .join("");
  }

  endpointStatus(list: readonly EndpointStatus[]): Output {
    return list.map((entry) => `${statusRow(entry).join(", ")}\n`).join("");
  }

  endpointHash(list: readonly EndpointHash[]): Output {
    return list.map((entry) => `${hashRow(entry).join(", ")}\n`).join("");
  }

  snapshotStatus(status: SnapshotStatus): Output {
    return `${snapshotRow(status).join(", ")}\n`;
  }

  clusterStatus(report: ClusterReport): Output {
    return clusterStatusText(report, this.#options.colors);
  }

  clusterHealth(checks: readonly HealthCheck[]): Output {
    return clusterHealthText(checks, this.#options.colors);
  }

  #step(step: TxnStep): Output {
    switch (step.kind) {
      case "put":
        return this.put(step.result);
      case "range":
        return this.range(step.result, PLAIN_RANGE);
      case "delete":
        return this.delete(step.result);
    }
  }

  #pair(lines: ByteLines, kv: KeyValue, options: RangePrintOptions): void {
    const { hex, colors } = this.#options;
    if (!options.valueOnly) {
      const key = hex ? hexBytes(kv.key) : kv.key;
      if (colors.isColorSupported) lines.line(colors.cyan(hex ? hexBytes(kv.key) : kv.keyText));
      else lines.line(key);
    }
    lines.line(hex ? hexBytes(kv.value) : kv.value);
  }
}

/** What the new member must be started with. */
function newMemberVariables(change: Extract<MemberChange, { kind: "added" }>): string {
  const { member, members } = change.result;
  const cluster = members.flatMap(({ id, name, peerUrls }) =>
    peerUrls.map((url) => `${id === member.id ? change.name : name}=${url}`),
  );
  return [
    "",
    `ETCD_NAME=${goQuote(change.name)}`,
    `ETCD_INITIAL_CLUSTER=${goQuote(cluster.join(","))}`,
    `ETCD_INITIAL_ADVERTISE_PEER_URLS=${goQuote(member.peerUrls.join(","))}`,
    'ETCD_INITIAL_CLUSTER_STATE="existing"',
    "",
  ].join("\n");
}

function hex16(id: bigint): string {
  return id.toString(16).padStart(16, " ");
}
