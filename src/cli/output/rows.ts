// The columns that the simple and the table format share.

import type { Member } from "../../client/cluster.ts";
import { formatDuration } from "../duration.ts";
import { humanBytes } from "../human-bytes.ts";
import {
  type EndpointHash,
  type EndpointHealth,
  type EndpointStatus,
  memberStatusWord,
  type SnapshotStatus,
} from "./printer.ts";

export const MEMBER_COLUMNS = [
  "ID",
  "STATUS",
  "NAME",
  "PEER ADDRS",
  "CLIENT ADDRS",
  "IS LEARNER",
] as const;

export function memberRow(member: Member): string[] {
  return [
    member.id.toString(16),
    memberStatusWord(member),
    member.name,
    member.peerUrls.join(","),
    member.clientUrls.join(","),
    String(member.isLearner),
  ];
}

export const HEALTH_COLUMNS = ["ENDPOINT", "HEALTH", "TOOK", "ERROR"] as const;

export function healthRow(entry: EndpointHealth): string[] {
  return [entry.endpoint, String(entry.healthy), formatDuration(entry.tookMs), entry.error];
}

export const STATUS_COLUMNS = [
  "ENDPOINT",
  "ID",
  "VERSION",
  "STORAGE VERSION",
  "DB SIZE",
  "IN USE",
  "PERCENTAGE NOT IN USE",
  "QUOTA",
  "IS LEADER",
  "IS LEARNER",
  "RAFT TERM",
  "RAFT INDEX",
  "RAFT APPLIED INDEX",
  "ERRORS",
  "DOWNGRADE TARGET VERSION",
  "DOWNGRADE ENABLED",
] as const;

export function statusRow({ endpoint, status }: EndpointStatus): string[] {
  const { dbSizeBytes, dbSizeInUseBytes } = status;
  const inUse = dbSizeBytes === 0 ? 100 : Math.trunc((dbSizeInUseBytes * 100) / dbSizeBytes);
  return [
    endpoint,
    status.header.memberId.toString(16),
    status.version,
    status.storageVersion,
    humanBytes(dbSizeBytes),
    humanBytes(dbSizeInUseBytes),
    `${100 - inUse}%`,
    humanBytes(status.dbQuotaBytes),
    String(status.leader === status.header.memberId),
    String(status.isLearner),
    String(status.raftTerm),
    String(status.raftIndex),
    String(status.raftAppliedIndex),
    status.errors.join(", "),
    status.downgrade?.targetVersion ?? "",
    String(status.downgrade?.enabled ?? false),
  ];
}

export const HASH_COLUMNS = ["ENDPOINT", "HASH", "HASH REVISION"] as const;

export function hashRow({ endpoint, hash }: EndpointHash): string[] {
  return [endpoint, String(hash.hash), String(hash.hashRevision)];
}

export const SNAPSHOT_COLUMNS = [
  "HASH",
  "REVISION",
  "TOTAL KEYS",
  "TOTAL SIZE",
  "VERSION",
] as const;

export function snapshotRow(status: SnapshotStatus): string[] {
  return [
    status.hash.toString(16),
    String(status.revision),
    String(status.totalKeys),
    humanBytes(status.totalSizeBytes),
    status.version,
  ];
}
