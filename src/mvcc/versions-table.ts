// Where the earlier versions of a key lie, for keys that were overwritten or deleted: what historic reads and
// compaction look up. A flush adds one row per key (nothing for a key that is merely new) and never
// changes rows; compaction drops entries from the front.
//
// A row's key: the row name with 0 escaped as 0 255, then 0 0, then the revision of its first entry (12 bytes), so
// rows lie in the order of keys, then revisions. Its value: one section per key (a folded name has several):
// suffix length, suffix, number of entries, entries in revision order, each: main, sub x 2 + tombstone,
// main - chunk's main, chunk's sub.

import { latin1Bytes } from "../base/bytes.ts";
import { writeVarint } from "../base/varint.ts";
import type { Backend, WriteBatch } from "../storage/backend.ts";
import { afterRow, isFolded, rowBound, rowNameOf } from "./folded-keys.ts";
import {
  compareRevisions,
  type Location,
  mainOfKey,
  type RowArena,
  RowReader,
  revisionKeyBytes,
  writeRevisionKey,
} from "./row-codec.ts";

export interface Version extends Location {
  readonly isTombstone: boolean;
}

/** What one row says of one key. */
export interface VersionSection {
  readonly key: string;
  readonly versions: readonly Version[];
}

/** For each key in order the version that stood at the revision asked for. */
export interface VersionPage {
  readonly keys: string[];
  readonly versions: Version[];
  readonly next: string | undefined;
}

export class VersionsTable {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The version of `key` that stood at revision `main`, among the earlier ones. */
  at(key: string, main: number): Version | undefined {
    const name = rowNameOf(key);
    const start = versionsKey(name, 0, 0);
    const end = versionsKey(name, main + 1, 0);
    let found: Version | undefined;
    // Rows of a plain name follow one another in time, so the last one holds the answer.
    const newestFirst = { start, end, reverse: true, ...(!isFolded(name) && { limit: 1 }) };
    this.#backend.scan("versions", newestFirst, (_, row) => {
      for (const section of readSections(name, row)) {
        if (section.key === key) found = latestAt(section.versions, main, found);
      }
    });
    return found;
  }

  /** The versions that stood at `main`, of the keys of up to about `limit` rows from `start` to below `end`. */
  page(start: string, end: string | undefined, main: number, limit: number): VersionPage {
    const found = new Map<string, Version>();
    let rows = 0;
    let lastName = "";
    const range = {
      start: versionsKey(rowNameOf(start), 0, 0),
      ...(end !== undefined && { end: escapedName(rowBound(end)) }),
    };
    let isComplete = true;
    this.#backend.scan("versions", range, (rowKey, row) => {
      const name = nameOfRow(rowKey);
      // A page holds all rows of a name or none.
      if (rows++ >= limit && name !== lastName) {
        isComplete = false;
        return false;
      }
      lastName = name;
      if (mainOfKey(rowKey, rowKey.length - revisionKeyBytes) > main) return undefined;
      for (const { key, versions } of readSections(name, row)) {
        if (key < start || (end !== undefined && key >= end)) continue;
        const version = latestAt(versions, main, found.get(key));
        if (version) found.set(key, version);
      }
      return undefined;
    });
    const keys = [...found.keys()];
    // Sections of several rows of a folded name come in turns.
    for (let i = 1; i < keys.length; i++) {
      if ((keys[i - 1] as string) > (keys[i] as string)) {
        keys.sort((a, b) => (a < b ? -1 : 1));
        break;
      }
    }
    const versions = keys.map((key) => found.get(key) as Version);
    return { keys, versions, next: isComplete ? undefined : afterRow(lastName) };
  }

  /** Writes the row of one flush for a row name. */
  add(batch: WriteBatch, arena: RowArena, name: string, sections: readonly VersionSection[]): void {
    batch.put("versions", firstKey(name, sections), encodeSections(arena, name, sections));
  }

  /** Drops an entry that is alone in its row. False, and nothing is done, when it is not. */
  dropAlone(batch: WriteBatch, name: string, { main, sub }: RevisionBound): boolean {
    if (isFolded(name)) return false;
    const key = versionsKey(name, main, sub);
    const row = this.#backend.view("versions", key);
    // No suffix, one entry.
    if (row?.[0] !== 0 || row[1] !== 1) return false;
    batch.delete("versions", key);
    return true;
  }

  /** Drops the entries of each of these keys, all of one row name, that lie before the revision given for it. */
  trim(
    batch: WriteBatch,
    arena: RowArena,
    name: string,
    bounds: ReadonlyMap<string, RevisionBound>,
  ): void {
    const plain = isFolded(name) ? undefined : bounds.get(name);
    const end = plain
      ? versionsKey(name, plain.main, plain.sub)
      : versionsKey(name, Number.MAX_SAFE_INTEGER, 0);
    this.#backend.scan("versions", { start: versionsKey(name, 0, 0), end }, (rowKey, row) => {
      const sections = readSections(name, row);
      const kept = sections
        .map((section) => trimmed(section, bounds.get(section.key)))
        .filter(({ versions }) => versions.length > 0);
      if (kept.length === sections.length && kept.every((s, i) => s === sections[i])) return;
      batch.delete("versions", Buffer.from(rowKey));
      // A row is named by its first entry; what is left may have another.
      if (kept.length > 0) this.add(batch, arena, name, kept);
    });
  }
}

/** The revision from which on entries are kept. */
export interface RevisionBound {
  readonly main: number;
  readonly sub: number;
}

/** The same object when nothing is dropped. */
function trimmed(section: VersionSection, bound: RevisionBound | undefined): VersionSection {
  if (!bound) return section;
  const versions = section.versions.filter(
    (v) => compareRevisions(v.main, v.sub, bound.main, bound.sub) >= 0,
  );
  return versions.length === section.versions.length ? section : { key: section.key, versions };
}

function latestAt(
  versions: readonly Version[],
  main: number,
  found: Version | undefined,
): Version | undefined {
  let latest = found;
  for (const version of versions) {
    if (version.main > main) break;
    if (!latest || compareRevisions(version.main, version.sub, latest.main, latest.sub) > 0) {
      latest = version;
    }
  }
  return latest;
}

function firstKey(name: string, sections: readonly VersionSection[]): Buffer {
  let first: Version | undefined;
  for (const { versions } of sections) {
    const candidate = versions[0] as Version;
    if (!first || compareRevisions(candidate.main, candidate.sub, first.main, first.sub) < 0) {
      first = candidate;
    }
  }
  return versionsKey(name, (first as Version).main, (first as Version).sub);
}

function versionsKey(name: string, main: number, sub: number): Buffer {
  const escaped = escapedName(name);
  const key = Buffer.allocUnsafe(escaped.length + 2 + revisionKeyBytes);
  escaped.copy(key);
  key[escaped.length] = 0;
  key[escaped.length + 1] = 0;
  writeRevisionKey(key, escaped.length + 2, main, sub);
  return key;
}

function escapedName(name: string): Buffer {
  return latin1Bytes(name.includes("\0") ? name.replaceAll("\0", "\0\xff") : name);
}

function nameOfRow(rowKey: Buffer): string {
  const escaped = rowKey.latin1Slice(0, rowKey.length - 2 - revisionKeyBytes);
  return escaped.includes("\0") ? escaped.replaceAll("\0\xff", "\0") : escaped;
}

function readSections(name: string, row: Buffer): VersionSection[] {
  const reader = new RowReader(row, 0, row.length);
  const sections: VersionSection[] = [];
  while (reader.at < reader.end) {
    const key = name + reader.text(reader.number());
    const count = reader.number();
    const versions: Version[] = [];
    for (let i = 0; i < count; i++) {
      const main = reader.number();
      const packed = reader.number();
      const sub = Math.floor(packed / 2);
      const chunkMain = main - reader.number();
      const chunkSub = reader.number();
      versions.push({ main, sub, chunkMain, chunkSub, isTombstone: packed % 2 === 1 });
    }
    sections.push({ key, versions });
  }
  return sections;
}

const versionBytesMax = 8 + 8 + 8 + 5;

function encodeSections(
  arena: RowArena,
  name: string,
  sections: readonly VersionSection[],
): Buffer {
  let bytes = 0;
  for (const { key, versions } of sections) {
    bytes += key.length - name.length + 16 + versions.length * versionBytesMax;
  }
  const block = arena.reserve(bytes);
  let at = arena.offset;
  for (const { key, versions } of sections) {
    const suffix = key.slice(name.length);
    at = writeVarint(block, at, suffix.length);
    at += block.latin1Write(suffix, at, suffix.length);
    at = writeVarint(block, at, versions.length);
    for (const version of versions) {
      at = writeVarint(block, at, version.main);
      at = writeVarint(block, at, version.sub * 2 + (version.isTombstone ? 1 : 0));
      at = writeVarint(block, at, version.main - version.chunkMain);
      at = writeVarint(block, at, version.chunkSub);
    }
  }
  return arena.take(at);
}
