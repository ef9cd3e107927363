// The screens of `portal cluster`: a table of members that fits 80 columns, and a list of checks.

import { type ClusterReport, type HealthCheck, lagOf, leaderOf } from "../cluster-report.ts";
import { humanBytes } from "../human-bytes.ts";
import type { Colors } from "./colors.ts";
import type { GoJson } from "./go-json.ts";

export const CLUSTER_COLUMNS = [
  "NAME",
  "ROLE",
  "ENDPOINT",
  "INDEX",
  "LAG",
  "DB SIZE",
  "RTT",
] as const;

/** Columns from here on are numbers. */
export const CLUSTER_FIRST_NUMBER = 3;

export function clusterRows(report: ClusterReport): string[][] {
  return report.members.map((entry) => {
    const { member, role, endpoint, status, roundTripMs } = entry;
    const number = (value: number | undefined) => (value === undefined ? "-" : String(value));
    return [
      member.name || member.id.toString(16),
      role,
      endpoint || "-",
      number(status?.raftIndex),
      number(lagOf(report, entry)),
      status ? humanBytes(status.dbSizeBytes) : "-",
      roundTripMs === undefined ? "-" : `${roundTripMs.toFixed(roundTripMs < 10 ? 1 : 0)} ms`,
    ];
  });
}

/** "cluster 1a2b: 3 members, leader m1, term 2, version 3.7.3" */
export function clusterTitle(report: ClusterReport): string {
  const leader = leaderOf(report);
  const count = report.members.length;
  const learners = report.members.filter(({ member }) => member.isLearner).length;
  const versions = new Set(
    report.members.flatMap(({ status }) => (status ? [status.version] : [])),
  );
  return [
    `cluster ${report.clusterId.toString(16)}: ${count} ${count === 1 ? "member" : "members"}${
      learners > 0 ? ` (${learners} ${learners === 1 ? "learner" : "learners"})` : ""
    }`,
    leader ? `leader ${leader.member.name}, term ${leader.status?.raftTerm}` : "no leader",
    ...(versions.size > 0 ? [`version ${[...versions].sort().join(" and ")}`] : []),
  ].join(", ");
}

/** What went wrong at which member, a line each. */
export function clusterProblems(report: ClusterReport): string[] {
  return [
    ...report.members.flatMap(({ member, problem, status }) => [
      ...(problem ? [`${member.name}: ${problem}`] : []),
      ...(status?.errors ?? []).map((error) => `${member.name}: ${error}`),
    ]),
    ...report.alarms.map(({ memberId, alarm }) => {
      const found = report.members.find(({ member }) => member.id === memberId);
      return `${found?.member.name ?? memberId.toString(16)}: alarm ${alarm}`;
    }),
  ];
}

export function clusterStatusText(report: ClusterReport, colors: Colors): string {
  const rows = [[...CLUSTER_COLUMNS], ...clusterRows(report)];
  const widths = CLUSTER_COLUMNS.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const lines = rows.map((row, line) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      const padded = column < CLUSTER_FIRST_NUMBER ? cell.padEnd(width) : cell.padStart(width);
      if (line === 0) return colors.bold(padded);
      return column === 1 ? paintRole(padded, colors) : padded;
    });
    return cells.join("  ").trimEnd();
  });
  const problems = clusterProblems(report).map((problem) => colors.red(problem));
  return `${[clusterTitle(report), "", ...lines, ...problems].join("\n")}\n`;
}

export function paintRole(role: string, colors: Colors): string {
  switch (role.trim()) {
    case "leader":
      return colors.green(role);
    case "unreachable":
      return colors.red(role);
    case "unstarted":
    case "learner":
      return colors.yellow(role);
    default:
      return role;
  }
}

export function clusterHealthText(checks: readonly HealthCheck[], colors: Colors): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const marks = {
    ok: colors.green("ok      "),
    warning: colors.yellow("warning "),
    failed: colors.red("FAILED  "),
  };
  const lines = checks.flatMap(({ name, verdict, text, details = [] }) => [
    `${marks[verdict]}${name.padEnd(width)}  ${text}`,
    ...details.map((detail) => `${" ".repeat(8 + width + 2)}${detail}`),
  ]);
  return `${lines.join("\n")}\n`;
}

/** For programs: ids as numbers, as elsewhere. */
export function clusterStatusJson(report: ClusterReport): GoJson {
  const leader = leaderOf(report);
  return {
    clusterId: report.clusterId,
    leader: leader?.member.id ?? 0n,
    members: report.members.map((entry) => {
      const { member, role, endpoint, status, roundTripMs, problem } = entry;
      return {
        id: member.id,
        name: member.name,
        role,
        endpoint,
        ...(status && {
          version: status.version,
          raftTerm: status.raftTerm,
          raftIndex: status.raftIndex,
          raftAppliedIndex: status.raftAppliedIndex,
          lag: lagOf(report, entry) ?? 0,
          dbSize: status.dbSizeBytes,
          dbSizeInUse: status.dbSizeInUseBytes,
          dbSizeQuota: status.dbQuotaBytes,
          roundTripMs: Math.round((roundTripMs ?? 0) * 1000) / 1000,
          errors: [...status.errors],
        }),
        ...(problem && { problem }),
      };
    }),
    alarms: report.alarms.map(({ memberId, alarm }) => ({ memberId, alarm })),
  };
}
