// Tables for people. etcdctl has them for members and endpoints only; here everything has one.

import Table from "cli-table3";
import type { MemberList } from "../../client/cluster.ts";
import type { KeyValue } from "../../client/key-value.ts";
import type { LeaseRenewal } from "../../client/lease.ts";
import type { LeaseList, LeaseTimeToLive } from "../../client/leases.ts";
import type { DeleteResult, PutResult, RangeResult } from "../../client/results.ts";
import type { WatchBatch } from "../../client/watch-event.ts";
import type { ClusterReport, HealthCheck } from "../cluster-report.ts";
import {
  CLUSTER_COLUMNS,
  CLUSTER_FIRST_NUMBER,
  clusterProblems,
  clusterRows,
  clusterTitle,
  paintRole,
} from "./cluster-rows.ts";
import type { PrinterOptions } from "./create-printer.ts";
import {
  type EndpointHash,
  type EndpointHealth,
  type EndpointStatus,
  hexBytes,
  type LeaseGranted,
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
import {
  HASH_COLUMNS,
  HEALTH_COLUMNS,
  hashRow,
  healthRow,
  MEMBER_COLUMNS,
  memberRow,
  SNAPSHOT_COLUMNS,
  STATUS_COLUMNS,
  snapshotRow,
  statusRow,
} from "./rows.ts";

const PAIR_COLUMNS = ["KEY", "VALUE", "CREATED", "MODIFIED", "VERSION", "LEASE"] as const;
const FIRST_PAIR_NUMBER = 2;

export class TablePrinter implements Printer {
  readonly format = "table";
  readonly #options: PrinterOptions;

  constructor(options: PrinterOptions) {
    this.#options = options;
  }

  put(result: PutResult): Output {
    const said = `OK, revision ${result.revision}\n`;
    return result.previous ? `${said}previous:\n${this.#pairs([result.previous])}` : said;
  }

  range(result: RangeResult, options: RangePrintOptions): Output {
    if (options.countOnly) return this.#table(["COUNT"], [[String(result.count)]], 0);
    const notShown = result.count - result.kvs.length;
    const more = result.more && notShown > 0 ? `${notShown} more\n` : "";
    return this.#pairs(result.kvs) + more;
  }

  delete(result: DeleteResult): Output {
    const said = `${result.deleted} deleted, revision ${result.revision}\n`;
    return result.previous.length > 0 ? said + this.#pairs(result.previous) : said;
  }

  txn(report: TxnReport): Output {
    const { colors } = this.#options;
    const said = report.succeeded ? colors.green("SUCCESS") : colors.yellow("FAILURE");
    return `${said}\n${report.steps.map((step) => this.#step(step)).join("")}`;
  }

  watch(batch: WatchBatch): Output {
    if (batch.progress) return `progress notify: ${batch.revision}\n`;
    const { colors } = this.#options;
    const rows = batch.events.map((event) => [
      event.type === "put" ? colors.green("PUT") : colors.red("DELETE"),
      this.#bytes(event.kv.key),
      this.#bytes(event.kv.value),
      String(event.revision),
      event.previous ? this.#bytes(event.previous.value) : "",
    ]);
    return this.#table(["EVENT", "KEY", "VALUE", "REVISION", "BEFORE"], rows);
  }

  leaseGranted(lease: LeaseGranted): Output {
    return this.#table(["LEASE", "TTL"], [[leaseHex(lease.id), `${lease.grantedTtlSeconds}s`]]);
  }

  leaseRevoked(id: bigint): Output {
    return `lease ${leaseHex(id)} revoked\n`;
  }

  leaseRenewed(renewal: LeaseRenewal): Output {
    return `lease ${leaseHex(renewal.id)} keepalived with TTL(${renewal.ttlSeconds})\n`;
  }

  leaseTimeToLive(result: LeaseTimeToLive, options: { readonly keys: boolean }): Output {
    const { grantedTtlSeconds: granted, ttlSeconds } = result;
    const remaining = ttlSeconds < 0 ? "expired" : `${ttlSeconds}s`;
    const row = [leaseHex(result.id), `${granted}s`, remaining];
    if (!options.keys) return this.#table(["LEASE", "GRANTED", "REMAINING"], [row]);
    const keys = result.keys.map((key) => this.#bytes(key)).join("\n");
    return this.#table(["LEASE", "GRANTED", "REMAINING", "KEYS"], [[...row, keys]]);
  }

  leaseList(list: LeaseList): Output {
    return this.#table(
      ["LEASE"],
      list.ids.map((id) => [leaseHex(id)]),
    );
  }

  memberList(list: MemberList): Output {
    return this.#table(MEMBER_COLUMNS, list.members.map(memberRow));
  }

  memberChanged(change: MemberChange): Output {
    return this.memberList(change.result);
  }

  endpointHealth(list: readonly EndpointHealth[]): Output {
    const { colors } = this.#options;
    const rows = list.map((entry) => {
      const [endpoint = "", health = "", ...rest] = healthRow(entry);
      return [endpoint, entry.healthy ? colors.green(health) : colors.red(health), ...rest];
    });
    return this.#table(HEALTH_COLUMNS, rows);
  }

  endpointStatus(list: readonly EndpointStatus[]): Output {
    // A row of all that is wider than any terminal, so members become columns.
    const [endpoints, ...lines] = STATUS_COLUMNS.map((column, index) => [
      column,
      ...list.map((entry) => statusRow(entry)[index] ?? ""),
    ]);
    return this.#table(endpoints ?? [], lines);
  }

  endpointHash(list: readonly EndpointHash[]): Output {
    return this.#table(HASH_COLUMNS, list.map(hashRow), 1);
  }

  snapshotStatus(status: SnapshotStatus): Output {
    return this.#table(SNAPSHOT_COLUMNS, [snapshotRow(status)], 0);
  }

  clusterStatus(report: ClusterReport): Output {
    const { colors } = this.#options;
    const rows = clusterRows(report).map(([name = "", role = "", ...rest]) => [
      name,
      paintRole(role, colors),
      ...rest,
    ]);
    const problems = clusterProblems(report).map((problem) => `${colors.red(problem)}\n`);
    const table = this.#table(CLUSTER_COLUMNS, rows, CLUSTER_FIRST_NUMBER);
    return `${clusterTitle(report)}\n${table}${problems.join("")}`;
  }

  clusterHealth(checks: readonly HealthCheck[]): Output {
    const { colors } = this.#options;
    const paint = { ok: colors.green, warning: colors.yellow, failed: colors.red };
    return this.#table(
      ["CHECK", "VERDICT", "WHY"],
      checks.map(({ name, verdict, text, details = [] }) => [
        name,
        paint[verdict](verdict),
        [text, ...details].join("\n"),
      ]),
    );
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

  #pairs(kvs: readonly KeyValue[]): string {
    const rows = kvs.map((kv) => [
      this.#bytes(kv.key),
      this.#bytes(kv.value),
      String(kv.createRevision),
      String(kv.modRevision),
      String(kv.version),
      kv.lease === 0n ? "" : leaseHex(kv.lease),
    ]);
    return this.#table(PAIR_COLUMNS, rows, FIRST_PAIR_NUMBER);
  }

  #bytes(bytes: Uint8Array): string {
    if (this.#options.hex) return hexBytes(bytes);
    // Control characters other than line ends would break the table, and may command the terminal.
    return Buffer.from(bytes)
      .toString()
      .replace(/[^\P{Cc}\n]/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  }

  /** Columns from `firstNumber` on are aligned to the right. */
  #table(
    columns: readonly string[],
    rows: readonly (readonly string[])[],
    firstNumber = columns.length,
  ): string {
    const { colors } = this.#options;
    const table = new Table({
      head: columns.map((column) => colors.bold(column)),
      colAligns: columns.map((_, index) => (index < firstNumber ? "left" : "right")),
      style: { head: [], border: colors.isColorSupported ? ["gray"] : [], compact: true },
    });
    for (const row of rows) table.push([...row]);
    return `${table.toString()}\n`;
  }
}
