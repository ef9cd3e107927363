// Takes out of history what a compaction makes unreachable, in bounded steps between other work. Every change
// says which version it replaced, so the changes of the revisions compacted name the garbage: no index and no
// look-up per live key. Each step is one atomic batch; after a restart the work begins again where the last
// finished compaction ended and skips what is already gone.
//
// The order of the passes serves the hash that etcd takes of each compaction: it covers the revisions since the
// last one and, of what is older, only what is still live.
// Invariant: only changes that are in the backend are touched, and never a row that a flush changes.

import { failpoints } from "../base/failpoint.ts";
import { type Backend, WriteBatch } from "../storage/backend.ts";
import { KeyValueView } from "../wire/key-value.ts";
import { readMarks } from "./export.ts";
import { metaKeys, uint64 } from "./flush.ts";
import { rowNameOf } from "./folded-keys.ts";
import { chunkKeyOf, walkChunks, walkHistory } from "./history.ts";
import { ChunkReader } from "./history-chunk.ts";
import { HistoryHasher, isAnyLive, type KeyValueHash } from "./history-hash.ts";
import { compareRevisions, type Location, RowArena, revisionKey } from "./row-codec.ts";
import type { StoreState } from "./store-state.ts";
import type { RevisionBound } from "./versions-table.ts";

/** Bounds of one step, a few milliseconds each. */
const chunksPerStep = 64;
const dropsPerStep = 256;
/** Versions that go with one commit: each costs a sync, so several steps share it. */
const dropsPerCommit = 4096;
const hashesKept = 10;

/** old: drops versions from before the last compaction; young: the rest and tombstones; all: both, without a hash. */
type Pass = "old" | "hash" | "young" | "all";

interface Run {
  readonly revision: number;
  readonly previous: number;
  passes: Pass[];
  /** The chunk to go on with; undefined at the start of a pass. */
  cursor: Buffer | undefined;
  /** What the next commit takes out, as far as it is known. */
  removal: Removal | undefined;
  hasher: HistoryHasher;
}

export class Compactor {
  readonly #state: StoreState;
  readonly #queue: { revision: number; previous: number; isWhole: boolean }[] = [];
  #run: Run | undefined;
  #isCommitting = false;
  /** Hashes taken while compacting, by revision, the newest few. */
  hashes: KeyValueHash[] = [];
  finishedRevision: number;

  constructor(state: StoreState, finishedRevision: number) {
    this.#state = state;
    this.finishedRevision = finishedRevision;
  }

  /** `isWhole`: no part of this compaction was done before a restart, so that a hash can be taken of it. */
  schedule(revision: number, previous: number, isWhole: boolean): void {
    this.#queue.push({ revision, previous, isWhole });
  }

  get isIdle(): boolean {
    return this.#run === undefined && this.#queue.length === 0;
  }

  /** Does a bounded piece of work; false when there is none left. While a piece is on its way to disk it does nothing. */
  step(): boolean {
    if (this.#isCommitting) return true;
    this.#run ??= this.#next();
    const run = this.#run;
    if (!run) return this.#queue.length > 0;
    if (run.passes[0] === "hash") this.#hash(run);
    else this.#drop(run);
    return true;
  }

  #next(): Run | undefined {
    const job = this.#queue[0];
    // What the compaction covers must all be in the backend, and that it is compacted: else a database that is opened
    // before the log is replayed would have gaps in a history that it takes for whole.
    if (!job || this.#state.flushedRevision < job.revision) return undefined;
    if (readMarks(this.#state.backend).scheduledCompaction < job.revision) return undefined;
    this.#queue.shift();
    const { revision, previous, isWhole } = job;
    const hasKept = isAnyLive(this.#state, revision) || hasTombstoneAt(this.#state, revision);
    const passes: Pass[] = hasKept ? ["old", "hash", "young"] : ["hash", "old", "young"];
    return {
      revision,
      previous,
      passes: isWhole ? passes : ["all"],
      cursor: undefined,
      removal: undefined,
      hasher: new HistoryHasher(),
    };
  }

  #hash(run: Run): void {
    const { revision, previous, hasher } = run;
    let last: Buffer | undefined;
    let chunks = 0;
    walkChunks(this.#state.backend, run.cursor, revision, chunksPerStep, (chunk, key) => {
      chunks++;
      last = Buffer.from(key);
      while (chunk.next() && chunk.main <= revision) {
        if (chunk.isTombstone && chunk.main === previous) continue;
        const { main, sub, isTombstone, keyValueStart, keyValueEnd } = chunk;
        hasher.add(main, sub, isTombstone, chunk.source as Buffer, keyValueStart, keyValueEnd);
      }
      return undefined;
    });
    if (chunks === chunksPerStep) {
      run.cursor = afterKey(last as Buffer);
      return;
    }
    this.#keepHash({ hash: hasher.finish(), revision, compactRevision: previous });
    this.#endPass(run);
  }

  #keepHash(hash: KeyValueHash): void {
    this.hashes.push(hash);
    this.hashes.sort((a, b) => a.revision - b.revision);
    this.hashes = this.hashes.slice(-hashesKept);
  }

  #endPass(run: Run): void {
    run.passes = run.passes.slice(1);
    run.cursor = undefined;
  }

  /** A step of a pass that drops: first finds garbage, then takes it out, then commits that. */
  #drop(run: Run): void {
    run.removal ??= { garbage: new Garbage(), batch: new WriteBatch(), isFound: false };
    const { removal } = run;
    const { garbage, batch } = removal;
    if (!removal.isFound) {
      const cursor = this.#collect(run, garbage);
      if (cursor && garbage.count < dropsPerCommit) run.cursor = cursor;
      else run.removal = { ...removal, isFound: true, next: cursor };
    } else if (garbage.dropSome(this.#state, batch)) {
      this.#commit(run, batch, removal.next);
    }
  }

  #commit(run: Run, batch: WriteBatch, next: Buffer | undefined): void {
    const endsRun = next === undefined && run.passes.length === 1;
    if (endsRun) batch.put("meta", metaKeys.finishedCompaction, uint64(run.revision));
    const advance = () => {
      run.removal = undefined;
      if (next) run.cursor = next;
      else this.#endPass(run);
      if (endsRun) {
        this.finishedRevision = run.revision;
        this.#run = undefined;
      }
    };
    if (batch.operations.length === 0) {
      advance();
      return;
    }
    this.#isCommitting = true;
    failpoints.compactBeforeCommitBatch?.reachNow();
    if (endsRun) failpoints.compactBeforeSetFinishedCompact?.reachNow();
    this.#state.backend.commit(batch, advance).then(
      () => {
        this.#isCommitting = false;
        failpoints.compactAfterCommitBatch?.reachNow();
        if (endsRun) failpoints.compactAfterSetFinishedCompact?.reachNow();
      },
      () => {
        // Nothing was changed: the next step tries the same batch again.
        this.#isCommitting = false;
      },
    );
  }

  /** Finds garbage from the run's cursor on; returns where to go on, or undefined at the end of the pass. */
  #collect(run: Run, garbage: Garbage): Buffer | undefined {
    const { backend } = this.#state;
    const { revision, previous } = run;
    const pass = run.passes[0] as Pass;
    const start = run.cursor ?? chunkKeyOf(backend, previous);
    const view = new KeyValueView();
    const dropsMax = garbage.count + dropsPerStep;
    let chunks = 0;
    let next: Buffer | undefined;
    walkChunks(backend, start, revision, chunksPerStep, (chunk, key) => {
      chunks++;
      while (chunk.next() && chunk.main <= revision) {
        if (chunk.main < previous) continue;
        const replaced = chunk.main > previous ? chunk.replaced() : undefined;
        const isOld = replaced !== undefined && replaced.main <= previous;
        const drops = replaced !== undefined && (pass === "all" || isOld === (pass === "old"));
        const isDead = pass !== "old" && chunk.isTombstone && chunk.main < revision;
        if (!drops && !isDead) continue;
        const { keyStart, keyEnd } = view.read(
          chunk.source,
          chunk.keyValueStart,
          chunk.keyValueEnd,
        );
        const keyText = (chunk.source as Buffer).latin1Slice(keyStart, keyEnd);
        if (drops) garbage.add(keyText, replaced as Location, chunk.main, chunk.sub);
        if (isDead) garbage.add(keyText, locationOf(chunk), chunk.main, chunk.sub + 1);
      }
      if (chunks < chunksPerStep && garbage.count < dropsMax) return undefined;
      next = afterKey(Buffer.from(key));
      return false;
    });
    return next;
  }
}

interface KeyGarbage {
  /** The version that goes, when it is one alone. */
  readonly only: Location | undefined;
  /** Versions before this revision are gone then. */
  readonly bound: RevisionBound;
}

/** Garbage that one commit takes out. */
interface Removal {
  readonly garbage: Garbage;
  readonly batch: WriteBatch;
  readonly isFound: boolean;
  /** Where the pass goes on afterwards; undefined at its end. */
  readonly next?: Buffer | undefined;
}

/** Versions to take out with one commit, by the chunks and by the keys they belong to. */
class Garbage {
  readonly #chunks = new Map<string, { main: number; sub: number; drops: Location[] }>();
  readonly #keys = new Map<string, KeyGarbage>();
  /** Keys whose rows of versions have to be searched, by row name. */
  readonly #names = new Map<string, Map<string, RevisionBound>>();
  count = 0;

  /** Notes a version of `key` that goes; all its versions before (main, sub) are known to be gone then. */
  add(key: string, location: Location, main: number, sub: number): void {
    this.count++;
    const { chunkMain, chunkSub } = location;
    const id = `${chunkMain}/${chunkSub}`;
    const chunk = this.#chunks.get(id);
    if (chunk) chunk.drops.push(location);
    else this.#chunks.set(id, { main: chunkMain, sub: chunkSub, drops: [location] });
    const only = this.#keys.has(key) ? undefined : location;
    this.#keys.set(key, { only, bound: { main, sub } });
  }

  /** Adds a bounded part of what has to be written to `batch`; true when that was the last. Nothing may be added then. */
  dropSome(state: StoreState, batch: WriteBatch): boolean {
    const { versions } = state.reader;
    let steps = 0;
    for (const [id, { main, sub, drops }] of this.#chunks) {
      if (steps++ === chunksPerStep) return false;
      this.#chunks.delete(id);
      rewriteChunk(state.backend, batch, main, sub, drops);
    }
    for (const [key, { only, bound }] of this.#keys) {
      if (steps++ >= dropsPerStep) return false;
      this.#keys.delete(key);
      const name = rowNameOf(key);
      if (only && versions.dropAlone(batch, name, only)) continue;
      const bounds = this.#names.get(name) ?? new Map<string, RevisionBound>();
      this.#names.set(name, bounds.set(key, bound));
    }
    const arena = new RowArena();
    for (const [name, bounds] of this.#names) {
      if (steps++ >= dropsPerStep) return false;
      this.#names.delete(name);
      versions.trim(batch, arena, name, bounds);
    }
    return true;
  }
}

function rewriteChunk(
  backend: Backend,
  batch: WriteBatch,
  main: number,
  sub: number,
  drops: Location[],
): void {
  const key = revisionKey(main, sub);
  const bytes = backend.get("history", key);
  if (!bytes) return;
  drops.sort((a, b) => compareRevisions(a.main, a.sub, b.main, b.sub));
  const chunk = new ChunkReader().reset(bytes, 0, bytes.length, main, sub);
  let kept = 0;
  let at = 0;
  while (chunk.next()) {
    while (at < drops.length && isBefore(drops[at] as Location, chunk.main, chunk.sub)) at++;
    const drop = drops[at];
    if (drop && drop.main === chunk.main && drop.sub === chunk.sub) continue;
    // What stays moves to the front, in place: it only ever moves down.
    kept += bytes.copy(bytes, kept, chunk.entryStart, chunk.keyValueEnd);
  }
  if (kept === bytes.length) return;
  if (kept === 0) batch.delete("history", key);
  else batch.put("history", key, bytes.subarray(0, kept));
}

function isBefore(location: Location, main: number, sub: number): boolean {
  return compareRevisions(location.main, location.sub, main, sub) < 0;
}

function locationOf({ main, sub, chunkMain, chunkSub }: ChunkReader): Location {
  return { main, sub, chunkMain, chunkSub };
}

function hasTombstoneAt(state: StoreState, revision: number): boolean {
  let found = false;
  walkHistory(state, revision, revision, ({ isTombstone }) => {
    found ||= isTombstone;
    return !found;
  });
  return found;
}

/** The smallest key after `key`. */
function afterKey(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.from([0])]);
}
