import { expect, test } from "vitest";
import type { MemberStatus } from "../client/maintenance.ts";
import { type ClusterReport, checkHealth, lagOf, type MemberReport } from "./cluster-report.ts";
import { colorsFor } from "./output/colors.ts";
import { createPrinter } from "./output/create-printer.ts";
import { testIo } from "./test-io.ts";

const header = { clusterId: 1n, memberId: 1n, revision: 9, raftTerm: 4 };

function member(number: number, facts: Partial<MemberStatus> | undefined): MemberReport {
  const id = BigInt(number);
  const endpoint = `10.0.0.${number}:2379`;
  const about = { id, name: `m${number}`, peerUrls: [], clientUrls: [], isLearner: false };
  if (facts === undefined) {
    const problem = `nothing listens on ${endpoint}`;
    const silent = { status: undefined, roundTripMs: undefined };
    return { member: about, role: "unreachable", endpoint, ...silent, problem };
  }
  const status: MemberStatus = {
    header: { ...header, memberId: id },
    version: "3.7.3",
    storageVersion: "3.7.0",
    dbSizeBytes: 20_000_000,
    dbSizeInUseBytes: 18_000_000,
    dbQuotaBytes: 2_147_483_648,
    leader: 1n,
    raftIndex: 1_000_000,
    raftTerm: 4,
    raftAppliedIndex: 1_000_000,
    errors: [],
    isLearner: false,
    downgrade: undefined,
    ...facts,
  };
  const role = status.leader === id ? "leader" : "follower";
  return { member: about, role, endpoint, status, roundTripMs: 0.82, problem: "" };
}

const report = (...members: MemberReport[]): ClusterReport => ({
  clusterId: 0x9c223c0285c7c0d6n,
  members,
  alarms: [],
});
const verdicts = (of: ClusterReport, canCommit: true | string = true) =>
  Object.fromEntries(checkHealth(of, canCommit).map(({ name, verdict }) => [name, verdict]));
const well = { quorum: "ok", leader: "ok", reads: "ok", alarms: "ok", lag: "ok", space: "ok" };

test("a whole cluster is well", () => {
  expect(verdicts(report(member(1, {}), member(2, {}), member(3, {})))).toEqual(well);
});

test("one of three gone is a warning, two are a failure", () => {
  const one = report(member(1, {}), member(2, {}), member(3, undefined));
  expect(verdicts(one)).toEqual({ ...well, quorum: "warning" });
  expect(checkHealth(one, true)[0]?.text).toContain("2 of 3 voting members answer, none of them");
  const alone = member(1, { leader: 0n, errors: ["etcdserver: no leader"] });
  const two = report(alone, member(2, undefined), member(3, undefined));
  const found = verdicts(two, "context deadline exceeded");
  expect(found).toEqual({ ...well, quorum: "failed", leader: "failed", reads: "failed" });
});

test("lag, alarms, space and another leader are seen", () => {
  const behind = member(2, { raftAppliedIndex: 980_000 });
  const astray = member(3, { leader: 2n, raftTerm: 3, dbSizeBytes: 2_000_000_000 });
  const sick = { ...report(member(1, {}), behind, astray), alarms: [] };
  expect(lagOf(sick, behind)).toBe(20_000);
  expect(verdicts({ ...sick, alarms: [{ memberId: 3n, alarm: "nospace" }] })).toEqual({
    ...well,
    leader: "warning",
    alarms: "failed",
    lag: "warning",
    space: "warning",
  });
});

test("the screens fit 80 columns", async () => {
  const { io } = testIo();
  const colors = colorsFor(io.stdout, {});
  const bad = report(member(1, {}), member(2, { raftAppliedIndex: 7 }), member(3, undefined));
  for (const format of ["simple", "table"] as const) {
    const printer = await createPrinter(format, { hex: false, colors });
    const screens = [printer.clusterStatus(bad), printer.clusterHealth(checkHealth(bad, "no"))];
    const lines = screens.join("").split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  }
  const simple = await createPrinter("simple", { hex: false, colors });
  const screen = String(simple.clusterStatus(bad));
  expect(screen).toContain(
    "cluster 9c223c0285c7c0d6: 3 members, leader m1, term 4, version 3.7.3\n\n" +
      "NAME  ROLE         ENDPOINT",
  );
});
