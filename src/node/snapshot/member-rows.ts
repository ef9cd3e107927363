// What a member knows of its cluster as rows of etcd's buckets, and back: members, ids that may not come back, the
// cluster's version, a downgrade under way, alarms.

import { AlarmMember, type Member } from "../../wire/generated/rpc.ts";
import { memberJson, parseChangeContext } from "../../wire/member-json.ts";
import { AlarmSet } from "../apply/alarm-set.ts";
import { Membership } from "../members/membership.ts";
import {
  Bucket,
  ClusterRow,
  damagedRow,
  memberKey,
  parseMemberKey,
  parseObject,
} from "./schema.ts";

/** Key and value. */
export type Row = readonly [key: Buffer, value: Buffer];

/** The buckets that this file knows, by name; rows are sorted by key. */
export type MemberRows = Record<"alarm" | "cluster" | "members" | "members_removed", Row[]>;

const removedMark = Buffer.from("removed");
const none = Buffer.alloc(0);

export function memberRows(membership: Membership, alarms: AlarmSet): MemberRows {
  const cluster: Row[] = [];
  const { clusterVersion, downgrade } = membership;
  if (clusterVersion !== "") {
    cluster.push([Buffer.from(ClusterRow.version), Buffer.from(clusterVersion)]);
  }
  if (downgrade.enabled) {
    const { targetVersion, enabled } = downgrade;
    const value = JSON.stringify({ "target-version": targetVersion, enabled });
    cluster.push([Buffer.from(ClusterRow.downgrade), Buffer.from(value)]);
  }
  return {
    alarm: sorted(alarms.list().map((alarm) => [encodeAlarm(alarm), none])),
    cluster: sorted(cluster),
    members: sorted(membership.list().map((one) => [memberKey(one.ID), jsonOf(one)])),
    members_removed: sorted(membership.removed().map((id) => [memberKey(id), removedMark])),
  };
}

/** The rows of the meta table that say the same. Throws a StatusError for what no member writes. */
export function readMemberRows(rows: MemberRows): {
  readonly members: Uint8Array;
  readonly alarms: Uint8Array;
} {
  const membership = new Membership(undefined);
  membership.restore({
    members: rows.members.map(([key, value]) => readMember(key, value)),
    removed: rows.members_removed.map(([key]) => parseMemberKey(key, Bucket.membersRemoved)),
  });
  for (const [key, value] of rows.cluster) {
    const name = key.toString();
    if (name === ClusterRow.version) membership.setClusterVersion(value.toString());
    if (name === ClusterRow.downgrade) {
      const plain = parseObject(value.toString(), name);
      const targetVersion = String(plain["target-version"] ?? "");
      membership.setDowngrade({ enabled: plain.enabled === true, targetVersion });
    }
  }
  const alarms = new AlarmSet(undefined);
  for (const [key] of rows.alarm) {
    const { memberID, alarm } = decodeAlarm(key);
    alarms.activate(memberID, alarm);
  }
  return { members: membership.encode(), alarms: alarms.encode() };
}

function jsonOf(member: Member): Buffer {
  return Buffer.from(memberJson(member));
}

function readMember(key: Buffer, value: Buffer): Member {
  const id = parseMemberKey(key, Bucket.members);
  try {
    const { name, peerUrls, clientUrls, isLearner } = parseChangeContext(value);
    return { ID: id, name, peerURLs: [...peerUrls], clientURLs: [...clientUrls], isLearner };
  } catch {
    throw damagedRow(`${Bucket.members} ${id.toString(16)}`);
  }
}

function encodeAlarm({ memberId, type }: { memberId: bigint; type: number }): Buffer {
  const message = AlarmMember.fromPartial({ memberID: memberId, alarm: type as never });
  return Buffer.from(AlarmMember.encode(message).finish());
}

function decodeAlarm(key: Buffer): AlarmMember {
  try {
    return AlarmMember.decode(key);
  } catch {
    throw damagedRow(Bucket.alarm);
  }
}

function sorted(rows: Row[]): Row[] {
  return rows.sort(([a], [b]) => Buffer.compare(a, b));
}
