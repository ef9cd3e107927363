// Reads the store as one ordered map of keys, at the current revision or at an earlier one, merging what is in
// memory with the backend. Works in pages, so that the memory a walk takes does not depend on its length.
// Nothing may be written while a walk is under way.

import { assert } from "../base/assert.ts";
import type { Backend } from "../storage/backend.ts";
import { Change } from "./change.ts";
import { CurrentTable } from "./current-table.ts";
import { successor } from "./folded-keys.ts";
import type { Generation, ValueSource } from "./generation.ts";
import { ChunkReader } from "./history-chunk.ts";
import { type KeyMeta, type Location, revisionKeyBytes, writeRevisionKey } from "./row-codec.ts";
import { type Version, VersionsTable } from "./versions-table.ts";

/** A live version of a key: with numbers when they are known without reading the value. */
export type Found = KeyMeta | Version;

/** Returns false to end the walk. */
export type Visitor = (key: string, found: Found) => boolean | undefined;

/** Receives an encoded KeyValue at source[start, end), which is valid only during the call. */
export type BytesVisitor = (source: Buffer, start: number, end: number) => void;

const pageKeysMax = 512;
const pageKeysMin = 8;

export class Reader implements ValueSource {
  readonly current: CurrentTable;
  readonly versions: VersionsTable;
  readonly #backend: Backend;
  readonly #chunk = new ChunkReader();
  readonly #chunkKey = Buffer.alloc(revisionKeyBytes);
  /** Newest first: the generation that is written to, then one that is being flushed. */
  generations: readonly Generation[] = [];

  constructor(backend: Backend) {
    this.#backend = backend;
    this.current = new CurrentTable(backend);
    this.versions = new VersionsTable(backend);
  }

  /** What is known of a live key at the current revision. */
  meta(key: string): KeyMeta | undefined {
    for (const generation of this.generations) {
      const change = generation.newest.get(key);
      if (change) return change.isTombstone ? undefined : change;
    }
    return this.current.get(key);
  }

  /** The version of `key` that was live at revision `main`. */
  metaAt(key: string, main: number): Found | undefined {
    const change = this.#changeAt(key, main);
    if (change) return change.isTombstone ? undefined : change;
    const current = this.current.get(key);
    if (current && current.main <= main) return current;
    const version = this.versions.at(key, main);
    return version && !version.isTombstone ? version : undefined;
  }

  /** Visits the keys that are live now, from `start` to below `end`, ascending. `hint`: how many are likely wanted. */
  walk(start: string, end: string | undefined, visit: Visitor, hint = pageKeysMax): void {
    let from = start;
    let limit = Math.max(pageKeysMin, Math.min(hint, pageKeysMax));
    for (;;) {
      const page = this.current.page(from, end, limit);
      const merge = new PageMerge(page.keys, page.next, end);
      for (const { keys } of this.generations)
        merge.addOverlay(keys.slice(from, merge.bound, limit), limit);
      for (let key = merge.next(); key !== undefined; key = merge.next()) {
        const change = merge.isElsewhere ? this.#changeOf(key) : undefined;
        const found = change ?? (page.metas[merge.backendIndex] as KeyMeta);
        if (found instanceof Change && found.isTombstone) continue;
        if (visit(key, found) === false) return;
      }
      if (merge.bound === end) return;
      from = merge.bound as string;
      limit = pageKeysMax;
    }
  }

  /** As `walk`, of the keys that were live at revision `main`. */
  walkAt(
    main: number,
    start: string,
    end: string | undefined,
    visit: Visitor,
    hint = pageKeysMax,
  ): void {
    let from = start;
    let limit = Math.max(pageKeysMin, Math.min(hint, pageKeysMax));
    for (;;) {
      const page = this.current.page(from, end, limit);
      const earlier = this.versions.page(from, page.next ?? end, main, limit);
      const merge = new PageMerge(page.keys, earlier.next ?? page.next, end);
      const versions = new Map<string, Version>();
      for (const [i, key] of earlier.keys.entries())
        versions.set(key, earlier.versions[i] as Version);
      merge.addOverlay(earlier.keys, Number.POSITIVE_INFINITY);
      for (const { keys } of this.generations)
        merge.addOverlay(keys.slice(from, merge.bound, limit), limit);
      for (let key = merge.next(); key !== undefined; key = merge.next()) {
        const now =
          merge.backendIndex >= 0 ? (page.metas[merge.backendIndex] as KeyMeta) : undefined;
        const found =
          this.#changeAt(key, main) ?? (now && now.main <= main ? now : versions.get(key));
        if (!found || ("isTombstone" in found && found.isTombstone)) continue;
        if (visit(key, found) === false) return;
      }
      if (merge.bound === end) return;
      from = merge.bound as string;
      limit = pageKeysMax;
    }
  }

  /** A copy of the encoded KeyValue at a location, or the bytes in memory; undefined when it is compacted. */
  load(location: Location): Uint8Array | undefined {
    const change = this.#changeBy(location);
    if (change) return change.bytes;
    return this.#seek(location) ? this.#chunk.copyKeyValue() : undefined;
  }

  /** Hands over the encoded KeyValue of a version that exists, without a copy. */
  loadInto(found: Found, visit: BytesVisitor): void {
    if (found instanceof Change) {
      visit(found.slab, found.start, found.end);
      return;
    }
    assert(this.#seek(found), "a live version is not in history");
    visit(this.#chunk.source as Buffer, this.#chunk.keyValueStart, this.#chunk.keyValueEnd);
  }

  /** Goes to a change in the backend's history. */
  #seek({ main, sub, chunkMain, chunkSub }: Location): boolean {
    writeRevisionKey(this.#chunkKey, 0, chunkMain, chunkSub);
    const bytes = this.#backend.view("history", this.#chunkKey);
    if (!bytes) return false;
    return this.#chunk.reset(bytes, 0, bytes.length, chunkMain, chunkSub).find(main, sub);
  }

  #changeBy(location: Location): Change | undefined {
    if (location instanceof Change) return location;
    for (const generation of this.generations) {
      const change = generation.find(location.main, location.sub);
      if (change) return change;
    }
    return undefined;
  }

  /** The newest change in memory. */
  #changeOf(key: string): Change | undefined {
    for (const generation of this.generations) {
      const change = generation.newest.get(key);
      if (change) return change;
    }
    return undefined;
  }

  /** The newest change in memory at or before revision `main`. */
  #changeAt(key: string, main: number): Change | undefined {
    for (const generation of this.generations) {
      const change = generation.newest.get(key)?.at(main);
      if (change) return change;
    }
    return undefined;
  }
}

/** Merges one page of the backend's keys with sorted keys from elsewhere, up to where all of them are complete. */
class PageMerge {
  /** Exclusive upper bound of what this page covers. */
  bound: string | undefined;
  /** Position of the last key returned in the backend's page; -1 when it is not there. */
  backendIndex = -1;
  /** Whether the last key returned is in a list other than the backend's page. */
  isElsewhere = false;
  readonly #lists: (readonly string[])[];
  readonly #at: number[];

  constructor(backend: readonly string[], next: string | undefined, end: string | undefined) {
    this.#lists = [backend];
    this.#at = [0];
    this.bound = next !== undefined && (end === undefined || next < end) ? next : end;
  }

  /** Adds a list; when it was cut at `limit`, the page ends with its last key. */
  addOverlay(keys: readonly string[], limit: number): void {
    if (keys.length >= limit) {
      const cut = successor(keys[keys.length - 1] as string);
      if (this.bound === undefined || cut < this.bound) this.bound = cut;
    }
    if (keys.length === 0) return;
    this.#lists.push(keys);
    this.#at.push(0);
  }

  next(): string | undefined {
    const lists = this.#lists;
    if (lists.length === 1) return this.#nextOfBackend();
    let least: string | undefined;
    for (let i = 0; i < lists.length; i++) {
      const key = (lists[i] as string[])[this.#at[i] as number];
      if (key !== undefined && (least === undefined || key < least)) least = key;
    }
    if (least === undefined || (this.bound !== undefined && least >= this.bound)) return undefined;
    this.backendIndex = -1;
    this.isElsewhere = false;
    for (let i = 0; i < lists.length; i++) {
      const at = this.#at[i] as number;
      if ((lists[i] as string[])[at] !== least) continue;
      if (i === 0) this.backendIndex = at;
      else this.isElsewhere = true;
      this.#at[i] = at + 1;
    }
    return least;
  }

  /** As `next`, when there is nothing to merge. */
  #nextOfBackend(): string | undefined {
    const at = this.#at[0] as number;
    const key = (this.#lists[0] as string[])[at];
    if (key === undefined || (this.bound !== undefined && key >= this.bound)) return undefined;
    this.backendIndex = at;
    this.#at[0] = at + 1;
    return key;
  }
}
