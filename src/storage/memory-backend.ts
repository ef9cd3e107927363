// The Backend in memory: for tests and for members that keep nothing. Committed state is replaced only when
// a batch becomes visible, one turn of the event loop after its commit, as on disk. Never durable.

import { latin1Bytes } from "../base/bytes.ts";
import { SortedKeys } from "../base/sorted-keys.ts";
import type {
  Backend,
  BackendSnapshot,
  ScanRange,
  ScanVisitor,
  TableName,
  WriteBatch,
} from "./backend.ts";

class MemoryTable {
  readonly values: Map<string, Buffer>;
  readonly keys: SortedKeys;

  constructor() {
    this.values = new Map();
    this.keys = new SortedKeys();
  }

  copy(): MemoryTable {
    const copy = new MemoryTable();
    for (const [key, value] of this.values) copy.put(key, value);
    return copy;
  }

  put(key: string, value: Buffer): void {
    if (!this.values.has(key)) this.keys.add(key);
    this.values.set(key, value);
  }

  delete(key: string): void {
    if (this.values.delete(key)) this.keys.delete(key);
  }

  scan(range: ScanRange, visit: (key: string) => boolean | undefined): void {
    const start = range.start ? toKey(range.start) : "";
    const end = range.end && toKey(range.end);
    const limit = range.limit ?? Number.POSITIVE_INFINITY;
    const keys = range.reverse
      ? this.keys.sliceDescending(start, end, limit)
      : this.keys.slice(start, end, limit);
    for (const key of keys) if (visit(key) === false) return;
  }
}

class MemoryReader {
  protected readonly tables = new Map<TableName, MemoryTable>();

  get(table: TableName, key: Uint8Array): Buffer | undefined {
    const value = this.tables.get(table)?.values.get(toKey(key));
    return value && Buffer.from(value);
  }

  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void {
    const rows = this.tables.get(table);
    rows?.scan(range, (key) => visit(latin1Bytes(key), rows.values.get(key) as Buffer));
  }
}

class MemorySnapshot extends MemoryReader implements BackendSnapshot {
  constructor(tables: ReadonlyMap<TableName, MemoryTable>) {
    super();
    for (const [name, table] of tables) this.tables.set(name, table.copy());
  }

  close(): void {
    this.tables.clear();
  }
}

export class MemoryBackend extends MemoryReader implements Backend {
  #bytes = 0;
  #last: Promise<void> = Promise.resolve();

  view(table: TableName, key: Uint8Array): Buffer | undefined {
    return this.tables.get(table)?.values.get(toKey(key));
  }

  scanKeys(table: TableName, range: ScanRange, visit: (key: Buffer) => boolean | undefined): void {
    this.tables.get(table)?.scan(range, (key) => visit(latin1Bytes(key)));
  }

  commit(batch: WriteBatch, onVisible?: () => void): Promise<void> {
    const visible = this.#last.then(async () => {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#apply(batch);
      onVisible?.();
    });
    this.#last = visible.catch(() => {});
    return visible;
  }

  snapshot(): BackendSnapshot {
    return new MemorySnapshot(this.tables);
  }

  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    return { totalBytes: this.#bytes, inUseBytes: this.#bytes };
  }

  async close(): Promise<void> {
    await this.#last;
  }

  #apply(batch: WriteBatch): void {
    for (const { table: name, key: bytes, value } of batch.operations) {
      let table = this.tables.get(name);
      if (!table) {
        table = new MemoryTable();
        this.tables.set(name, table);
      }
      const key = toKey(bytes);
      const old = table.values.get(key);
      if (old) this.#bytes -= key.length + old.length;
      if (value) {
        table.put(key, Buffer.from(value));
        this.#bytes += key.length + value.length;
      } else {
        table.delete(key);
      }
    }
  }
}

function toKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length).latin1Slice(
    0,
    bytes.length,
  );
}
