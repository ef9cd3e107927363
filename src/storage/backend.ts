// The ordered, transactional store below MVCC: what mvcc/, lease/ and auth/ are written against.
// Reads are synchronous and see the last committed batch; writes are batches that commit atomically
// and asynchronously. LMDB and a memory version implement it; one contract suite runs on both.

/** The tables of a member's database. */
export const tableNames = [
  "current",
  "history",
  "versions",
  "counts",
  "lease",
  "leaseKeys",
  "meta",
  "auth",
  "authUsers",
  "authRoles",
] as const;

export type TableName =
  | "current" // live user key -> its revisions, version, lease, and which chunk of `history` holds its value
  | "history" // first revision -> chunk of consecutive changes with their encoded mvccpb.KeyValue
  | "versions" // user key + revision -> where earlier revisions of the key lie
  | "counts" // lower boundary -> live keys up to the next boundary
  | "lease" // lease id -> encoded leasepb.Lease
  | "leaseKeys" // lease id + user key -> nothing
  | "meta" // consistent index, term, conf state, compaction marks, members, alarms
  | "auth" // as etcd's buckets of these names
  | "authUsers"
  | "authRoles";

/** A half-open range of keys in byte order; a missing bound is open. */
export interface ScanRange {
  readonly start?: Uint8Array;
  /** Exclusive. */
  readonly end?: Uint8Array;
  /** From the end towards the start; `start` and `end` keep their meaning. */
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** What a scan calls for each entry; returning false ends the scan. The buffers are valid only during the call. */
export type ScanVisitor = (key: Buffer, value: Buffer) => boolean | undefined;

/** The longest key a table takes; what is longer must be folded by the caller. */
export const backendKeyBytesMax = 1978;

export interface Backend {
  /**
   * The value of `key` in the last committed state, or undefined.
   * The buffer is a copy that the caller may keep.
   */
  get(table: TableName, key: Uint8Array): Buffer | undefined;

  /**
   * As `get`, without the copy: valid only until the next call on any backend, and only up to its `length`. It may
   * be the front of a larger buffer that is used again: read it by index or `subarray`, never pass it on whole.
   */
  view(table: TableName, key: Uint8Array): Buffer | undefined;

  /** Visits entries of the last committed state in key order. Synchronous; holds no snapshot afterwards. */
  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void;

  /** As `scan`, without touching the values. */
  scanKeys(table: TableName, range: ScanRange, visit: (key: Buffer) => boolean | undefined): void;

  /**
   * Commits `batch` atomically. Resolves when it is durable on disk (fsync done) and visible to `get`
   * and `scan`; `onVisible`, when given, is called synchronously at the moment reads begin to see it.
   * Batches commit in the order of the calls. Rejects with a StatusError when the disk fails or is full;
   * then nothing of the batch is visible.
   */
  commit(batch: WriteBatch, onVisible?: () => void): Promise<void>;

  /** A consistent view of the last committed state that outlives later commits, until closed. */
  snapshot(): BackendSnapshot;

  /** Bytes of the database file, and of that what live pages use. */
  size(): { readonly totalBytes: number; readonly inUseBytes: number };

  close(): Promise<void>;
}

export interface BackendSnapshot {
  get(table: TableName, key: Uint8Array): Buffer | undefined;
  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void;
  close(): void;
}

/** Puts and deletes in order; a later one on the same key wins. The batch keeps references to the given bytes. */
export class WriteBatch {
  readonly operations: WriteOperation[] = [];
  bytes = 0;

  put(table: TableName, key: Uint8Array, value: Uint8Array): void {
    this.operations.push({ table, key, value });
    this.bytes += key.length + value.length;
  }

  delete(table: TableName, key: Uint8Array): void {
    this.operations.push({ table, key, value: undefined });
    this.bytes += key.length;
  }
}

export interface WriteOperation {
  readonly table: TableName;
  readonly key: Uint8Array;
  /** undefined deletes. */
  readonly value: Uint8Array | undefined;
}
