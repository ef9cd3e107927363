// Writes the state of a member as an etcd database file: all buckets as etcd 3.7 has them. Works on a snapshot of
// the database in small pieces, so the member serves on meanwhile; memory does not grow with the data.

import { latin1Bytes } from "../../base/bytes.ts";
import type { Clock } from "../../io/clock.ts";
import type { Disk } from "../../io/disk.ts";
import { HistoryExport, readMarks, type StoreMarks } from "../../mvcc/export.ts";
import type { BackendSnapshot, TableName } from "../../storage/backend.ts";
import { type BboltBucket, BboltWriter } from "../../storage/bbolt/bbolt-writer.ts";
import { AlarmSet } from "../apply/alarm-set.ts";
import { MetaKey } from "../apply/state-machine.ts";
import { confStateOf, decodeConfState } from "../members/conf-state.ts";
import { Membership } from "../members/membership.ts";
import { memberRows, type Row } from "./member-rows.ts";
import { Pace } from "./pace.ts";
import {
  authTables,
  Bucket,
  confStateJson,
  encodeNumber,
  encodeRevision,
  MetaRow,
  storageVersion,
} from "./schema.ts";
import type { SnapshotFacts, SnapshotPoint } from "./snapshot-files.ts";

export interface WriteDatabaseFileParts {
  /** Stays the caller's to close. */
  readonly snapshot: BackendSnapshot;
  readonly disk: Disk;
  /** Must not exist yet; it is removed again when writing fails. */
  readonly path: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

export interface DatabaseFileFacts extends SnapshotFacts {
  readonly revision: number;
}

/** Bytes of history that are looked at in one piece of work. */
const pieceBytes = 64 * 1024;
const pieceRows = 512;

/** Resolves when the file is complete and durable. */
export async function writeDatabaseFile(parts: WriteDatabaseFileParts): Promise<DatabaseFileFacts> {
  const { snapshot, disk, path, clock, signal } = parts;
  const writer = await BboltWriter.create({ disk, path });
  try {
    const pace = new Pace(clock, signal);
    const marks = readMarks(snapshot);
    const meta = (key: string) => snapshot.get("meta", latin1Bytes(key));
    const membership = new Membership(meta(MetaKey.members));
    const point = pointOf(marks, meta, membership);
    await writeHistory(writer, snapshot, pace);
    await copyTable(writer, "lease", snapshot, pace);
    for (const table of authTables) await copyTable(writer, table, snapshot, pace);
    const rows = memberRows(membership, new AlarmSet(meta(MetaKey.alarms)));
    for (const [name, list] of Object.entries(rows)) writeRows(writer.bucket(name), list);
    writeRows(writer.bucket(Bucket.meta), metaRows(marks, point));
    const { sizeBytes } = await writer.finish();
    return { ...point, sizeBytes, revision: marks.revision };
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
  }
}

/** How far the log had been applied. */
function pointOf(
  { consistentIndex }: StoreMarks,
  meta: (key: string) => Buffer | undefined,
  membership: Membership,
): SnapshotPoint {
  const confState = meta(MetaKey.confState);
  return {
    index: consistentIndex,
    term: Number(meta(MetaKey.term)?.toString() ?? 0),
    // Databases of before there were clusters name the members only.
    confState: confState ? decodeConfState(confState) : confStateOf(membership.list()),
  };
}

function metaRows(marks: StoreMarks, { index, term, confState }: SnapshotPoint): Row[] {
  const rows: Row[] = [
    [Buffer.from(MetaRow.confState), Buffer.from(confStateJson(confState))],
    [Buffer.from(MetaRow.storageVersion), Buffer.from(storageVersion)],
  ];
  if (index > 0) rows.push([Buffer.from(MetaRow.consistentIndex), encodeNumber(index)]);
  if (term > 0) rows.push([Buffer.from(MetaRow.term), encodeNumber(term)]);
  const { finishedCompaction: finished, scheduledCompaction: scheduled } = marks;
  const mark = (name: string, revision: number) => {
    if (revision >= 0) rows.push([Buffer.from(name), encodeRevision(revision)]);
  };
  mark(MetaRow.finishedCompaction, finished);
  mark(MetaRow.scheduledCompaction, scheduled);
  return rows.sort(([a], [b]) => Buffer.compare(a, b));
}

async function writeHistory(
  writer: BboltWriter,
  snapshot: BackendSnapshot,
  pace: Pace,
): Promise<void> {
  const bucket = writer.bucket(Bucket.key);
  const history = new HistoryExport(snapshot);
  let hasRoom = true;
  const visit = (key: Buffer, source: Buffer, start: number, end: number) => {
    hasRoom = bucket.addRange(key, 0, key.length, source, start, end);
  };
  while (history.next(pieceBytes, visit)) {
    if (!hasRoom) await writer.drained();
    await pace.rest();
  }
}

/** A table whose rows etcd keeps as they are. */
async function copyTable(
  writer: BboltWriter,
  table: TableName,
  snapshot: BackendSnapshot,
  pace: Pace,
): Promise<void> {
  const bucket = writer.bucket(table);
  let start: Buffer | undefined = Buffer.alloc(0);
  while (start) {
    let rows = 0;
    let last: Buffer = start;
    snapshot.scan(table, { start, limit: pieceRows }, (key, value) => {
      rows++;
      last = Buffer.concat([key, Buffer.alloc(1)]);
      bucket.addRange(key, 0, key.length, value, 0, value.length);
      return undefined;
    });
    start = rows < pieceRows ? undefined : last;
    await writer.drained();
    await pace.rest();
  }
}

function writeRows(bucket: BboltBucket, rows: readonly Row[]): void {
  for (const [key, value] of rows) bucket.add(key, value);
}
