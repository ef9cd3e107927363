// How many live keys there are in any range without visiting them: counts of buckets of a few thousand keys, whose
// lower boundaries are in memory. Counts include what is not flushed yet; each flush writes the buckets that
// changed. Only the two buckets at the edges of a range have to be scanned.
//
// A row: 1 + lower boundary -> count (4 bytes).

import { latin1Bytes, readUint32, writeUint32 } from "../base/bytes.ts";
import { lowerBound } from "../base/sorted-keys.ts";
import type { Backend } from "../storage/backend.ts";
import { foldedKeyBytes } from "./folded-keys.ts";
import type { StagedRow } from "./generation.ts";

/** Lists the live keys of a range in order; the visitor ends it by returning false. */
export type KeyLister = (
  start: string,
  end: string | undefined,
  visit: (key: string) => boolean | undefined,
) => void;

export const bucketKeysMax = 2048;
/** Leaves a bucket room to grow before it is split. */
const builtBucketKeys = 1536;

export class KeyCounts {
  /** Ascending; the first is "". Bucket i holds the keys from bounds[i] to below bounds[i + 1]. */
  readonly #bounds: string[] = [];
  readonly #counts: number[] = [];
  readonly #dirty = new Set<string>();
  readonly #removed = new Set<string>();
  #total = 0;
  /** The bucket used last; keys often come in runs. */
  #last = 0;

  constructor(backend: Backend) {
    backend.scan("counts", {}, (key, value) => {
      const count = readUint32(value, 0);
      this.#bounds.push(key.latin1Slice(1, key.length));
      this.#counts.push(count);
      this.#total += count;
      return undefined;
    });
    if (this.#bounds.length === 0) {
      this.#bounds.push("");
      this.#counts.push(0);
    }
  }

  get total(): number {
    return this.#total;
  }

  /** Notes that `key` came to life (1) or died (-1). */
  add(key: string, change: 1 | -1): void {
    const bucket = this.#bucketOf(key);
    this.#counts[bucket] = (this.#counts[bucket] as number) + change;
    this.#total += change;
    this.#dirty.add(this.#bounds[bucket] as string);
  }

  count(start: string, end: string | undefined, list: KeyLister): number {
    if (end !== undefined && end <= start) return 0;
    // No key is empty, so this start is that of the first bucket.
    if (start === "\0") start = "";
    const first = this.#bucketOf(start);
    const last = end === undefined ? this.#bounds.length - 1 : this.#bucketOf(end);
    if (first === last) return this.#countWithin(first, start, end, list);
    let sum = this.#countWithin(first, start, this.#bounds[first + 1], list);
    for (let i = first + 1; i < last; i++) sum += this.#counts[i] as number;
    return sum + this.#countWithin(last, this.#bounds[last] as string, end, list);
  }

  /** Splits what grew too large and joins what became small. Costs a scan of the buckets that are split. */
  balance(list: KeyLister): void {
    for (const bound of [...this.#dirty]) {
      const bucket = this.#bounds.indexOf(bound);
      if (bucket >= 0 && (this.#counts[bucket] as number) > bucketKeysMax)
        this.#split(bucket, list);
      else if (bucket > 0) this.#join(bucket);
    }
  }

  /** The rows of all buckets that changed since the last call, as they are now. */
  takeChanged(): StagedRow[] {
    const rows: StagedRow[] = [];
    for (const bound of this.#removed) {
      rows.push({ table: "counts", key: rowKey(bound), value: undefined });
    }
    for (const bound of this.#dirty) {
      rows.push(countRow(bound, this.#counts[lowerBound(this.#bounds, bound)] as number));
    }
    this.#removed.clear();
    this.#dirty.clear();
    return rows;
  }

  /** Counts part of a bucket; a whole one is known. */
  #countWithin(bucket: number, start: string, end: string | undefined, list: KeyLister): number {
    const upper = this.#bounds[bucket + 1];
    if (start === this.#bounds[bucket] && end === upper) return this.#counts[bucket] as number;
    let count = 0;
    list(start, end, () => {
      count++;
      return undefined;
    });
    return count;
  }

  #split(bucket: number, list: KeyLister): void {
    const bounds = [this.#bounds[bucket] as string];
    const counts: number[] = [];
    let left = this.#counts[bucket] as number;
    let count = 0;
    let previous = "";
    // The last part's count follows from the others', so its keys need not be visited.
    list(bounds[0] as string, this.#bounds[bucket + 1], (key) => {
      if (count >= bucketKeysMax / 2) {
        const separator = separatorOf(previous, key);
        // Keys that only differ far behind can not be told apart by a boundary.
        if (separator.length < foldedKeyBytes) {
          bounds.push(separator);
          counts.push(count);
          left -= count;
          count = 0;
          if (left <= bucketKeysMax) return false;
        }
      }
      count++;
      previous = key;
      return undefined;
    });
    counts.push(left);
    this.#bounds.splice(bucket, 1, ...bounds);
    this.#counts.splice(bucket, 1, ...counts);
    for (const changed of bounds) {
      this.#dirty.add(changed);
      this.#removed.delete(changed);
    }
  }

  /** Joins a bucket with the one before it when both are small. */
  #join(bucket: number): void {
    const sum = (this.#counts[bucket] as number) + (this.#counts[bucket - 1] as number);
    if (sum > bucketKeysMax / 4) return;
    const bound = this.#bounds[bucket] as string;
    this.#counts[bucket - 1] = sum;
    this.#counts.splice(bucket, 1);
    this.#bounds.splice(bucket, 1);
    this.#dirty.delete(bound);
    this.#removed.add(bound);
    this.#dirty.add(this.#bounds[bucket - 1] as string);
  }

  /** The bucket that `key` belongs to: the last whose boundary is not above it. */
  #bucketOf(key: string): number {
    const bounds = this.#bounds;
    const guess = this.#last;
    if (guess < bounds.length && (bounds[guess] as string) <= key) {
      const upper = bounds[guess + 1];
      if (upper === undefined || key < upper) return guess;
    }
    const at = lowerBound(bounds, key);
    this.#last = at < bounds.length && bounds[at] === key ? at : at - 1;
    return this.#last;
  }
}

/** Makes the rows of a database whose live keys are listed once, in order. */
export class CountsBuilder {
  readonly #rows: StagedRow[] = [];
  #bound = "";
  #count = 0;
  #previous = "";

  add(key: string): void {
    if (this.#count >= builtBucketKeys) {
      const separator = separatorOf(this.#previous, key);
      if (separator.length < foldedKeyBytes) {
        this.#close();
        this.#bound = separator;
      }
    }
    this.#count++;
    this.#previous = key;
  }

  finish(): readonly StagedRow[] {
    this.#close();
    return this.#rows;
  }

  #close(): void {
    this.#rows.push(countRow(this.#bound, this.#count));
    this.#count = 0;
  }
}

function countRow(bound: string, count: number): StagedRow {
  const value = Buffer.allocUnsafe(4);
  writeUint32(value, 0, count);
  return { table: "counts", key: rowKey(bound), value };
}

/** The shortest text that is above `below` and not above `above`. */
function separatorOf(below: string, above: string): string {
  let length = 0;
  while (length < below.length && below.charCodeAt(length) === above.charCodeAt(length)) length++;
  return above.slice(0, length + 1);
}

function rowKey(bound: string): Buffer {
  return latin1Bytes(`\x01${bound}`);
}
