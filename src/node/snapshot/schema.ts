// The buckets of etcd's database file and the rows of theirs that are no user data: names, and how numbers, the
// voters and the members are written in them. What etcd 3.7 writes is what comes out, byte for byte.

import { readUint64, writeUint64 } from "../../base/bytes.ts";
import { Status, StatusError } from "../../base/status.ts";
import type { ConfState } from "../../raft/message.ts";

export const Bucket = {
  key: "key",
  meta: "meta",
  lease: "lease",
  alarm: "alarm",
  cluster: "cluster",
  members: "members",
  membersRemoved: "members_removed",
  auth: "auth",
  authUsers: "authUsers",
  authRoles: "authRoles",
} as const;

/** Buckets whose rows are kept as they are, in tables of the same name. */
export const authTables = ["auth", "authUsers", "authRoles"] as const;

export const MetaRow = {
  consistentIndex: "consistent_index",
  term: "term",
  confState: "confState",
  storageVersion: "storageVersion",
  finishedCompaction: "finishedCompactRev",
  scheduledCompaction: "scheduledCompactRev",
} as const;

export const ClusterRow = { version: "clusterVersion", downgrade: "downgrade" } as const;

/** What `MetaRow.storageVersion` says: the minor version whose format this is. */
export const storageVersion = "3.7.0";

const revisionBytes = 17;
const underscore = 0x5f;

export function encodeNumber(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  writeUint64(bytes, 0, value);
  return bytes;
}

export function decodeNumber(bytes: Buffer, row: string): number {
  if (bytes.length !== 8 || bytes.readUInt32BE(0) >= 0x20_0000) throw damagedRow(row);
  return readUint64(bytes, 0);
}

/** A main revision as the compaction marks hold it. */
export function encodeRevision(main: number): Buffer {
  const bytes = Buffer.alloc(revisionBytes);
  writeUint64(bytes, 0, main);
  bytes[8] = underscore;
  return bytes;
}

export function decodeRevision(bytes: Buffer, row: string): number {
  const isWhole = bytes.length >= revisionBytes && bytes[8] === underscore;
  if (!isWhole || bytes.readUInt32BE(0) >= 0x20_0000) throw damagedRow(row);
  return readUint64(bytes, 0);
}

/** As Go's JSON encoder writes a raftpb.ConfState; ids have more digits than a number keeps. */
export function confStateJson(state: ConfState): string {
  const parts: string[] = [];
  const list = (name: string, ids: readonly bigint[]) => {
    if (ids.length > 0) parts.push(`"${name}":[${ids.join(",")}]`);
  };
  list("voters", state.voters);
  list("learners", state.learners);
  list("voters_outgoing", state.votersOutgoing);
  list("learners_next", state.learnersNext);
  parts.push(`"auto_leave":${state.autoLeave}`);
  return `{${parts.join(",")}}`;
}

export function parseConfState(text: string): ConfState {
  const plain = parseObject(text.replace(/\b\d+\b/g, '"$&"'), MetaRow.confState);
  const ids = (name: string): bigint[] => {
    const list = plain[name] ?? [];
    if (!Array.isArray(list)) throw damagedRow(MetaRow.confState);
    return list.map((id: unknown) => {
      if (typeof id !== "string" || !/^\d+$/.test(id)) throw damagedRow(MetaRow.confState);
      return BigInt.asUintN(64, BigInt(id));
    });
  };
  return {
    voters: ids("voters"),
    learners: ids("learners"),
    votersOutgoing: ids("voters_outgoing"),
    learnersNext: ids("learners_next"),
    autoLeave: plain.auto_leave === true,
  };
}

/** The name of a member's rows. */
export function memberKey(id: bigint): Buffer {
  return Buffer.from(id.toString(16));
}

export function parseMemberKey(key: Buffer, bucket: string): bigint {
  const text = key.latin1Slice(0, key.length);
  if (!/^[0-9a-f]{1,16}$/.test(text)) throw damagedRow(`${bucket} ${text.slice(0, 40)}`);
  return BigInt(`0x${text}`);
}

export function parseObject(text: string, row: string): Record<string, unknown> {
  try {
    const plain: unknown = JSON.parse(text);
    if (typeof plain === "object" && plain !== null) return plain as Record<string, unknown>;
  } catch {
    // told below
  }
  throw damagedRow(row);
}

export function damagedRow(row: string): StatusError {
  return new StatusError(
    Status.DATA_LOSS,
    `The database file is damaged: its row ${row} can not be read`,
  );
}
