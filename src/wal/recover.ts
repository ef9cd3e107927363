// Reads a log from a folder: which segments there are, what they say, and whether all of it can be believed.
// Changes nothing; the one thing that may be wrong with a sound log, a torn last write, is reported.

import { join } from "node:path";
import { Status, StatusError } from "../base/status.ts";
import { FieldReader } from "../base/varint.ts";
import type { Disk, DiskFile } from "../io/disk.ts";
import { isZeroFrom, judgeTail } from "./damage.ts";
import { WalCorruptError } from "./errors.ts";
import {
  parseSegmentFileName,
  RecordType,
  type SegmentName,
  segmentFileName,
  type WalEntry,
  type WalHardState,
  type WalSnapshot,
} from "./format.ts";
import { SegmentReader } from "./segment-reader.ts";

/** Where to begin: entries up to `index` are held elsewhere. `term` is checked against a snapshot record, if given. */
export interface WalStart {
  readonly index: number;
  readonly term?: number | undefined;
}

export interface WalRecovered {
  readonly nodeId: bigint;
  readonly clusterId: bigint;
  /** Undefined when none was ever written. */
  readonly hardState: WalHardState | undefined;
  /** The newest snapshot record of a committed index; {0, 0} in a young log. */
  readonly snapshot: WalSnapshot;
  /** In order of index, without gaps, those after the start. What a later entry replaced is left out. */
  readonly entries: readonly WalEntry[];
  /** Index of the last entry (or newer snapshot) in the log. */
  readonly lastIndex: number;
  /** Bytes of a torn last write that were cut off. */
  readonly tornBytes: number;
}

/** Where and how to go on writing. */
export interface WalTail {
  readonly segments: readonly SegmentName[];
  /** Offset behind the last record of the last segment. */
  readonly position: number;
  /** Up to here the last segment holds a torn write; equals `position` when there is none. */
  readonly garbageEnd: number;
  readonly crc: number;
}

/** The segments in a folder, in order. */
export async function listSegments(disk: Disk, folder: string): Promise<SegmentName[]> {
  const names: SegmentName[] = [];
  for (const file of await disk.list(folder)) {
    const name = parseSegmentFileName(file);
    if (name !== undefined) names.push(name);
  }
  return names.sort((a, b) => a.sequence - b.sequence);
}

/** Reads the log; rejects with WalCorruptError when it is damaged, NOT_FOUND when there is none. */
export async function recover(
  disk: Disk,
  folder: string,
  start: WalStart | undefined,
): Promise<{ recovered: WalRecovered; tail: WalTail }> {
  const segments = await listSegments(disk, folder);
  if (segments.length === 0) {
    throw new StatusError(Status.NOT_FOUND, `Cannot open the log: ${folder} holds no segments`);
  }
  const first = chooseFirst(folder, segments, start);
  const firstIndex = firstOf(segments, first);
  const collector = new Collector(start ?? { index: Math.max(0, firstIndex - 1) }, firstIndex);
  let crc: number | undefined;
  let position = 0;
  let garbageEnd = 0;
  let path = "";
  for (let i = first; i < segments.length; i++) {
    path = join(folder, segmentFileName(firstName(segments, i).sequence, firstOf(segments, i)));
    const file = await disk.open(path, "read");
    try {
      const reader = new SegmentReader(file, await file.size(), crc);
      await readSegment(reader, path, collector);
      if (i < segments.length - 1) await checkFinished(file, path, reader);
      else garbageEnd = await checkTail(file, path, reader, collector.lastIndex);
      crc = reader.crc;
      position = reader.offset;
    } finally {
      await file.close();
    }
  }
  const recovered = collector.result(path, position, garbageEnd - position);
  return { recovered, tail: { segments, position, garbageEnd, crc: crc ?? 0 } };
}

function firstName(segments: readonly SegmentName[], at: number): SegmentName {
  return segments[at] as SegmentName;
}

function firstOf(segments: readonly SegmentName[], at: number): number {
  return firstName(segments, at).firstIndex;
}

/** The last segment that can hold the first entry wanted; from there on none may be missing. */
function chooseFirst(
  folder: string,
  segments: readonly SegmentName[],
  start: WalStart | undefined,
): number {
  let first = start === undefined ? 0 : segments.length - 1;
  while (first > 0 && firstOf(segments, first) > (start?.index ?? 0)) first--;
  const chosen = firstName(segments, first);
  if (start !== undefined && chosen.firstIndex > start.index) {
    const missing = join(folder, segmentFileName(Math.max(0, chosen.sequence - 1), 0));
    throw new WalCorruptError(
      missing,
      0,
      `expected a segment with entry ${start.index + 1}, found none before entry ${chosen.firstIndex}`,
    );
  }
  for (let i = first + 1; i < segments.length; i++) {
    const expected = firstName(segments, i - 1).sequence + 1;
    const found = firstName(segments, i);
    if (found.sequence === expected) continue;
    const missing = `${expected.toString(16).padStart(16, "0")}-*.wal`;
    throw new WalCorruptError(
      join(folder, missing),
      0,
      `expected segment ${expected}, found segment ${found.sequence} to be the next: a file is missing`,
    );
  }
  return first;
}

async function readSegment(
  reader: SegmentReader,
  path: string,
  collector: Collector,
): Promise<void> {
  for (let count = 0; await reader.next(); count++) {
    const expected = count === 0 ? RecordType.crc : count === 1 ? RecordType.metadata : undefined;
    if (expected !== undefined && reader.type !== expected) {
      const text = `expected a record of type ${expected} at the head of a segment, found type ${reader.type}`;
      throw new WalCorruptError(path, reader.offset, text);
    }
    const problem = collector.take(reader);
    if (problem !== undefined) throw new WalCorruptError(path, reader.offset, problem);
  }
}

/** A segment that is followed by another ends with its last record, or in zeros when it was not yet cut. */
async function checkFinished(file: DiskFile, path: string, reader: SegmentReader): Promise<void> {
  const stop = reader.stop;
  if (stop.kind === "end") return;
  if (stop.kind !== "zero") throw new WalCorruptError(path, reader.offset, stop.text);
  if (await isZeroFrom(file, reader.offset, reader.sizeBytes)) return;
  const text = "expected a frame head, found zeros with data behind";
  throw new WalCorruptError(path, reader.offset, text);
}

/** Returns where the torn write behind the last record ends. */
async function checkTail(
  file: DiskFile,
  path: string,
  reader: SegmentReader,
  lastIndex: number,
): Promise<number> {
  const { offset, sizeBytes, stop } = reader;
  if (offset === 0) {
    const found = stop.kind === "broken" || stop.kind === "short" ? stop.text : "found nothing";
    throw new WalCorruptError(path, 0, `expected the head of a segment: ${found}`);
  }
  const verdict = await judgeTail(file, offset, sizeBytes, stop, lastIndex);
  if (verdict.kind === "damaged") throw new WalCorruptError(path, offset, verdict.text);
  return verdict.kind === "torn" ? verdict.garbageEnd : offset;
}

/**
 * Gathers what the records say, and checks it against what a log can say: the checksum does not cover a record's
 * type, so only the fields tell an entry from a hard state that lost a bit there.
 */
class Collector {
  readonly #start: WalStart;
  readonly #fields = new FieldReader(Buffer.alloc(0));
  readonly #entries: WalEntry[] = [];
  readonly #snapshots: WalSnapshot[] = [];
  #nodeId: bigint | undefined;
  #clusterId = 0n;
  #hardState: WalHardState | undefined;
  #lastIndex: number | undefined;
  /** Of the entry at the start, once it was read. */
  #termAtStart: number | undefined;

  /** `firstIndex`: of the first segment that is read; what its name says lies before it. */
  constructor(start: WalStart, firstIndex: number) {
    this.#start = start;
    if (firstIndex > 0) this.#lastIndex = firstIndex - 1;
    if (start.index === 0) this.#termAtStart = 0;
  }

  get lastIndex(): number {
    return this.#lastIndex ?? 0;
  }

  /** Takes the reader's current record; returns what is wrong with it, if anything. */
  take(reader: SegmentReader): string | undefined {
    this.#fields.reset(reader.source, reader.dataStart, reader.dataEnd);
    try {
      switch (reader.type) {
        case RecordType.entry:
          return this.#takeEntry();
        case RecordType.hardState:
          return this.#takeHardState();
        case RecordType.metadata:
          return this.#takeMetadata();
        case RecordType.snapshot:
          return this.#takeSnapshot();
        default:
          return undefined;
      }
    } catch (error) {
      if (error instanceof StatusError) return `a record of type ${reader.type}: ${error.message}`;
      throw error;
    }
  }

  result(path: string, position: number, tornBytes: number): WalRecovered {
    const commit = this.#hardState?.commit ?? 0;
    if (commit > this.lastIndex) {
      const text = `expected entries up to ${commit}, which were committed, found the last to be ${this.lastIndex}`;
      throw new WalCorruptError(path, position, text);
    }
    if (this.#start.index > this.lastIndex) {
      const text = `expected entries up to ${this.#start.index}, which the database holds, found the last to be ${this.lastIndex}`;
      throw new WalCorruptError(path, position, text);
    }
    const snapshot = this.#snapshots.findLast((s) => s.index <= commit || s.index === 0);
    return {
      nodeId: this.#nodeId ?? 0n,
      clusterId: this.#clusterId,
      hardState: this.#hardState,
      snapshot: snapshot ?? { index: 0, term: 0, confState: Buffer.alloc(0) },
      entries: this.#entries,
      lastIndex: this.lastIndex,
      tornBytes,
    };
  }

  #takeEntry(): string | undefined {
    const fields = this.#fields;
    let type = 0;
    let term = 0;
    let index = 0;
    let dataStart = 0;
    let dataEnd = 0;
    let fieldsSeen = 0;
    while (fields.next()) {
      fieldsSeen |= 1 << Math.min(fields.field, 31);
      if (fields.field === 1) type = fields.int32();
      else if (fields.field === 2) term = fields.uint64();
      else if (fields.field === 3) index = fields.uint64();
      else if (fields.field === 4) {
        dataStart = fields.valueStart;
        dataEnd = fields.valueEnd;
      }
    }
    const hasData = (fieldsSeen & 0b1_0000) !== 0;
    if ((fieldsSeen & 0b1100) !== 0b1100 || fieldsSeen > 0b1_1111 || term === 0 || type > 2) {
      return "expected an entry, found other fields";
    }
    if (type === 1 && !hasData) return "expected a configuration change, found none in its entry";
    const last = this.#lastIndex;
    if (last !== undefined && index > last + 1) {
      return `expected entry ${last + 1} or an earlier one, found entry ${index}`;
    }
    this.#lastIndex = index;
    const place = index - this.#start.index - 1;
    if (place < 0) {
      // It replaces what an earlier leader had put behind it.
      this.#entries.length = 0;
      this.#termAtStart = place === -1 ? term : undefined;
      return undefined;
    }
    if (place > this.#entries.length) {
      return `expected entry ${this.#start.index + this.#entries.length + 1}, found entry ${index}`;
    }
    const termBefore = this.#entries[place - 1]?.term ?? 0;
    if (term < termBefore) {
      return `expected entry ${index} in term ${termBefore} or a later one, found term ${term}`;
    }
    this.#entries.length = place;
    const data = Buffer.allocUnsafe(dataEnd - dataStart);
    (fields.source as Buffer).copy(data, 0, dataStart, dataEnd);
    this.#entries.push({ term, index, type, data });
    return undefined;
  }

  #takeHardState(): string | undefined {
    let term = 0;
    let vote = 0n;
    let commit = 0;
    let fieldsSeen = 0;
    while (this.#fields.next()) {
      fieldsSeen |= 1 << Math.min(this.#fields.field, 31);
      if (this.#fields.field === 1) term = this.#fields.uint64();
      else if (this.#fields.field === 2) vote = this.#fields.uint64Big();
      else if (this.#fields.field === 3) commit = this.#fields.uint64();
    }
    if (fieldsSeen !== 0b1110) return "expected a hard state, found other fields";
    const before = this.#hardState;
    if (before !== undefined && (term < before.term || commit < before.commit)) {
      return `expected a hard state from term ${before.term} and commit ${before.commit}, found ${term} and ${commit}`;
    }
    this.#hardState = { term, vote, commit };
    return undefined;
  }

  #takeMetadata(): string | undefined {
    let nodeId = 0n;
    let clusterId = 0n;
    while (this.#fields.next()) {
      if (this.#fields.field === 1) nodeId = this.#fields.uint64Big();
      else if (this.#fields.field === 2) clusterId = this.#fields.uint64Big();
    }
    const known = this.#nodeId;
    this.#nodeId = nodeId;
    if (known === undefined) this.#clusterId = clusterId;
    else if (known !== nodeId || this.#clusterId !== clusterId) {
      return `expected the log of member ${known.toString(16)}, found that of member ${nodeId.toString(16)}`;
    }
    return undefined;
  }

  #takeSnapshot(): string | undefined {
    let index = 0;
    let term = 0;
    let confState: Uint8Array = Buffer.alloc(0);
    let fieldsSeen = 0;
    while (this.#fields.next()) {
      fieldsSeen |= 1 << Math.min(this.#fields.field, 31);
      if (this.#fields.field === 1) index = this.#fields.uint64();
      else if (this.#fields.field === 2) term = this.#fields.uint64();
      else if (this.#fields.field === 3) confState = this.#fields.copyBytes();
    }
    if (fieldsSeen !== 0b1110 && (fieldsSeen !== 0b110 || index !== 0)) {
      return "expected a snapshot record, found other fields";
    }
    const { index: startIndex, term: startTerm } = this.#start;
    if (startTerm !== undefined && index === startIndex && term !== startTerm) {
      return `expected the snapshot at entry ${index} in term ${startTerm}, found term ${term}`;
    }
    this.#snapshots.push({ index, term, confState });
    if (index === startIndex && term !== this.#termAtStart) {
      // It came from another member, in place of a log that had not led there: what lies behind it never counted.
      this.#termAtStart = term;
      this.#entries.length = 0;
      this.#lastIndex = index;
    }
    // A snapshot from another member may lie ahead of all entries. Any lies at the start or behind what is there.
    if (index > (this.#lastIndex ?? 0)) this.#lastIndex = index;
    return undefined;
  }
}
