// A database's history as etcd keeps it in its bucket `key`: one row per kept change, in revision order. Read from
// a snapshot of the backend in bounded pieces, so that the store goes on meanwhile and memory does not grow with the
// history.

import { readUint64, writeUint64 } from "../base/bytes.ts";
import type { BackendSnapshot } from "../storage/backend.ts";
import { metaKeys } from "./flush.ts";
import { walkChunks } from "./history.ts";

/** Bytes of a revision key: main, "_", sub; a tombstone's has one more. */
export const exportedKeyBytes = 17;
export const underscore = 0x5f;
export const tombstoneMark = 0x74;

/** A row: its revision key, and its encoded KeyValue at source[start, end). All valid only during the call. */
export type RowVisitor = (key: Buffer, source: Buffer, start: number, end: number) => void;

/** What a database says of the state it holds. */
export interface StoreMarks {
  /** The log index whose effects, and those of all before, are in it. */
  readonly consistentIndex: number;
  readonly revision: number;
  /** Of the last compaction that was asked for, and of the last that is done; -1 when there was none. */
  readonly scheduledCompaction: number;
  readonly finishedCompaction: number;
}

export function readMarks(source: Pick<BackendSnapshot, "get">): StoreMarks {
  const number = (key: Buffer, absent: number) => {
    const bytes = source.get("meta", key);
    return bytes ? readUint64(bytes, 0) : absent;
  };
  const finishedCompaction = number(metaKeys.finishedCompaction, -1);
  return {
    consistentIndex: number(metaKeys.consistentIndex, 0),
    revision: number(metaKeys.revision, 1),
    scheduledCompaction: number(metaKeys.scheduledCompaction, finishedCompaction),
    finishedCompaction,
  };
}

export class HistoryExport {
  readonly #snapshot: BackendSnapshot;
  readonly #key = Buffer.alloc(exportedKeyBytes);
  readonly #tombstoneKey = Buffer.alloc(exportedKeyBytes + 1, tombstoneMark);
  /** Where to go on; undefined at the start. */
  #cursor: Buffer | undefined;

  /** The snapshot stays the caller's to close. */
  constructor(snapshot: BackendSnapshot) {
    this.#snapshot = snapshot;
  }

  /** Hands over the rows of about `limitBytes` of history, at least one row; false when none are left. */
  next(limitBytes: number, visit: RowVisitor): boolean {
    let bytes = 0;
    walkChunks(
      this.#snapshot,
      this.#cursor,
      Number.MAX_SAFE_INTEGER - 1,
      undefined,
      (chunk, name) => {
        const source = chunk.source as Buffer;
        while (chunk.next()) {
          const key = chunk.isTombstone ? this.#tombstoneKey : this.#key;
          writeUint64(key, 0, chunk.main);
          key[8] = underscore;
          writeUint64(key, 9, chunk.sub);
          visit(key, source, chunk.keyValueStart, chunk.keyValueEnd);
          bytes += chunk.keyValueEnd - chunk.keyValueStart + key.length;
        }
        if (bytes < limitBytes) return undefined;
        this.#cursor = Buffer.concat([name, Buffer.alloc(1)]);
        return false;
      },
    );
    return bytes >= limitBytes;
  }
}
