// What all members of a cluster say of themselves, gathered by asking each at its own address, and what that
// means for the cluster's health. Asks nothing that changes anything.

import type { Client } from "../client/client.ts";
import type { Member } from "../client/cluster.ts";
import type { Alarm, MemberStatus } from "../client/maintenance.ts";
import { humanBytes } from "./human-bytes.ts";

export type MemberRole = "leader" | "follower" | "learner" | "unstarted" | "unreachable";

export interface MemberReport {
  readonly member: Member;
  readonly role: MemberRole;
  /** The address that was asked; empty when it told none. */
  readonly endpoint: string;
  /** undefined when it did not answer. */
  readonly status: MemberStatus | undefined;
  /** How long the quickest of a few answers took. */
  readonly roundTripMs: number | undefined;
  /** Why it did not answer. */
  readonly problem: string;
}

export interface ClusterReport {
  readonly clusterId: bigint;
  readonly members: readonly MemberReport[];
  readonly alarms: readonly Alarm[];
}

/** Calls `use` with a client for one endpoint, and closes it. */
export type AskEndpoint = <Result>(
  endpoint: string,
  use: (client: Client) => Promise<Result>,
) => Promise<Result>;

const roundTripSamples = 3;

/** Rejects when none of the client's endpoints lists the members; a member that does not answer is reported. */
export async function gatherReport(client: Client, ask: AskEndpoint): Promise<ClusterReport> {
  // Without asking the leader, so that there is a report also when there is none.
  const list = await client.cluster.memberList({ serializable: true });
  const members = await Promise.all(list.members.map((member) => askMember(member, ask)));
  const answered = members.find(({ status }) => status !== undefined);
  const alarms = answered
    ? await ask(answered.endpoint, (one) => one.maintenance.alarms())
        .then((result) => result.alarms)
        .catch(() => [])
    : [];
  return { clusterId: list.header.clusterId, members, alarms };
}

async function askMember(member: Member, ask: AskEndpoint): Promise<MemberReport> {
  const silent = { member, endpoint: "", status: undefined, roundTripMs: undefined, problem: "" };
  if (member.clientUrls.length === 0) return { ...silent, role: "unstarted" };
  let problem = "";
  for (const url of member.clientUrls) {
    const endpoint = url.replace(/^http:\/\//, "");
    try {
      const { status, roundTripMs } = await ask(endpoint, timeStatus);
      const role = roleOf(member, status);
      return { member, role, endpoint, status, roundTripMs, problem: "" };
    } catch (error) {
      problem = (error as Error).message;
    }
  }
  const [first = ""] = member.clientUrls;
  const endpoint = first.replace(/^http:\/\//, "");
  return { ...silent, role: "unreachable", endpoint, problem };
}

async function timeStatus(client: Client) {
  // The first answer pays for the connection.
  let status = await client.maintenance.status();
  let roundTripMs = Number.POSITIVE_INFINITY;
  for (let sample = 0; sample < roundTripSamples; sample += 1) {
    const startedMs = performance.now();
    status = await client.maintenance.status();
    roundTripMs = Math.min(roundTripMs, performance.now() - startedMs);
  }
  return { status, roundTripMs };
}

function roleOf(member: Member, status: MemberStatus): MemberRole {
  if (status.isLearner) return "learner";
  return status.leader === member.id ? "leader" : "follower";
}

/** The member that the highest term's members follow. */
export function leaderOf(report: ClusterReport): MemberReport | undefined {
  const terms = report.members.map(({ status }) => status?.raftTerm ?? 0);
  const term = Math.max(0, ...terms);
  return report.members.find(({ role, status }) => role === "leader" && status?.raftTerm === term);
}

/** Entries that a member has yet to apply of what the furthest has in its log; undefined when it is silent. */
export function lagOf(report: ClusterReport, entry: MemberReport): number | undefined {
  if (entry.status === undefined) return undefined;
  const furthest = Math.max(...report.members.map(({ status }) => status?.raftIndex ?? 0));
  // Members are asked one after the other while the log grows.
  return Math.max(0, furthest - entry.status.raftAppliedIndex);
}

export interface HealthCheck {
  readonly name: string;
  readonly verdict: "ok" | "warning" | "failed";
  readonly text: string;
  /** More to read, a line each. */
  readonly details?: readonly string[];
}

/** From here on a member is so far behind that the next failure would hurt. */
const lagWarning = 10_000;
const quotaWarning = 0.8;

/** `canCommit`: a linearizable read was answered; else why not. */
export function checkHealth(report: ClusterReport, canCommit: true | string): HealthCheck[] {
  return [
    checkQuorum(report),
    checkLeader(report),
    {
      name: "reads",
      verdict: canCommit === true ? "ok" : "failed",
      text: `a linearizable read was ${canCommit === true ? "" : "not "}answered`,
      ...(canCommit !== true && { details: [canCommit] }),
    },
    checkAlarms(report),
    checkLag(report),
    checkSpace(report),
  ];
}

function checkQuorum({ members }: ClusterReport): HealthCheck {
  const voters = members.filter(({ member }) => !member.isLearner);
  const present = voters.filter(({ status }) => status !== undefined);
  const quorum = Math.floor(voters.length / 2) + 1;
  const spare = present.length - quorum;
  const missing = voters.filter(({ status }) => status === undefined);
  const names = missing.map(({ member, role, problem }) =>
    [member.name || member.id.toString(16), problem || role].join(": "),
  );
  const counted = `${present.length} of ${voters.length} voting members answer`;
  const text = spare < 0 ? `${counted}, ${quorum} are needed` : `${counted}, ${may(spare)}`;
  const verdict = missing.length > 0 ? "warning" : "ok";
  return { name: "quorum", verdict: spare < 0 ? "failed" : verdict, text, details: names };
}

function may(spare: number): string {
  if (spare === 0) return "none of them may fail";
  return spare === 1 ? "one of them may fail" : `${spare} of them may fail`;
}

function checkLeader(report: ClusterReport): HealthCheck {
  const leader = leaderOf(report);
  if (leader === undefined) return { name: "leader", verdict: "failed", text: "there is none" };
  const { id, name } = leader.member;
  const astray = report.members.filter(({ status }) => status && status.leader !== id);
  const text = `${name} leads in term ${leader.status?.raftTerm}`;
  if (astray.length === 0) return { name: "leader", verdict: "ok", text };
  const names = astray.map(({ member }) => member.name).join(", ");
  return { name: "leader", verdict: "warning", text: `${text}, but not to ${names}` };
}

function checkAlarms({ members, alarms }: ClusterReport): HealthCheck {
  if (alarms.length === 0) return { name: "alarms", verdict: "ok", text: "none" };
  const text = alarms
    .map(({ memberId, alarm }) => {
      const found = members.find(({ member }) => member.id === memberId);
      return `${alarm} at ${found?.member.name ?? memberId.toString(16)}`;
    })
    .join(", ");
  return { name: "alarms", verdict: "failed", text };
}

function checkLag(report: ClusterReport): HealthCheck {
  const lags = report.members.flatMap((entry) => {
    const lag = lagOf(report, entry);
    return lag === undefined ? [] : [{ name: entry.member.name, lag }];
  });
  const most = lags.sort((a, b) => b.lag - a.lag)[0];
  if (most === undefined) return { name: "lag", verdict: "failed", text: "nobody says" };
  const text = `at most ${most.lag.toLocaleString("en-US")} entries`;
  const isLong = most.lag > lagWarning;
  return {
    name: "lag",
    verdict: isLong ? "warning" : "ok",
    text: isLong ? `${text}, at ${most.name}` : text,
  };
}

function checkSpace({ members }: ClusterReport): HealthCheck {
  const shares = members.flatMap(({ member, status }) =>
    status && status.dbQuotaBytes > 0
      ? [{ name: member.name, status, share: status.dbSizeBytes / status.dbQuotaBytes }]
      : [],
  );
  const fullest = shares.sort((a, b) => b.share - a.share)[0];
  if (fullest === undefined) {
    return { name: "space", verdict: "ok", text: "no quota is set, or it is not told" };
  }
  const { dbSizeBytes, dbQuotaBytes } = fullest.status;
  const text = `${humanBytes(dbSizeBytes)} of ${humanBytes(dbQuotaBytes)} used at ${fullest.name}`;
  return { name: "space", verdict: fullest.share > quotaWarning ? "warning" : "ok", text };
}
