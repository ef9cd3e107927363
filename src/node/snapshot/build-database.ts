// Makes a database of a member out of an etcd database file, whoever wrote it: a leader's, or a backup. All of it is
// checked as it is read; damage is a StatusError that says where.

import { latin1Bytes, readUint64 } from "../../base/bytes.ts";
import { Status, StatusError } from "../../base/status.ts";
import type { Clock } from "../../io/clock.ts";
import type { Disk } from "../../io/disk.ts";
import { LeaseKeyRows } from "../../lease/lease-key-rows.ts";
import type { StoreMarks } from "../../mvcc/export.ts";
import { StoreImporter } from "../../mvcc/import.ts";
import type { Backend } from "../../storage/backend.ts";
import { BboltFile } from "../../storage/bbolt/bbolt-file.ts";
import { Lease } from "../../wire/generated/lease.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import { memberJson } from "../../wire/member-json.ts";
import { MetaKey } from "../apply/state-machine.ts";
import { encodeConfState } from "../members/conf-state.ts";
import { type MemberRows, type Row, readMemberRows } from "./member-rows.ts";
import { Pace } from "./pace.ts";
import {
  authTables,
  Bucket,
  damagedRow,
  decodeNumber,
  decodeRevision,
  encodeRevision,
  MetaRow,
  memberKey,
  parseConfState,
} from "./schema.ts";
import type { SnapshotPoint } from "./snapshot-files.ts";

export interface BuildDatabaseParts {
  readonly disk: Disk;
  /** The database file; a SHA-256 behind it does not matter, and is not looked at. */
  readonly path: string;
  /** Empty; durable when it is closed and synced by the caller. */
  readonly backend: Backend;
  readonly clock: Clock;
  /**
   * The place in the log that the file was sent for, which then counts; the file must not be ahead of it. Absent:
   * the file's own word.
   */
  readonly point?: SnapshotPoint;
  /** What to change on the way, for a backup that a new cluster begins with. Goes without `point`. */
  readonly edit?: DatabaseEdit;
  readonly signal?: AbortSignal;
}

export interface DatabaseEdit {
  /** Where the new cluster's log is. */
  readonly point: SnapshotPoint;
  /** In the place of those in the file; ids that may not come back are forgotten. */
  readonly members: readonly Member[];
  /** Raises the revision by this, and marks all of history as compacted; 0 leaves both. */
  readonly bumpRevision: number;
}

/** More rows than etcd has members or alarms are no reason to fill the memory with them. */
const smallBucketRowsMax = 100_000;

/** Resolves when all is in the database. */
export async function buildDatabase(parts: BuildDatabaseParts): Promise<SnapshotPoint> {
  const { disk, path, backend, clock, edit, signal } = parts;
  const file = await BboltFile.open({ disk, path });
  try {
    const pace = new Pace(clock, signal);
    const leases = new Set<bigint>();
    const leaseKeys = new LeaseKeyRows();
    const importer = new StoreImporter(backend, {
      pause: () => pace.rest(),
      leaseKeys: {
        has: (id) => leases.has(id),
        add: (id, key) => leaseKeys.add(id, key),
        remove: (id, key) => leaseKeys.remove(id, key),
      },
    });
    const { marks, point } = await readMeta(file, parts);
    await importLeases(file, importer, leases, pace);
    const lastRevision = await importHistory(file, importer, pace);
    const bumped = await bumpRevision(importer, marks, lastRevision, edit?.bumpRevision ?? 0);
    for (const table of authTables) {
      for await (const [key, value] of rowsOf(file, table)) await importer.put(table, key, value);
    }
    const { members, alarms } = readMemberRows({
      alarm: await smallBucket(file, Bucket.alarm),
      cluster: await smallBucket(file, Bucket.cluster),
      members: edit ? membersOf(edit) : await smallBucket(file, Bucket.members),
      members_removed: edit ? [] : await smallBucket(file, Bucket.membersRemoved),
    } satisfies MemberRows);
    const put = (key: string, value: Uint8Array) => importer.put("meta", latin1Bytes(key), value);
    await put(MetaKey.members, members);
    await put(MetaKey.alarms, alarms);
    await put(MetaKey.term, Buffer.from(String(point.term)));
    await put(MetaKey.confState, encodeConfState(point.confState));
    await importer.finish(bumped);
    return point;
  } finally {
    await file.close();
  }
}

async function readMeta(
  file: BboltFile,
  { point: promised, edit }: Pick<BuildDatabaseParts, "point" | "edit">,
): Promise<{ readonly marks: StoreMarks; readonly point: SnapshotPoint }> {
  const row = (name: string) => file.get(Bucket.meta, Buffer.from(name));
  const number = async (name: string): Promise<number> => {
    const bytes = await row(name);
    return bytes ? decodeNumber(bytes, name) : 0;
  };
  const revision = async (name: string): Promise<number> => {
    const bytes = await row(name);
    return bytes ? decodeRevision(bytes, name) : -1;
  };
  const confState = await row(MetaRow.confState);
  const own: SnapshotPoint = {
    index: await number(MetaRow.consistentIndex),
    term: await number(MetaRow.term),
    confState: parseConfState(confState ? confState.toString() : "{}"),
  };
  if (promised && own.index > promised.index) {
    throw new StatusError(
      Status.DATA_LOSS,
      `The snapshot was sent for entry ${promised.index} of the log, but its database file is of entry ${own.index}`,
    );
  }
  const point = edit?.point ?? promised ?? own;
  const finishedCompaction = await revision(MetaRow.finishedCompaction);
  const scheduledCompaction = await revision(MetaRow.scheduledCompaction);
  const marks = {
    consistentIndex: point.index,
    revision: 1, // the rows tell
    finishedCompaction,
    scheduledCompaction: Math.max(finishedCompaction, scheduledCompaction),
  };
  return { marks, point };
}

/** Resolves to the last row's revision, 0 without rows. */
async function importHistory(
  file: BboltFile,
  importer: StoreImporter,
  pace: Pace,
): Promise<number> {
  let last = 0;
  for await (const { bytes, bounds, count } of file.scan(Bucket.key)) {
    for (let i = 0; i < 3 * count; i += 3) {
      const keyEnd = bounds[i + 1] as number;
      const key = bytes.subarray(bounds[i], keyEnd);
      if (importer.add(key, bytes, keyEnd, bounds[i + 2] as number)) await importer.write();
    }
    last = readUint64(bytes, bounds[3 * (count - 1)] as number);
    await pace.rest();
  }
  return last;
}

/** A row without a key stands for the new revision, as etcdutl leaves it. */
async function bumpRevision(
  importer: StoreImporter,
  marks: StoreMarks,
  lastRevision: number,
  by: number,
): Promise<StoreMarks> {
  if (by === 0) return marks;
  const revision = Math.max(lastRevision, marks.scheduledCompaction, 0) + by;
  if (importer.add(encodeRevision(revision), Buffer.alloc(0), 0, 0)) await importer.write();
  return { ...marks, scheduledCompaction: revision };
}

function membersOf({ members }: DatabaseEdit): Row[] {
  return members.map((member) => [memberKey(member.ID), Buffer.from(memberJson(member))]);
}

async function importLeases(
  file: BboltFile,
  importer: StoreImporter,
  leases: Set<bigint>,
  pace: Pace,
): Promise<void> {
  for await (const [key, value] of rowsOf(file, Bucket.lease)) {
    if (key.length !== 8) throw damagedRow(`${Bucket.lease} ${key.toString("hex")}`);
    leases.add(idOf(key, value));
    await importer.put("lease", key, value);
    await pace.rest();
  }
}

function idOf(key: Buffer, value: Buffer): bigint {
  try {
    const { ID } = Lease.decode(value);
    if (ID === key.readBigInt64BE(0)) return ID;
  } catch {
    // told below
  }
  throw damagedRow(`${Bucket.lease} ${key.toString("hex")}`);
}

async function smallBucket(file: BboltFile, name: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of rowsOf(file, name)) {
    rows.push(row);
    if (rows.length > smallBucketRowsMax) throw damagedRow(`${name}: too many`);
  }
  return rows;
}

/** The rows of a bucket, as copies. */
async function* rowsOf(file: BboltFile, bucket: string): AsyncGenerator<Row> {
  for await (const batch of file.scan(bucket)) {
    for (let i = 0; i < batch.count; i++) {
      yield [Buffer.from(batch.key(i)), Buffer.from(batch.value(i))];
    }
  }
}
