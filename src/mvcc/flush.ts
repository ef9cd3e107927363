// Turns a closed generation into one batch for the backend: the chunks of history as they are, a row for every
// key that is now live or gone, a row of earlier versions for every key that was replaced, the counts and the
// marks. All of it commits together, so replaying the log from the flushed index gives the same state.
// Invariant: the backend's visible state is that before the generation when this runs.

import { latin1Bytes, writeUint64 } from "../base/bytes.ts";
import { WriteBatch } from "../storage/backend.ts";
import type { Change } from "./change.ts";
import { encodeFolded, encodeMeta } from "./current-table.ts";
import { foldedKeyBytes, rowNameOf } from "./folded-keys.ts";
import { type KeyMeta, RowArena, revisionKey } from "./row-codec.ts";
import type { ClosedGeneration, StoreState } from "./store-state.ts";
import type { Version, VersionSection } from "./versions-table.ts";

export const metaKeys = {
  consistentIndex: latin1Bytes("consistentIndex"),
  revision: latin1Bytes("revision"),
  scheduledCompaction: latin1Bytes("scheduledCompactRev"),
  finishedCompaction: latin1Bytes("finishedCompactRev"),
} as const;

export function flushBatch(state: StoreState, closed: ClosedGeneration): WriteBatch {
  const { generation, counts, index, revision } = closed;
  const batch = new WriteBatch();
  const arena = new RowArena();
  for (const { main, sub, slab, start, end } of generation.chunks()) {
    batch.put("history", revisionKey(main, sub), slab.subarray(start, end));
  }
  const folded = new Map<string, Change[]>();
  for (const newest of generation.newest.values()) {
    if (newest.keyText.length < foldedKeyBytes) {
      addKey(state, batch, arena, newest);
      continue;
    }
    const name = rowNameOf(newest.keyText);
    const changes = folded.get(name);
    if (changes) changes.push(newest);
    else folded.set(name, [newest]);
  }
  for (const [name, changes] of folded) addFoldedRow(state, batch, arena, name, changes);
  for (const rows of [counts, generation.staged.values()]) {
    for (const { table, key, value } of rows) {
      if (value) batch.put(table, key, value);
      else batch.delete(table, key);
    }
  }
  batch.put("meta", metaKeys.consistentIndex, uint64(index));
  batch.put("meta", metaKeys.revision, uint64(revision));
  return batch;
}

export function uint64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  writeUint64(bytes, 0, value);
  return bytes;
}

function addKey(state: StoreState, batch: WriteBatch, arena: RowArena, newest: Change): void {
  const key = newest.key;
  const section = replacedVersions(newest);
  if (!newest.isTombstone) batch.put("current", key, encodeMeta(arena, newest));
  else if (section.wasFlushed) batch.delete("current", key);
  if (section.versions.length > 0) {
    state.reader.versions.add(batch, arena, newest.keyText, [section]);
  }
}

/** Rewrites a row of folded keys with what changed in it. */
function addFoldedRow(
  state: StoreState,
  batch: WriteBatch,
  arena: RowArena,
  name: string,
  changes: readonly Change[],
): void {
  const row = state.reader.current.folded(name);
  const sections: VersionSection[] = [];
  for (const newest of changes) {
    if (newest.isTombstone) row.delete(newest.keyText);
    else row.set(newest.keyText, newest);
    const section = replacedVersions(newest);
    if (section.versions.length > 0) sections.push(section);
  }
  const keys: [string, KeyMeta][] = [...row].sort(([a], [b]) => (a < b ? -1 : 1));
  if (keys.length > 0) batch.put("current", latin1Bytes(name), encodeFolded(arena, keys));
  else batch.delete("current", latin1Bytes(name));
  if (sections.length > 0) state.reader.versions.add(batch, arena, name, sections);
}

/** The versions of a key that are earlier ones once this generation is in the backend, oldest first. */
function replacedVersions(newest: Change): VersionSection & { wasFlushed: boolean } {
  const versions: Version[] = [];
  if (newest.isTombstone) versions.push(newest);
  let oldest = newest;
  while (oldest.older) {
    oldest = oldest.older;
    versions.push(oldest);
  }
  // What the first change of the generation replaced is the version that the backend holds as current.
  const flushed = newest.generation.replacedBy(oldest);
  if (flushed) versions.push({ ...flushed, isTombstone: false });
  versions.reverse();
  return { key: newest.keyText, versions, wasFlushed: flushed !== undefined };
}
