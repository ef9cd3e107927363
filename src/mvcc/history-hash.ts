// HashKV: a CRC-32C that members compare, over "key" and then every kept revision with its encoded KeyValue, byte
// for byte what etcd hashes, including which revisions it leaves out after a compaction.

import { writeUint64 } from "../base/bytes.ts";
import { updateCrc32c } from "../base/crc32c.ts";
import { walkHistory } from "./history.ts";
import type { StoreState } from "./store-state.ts";

export interface KeyValueHash {
  readonly hash: number;
  /** The revision up to which changes were hashed. */
  readonly revision: number;
  readonly compactRevision: number;
}

const stagingBytes = 64 * 1024;
const underscore = 0x5f;
const tombstoneMark = 0x74;
const name = Buffer.from("key");

export class HistoryHasher {
  readonly #staging = Buffer.allocUnsafe(stagingBytes);
  #used = 0;
  #crc = updateCrc32c(0, name);

  /** One revision as etcd keeps it: main, "_", sub, "t" for a tombstone; then the KeyValue at source[start, end). */
  add(
    main: number,
    sub: number,
    isTombstone: boolean,
    source: Buffer,
    start: number,
    end: number,
  ): void {
    const length = end - start;
    if (this.#used + 18 + length > stagingBytes) this.#drain();
    const staging = this.#staging;
    let at = writeUint64(staging, this.#used, main);
    staging[at++] = underscore;
    at = writeUint64(staging, at, sub);
    if (isTombstone) staging[at++] = tombstoneMark;
    this.#used = at;
    if (at + length > stagingBytes) {
      this.#drain();
      this.#crc = updateCrc32c(this.#crc, source, start, end);
      return;
    }
    this.#used += source.copy(staging, at, start, end);
  }

  finish(): number {
    this.#drain();
    return this.#crc;
  }

  #drain(): void {
    this.#crc = updateCrc32c(this.#crc, this.#staging, 0, this.#used);
    this.#used = 0;
  }
}

/** Hashes all changes up to `revision`. `finishedCompaction`: the revision of the last one that ran to its end. */
export function hashHistory(
  state: StoreState,
  revision: number,
  finishedCompaction: number,
): KeyValueHash {
  const { compactRevision } = state;
  const keepsSome = isAnyLive(state, revision);
  const gone = new RevisionSet();
  walkHistory(state, finishedCompaction, revision, (change) => {
    // etcd leaves out what would be compacted at `revision`, but nothing when no key would be left.
    if (change.main > compactRevision && !keepsSome) return false;
    const replaced = change.replaced();
    if (replaced && replaced.main <= compactRevision) gone.add(replaced.main, replaced.sub);
    return undefined;
  });
  const hasher = new HistoryHasher();
  walkHistory(state, 0, revision, (change, source, start, end) => {
    const { main, sub, isTombstone } = change;
    if (main <= compactRevision && (isTombstone || gone.has(main, sub))) return undefined;
    hasher.add(main, sub, isTombstone, source, start, end);
    return undefined;
  });
  return { hash: hasher.finish(), revision, compactRevision };
}

export function isAnyLive(state: StoreState, revision: number): boolean {
  let isAny = false;
  const visit = () => {
    isAny = true;
    return false;
  };
  if (revision === state.currentRevision) return state.counts.total > 0;
  state.reader.walkAt(revision, "", undefined, visit, 1);
  return isAny;
}

const subsMax = 2 ** 20;

/** Revisions, packed into numbers where they fit. */
class RevisionSet {
  readonly #packed = new Set<number | string>();

  add(main: number, sub: number): void {
    this.#packed.add(pack(main, sub));
  }

  has(main: number, sub: number): boolean {
    return this.#packed.size > 0 && this.#packed.has(pack(main, sub));
  }
}

function pack(main: number, sub: number): number | string {
  return sub < subsMax && main < 2 ** 33 ? main * subsMax + sub : `${main}/${sub}`;
}
