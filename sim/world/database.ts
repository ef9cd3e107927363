// A machine's database in memory: what was committed outlives the process; a commit takes as long as the disk
// takes, and when the process dies on the way, it has landed or not.

import type { Random } from "../../src/base/random.ts";
import type {
  Backend,
  BackendSnapshot,
  ScanRange,
  ScanVisitor,
  TableName,
  WriteBatch,
} from "../../src/storage/backend.ts";
import { MemoryBackend } from "../../src/storage/memory-backend.ts";
import type { EventQueue } from "./event-queue.ts";
import type { DiskSpeed } from "./member-disk.ts";
import type { ProcessLife } from "./process-life.ts";

export interface DatabaseParts {
  readonly queue: EventQueue;
  readonly speed: DiskSpeed;
  readonly random: Random;
}

/** What stays when a process dies. */
export class Database {
  readonly committed = new MemoryBackend();
  /** While set, commits fail with it. */
  commitError: Error | undefined;
  readonly #parts: DatabaseParts;
  #pending: WriteBatch[] = [];

  constructor(parts: DatabaseParts) {
    this.#parts = parts;
  }

  /** The process is gone: of what it was writing some first part has landed. */
  crash(): void {
    for (const batch of this.#pending) {
      if (this.#parts.random.chance(0.5)) break;
      this.committed.commit(batch);
    }
    this.#pending = [];
  }

  begin(batch: WriteBatch): WriteBatch {
    this.#pending.push(batch);
    return batch;
  }

  end(batch: WriteBatch): void {
    const at = this.#pending.indexOf(batch);
    if (at >= 0) this.#pending.splice(at, 1);
  }

  open(life: ProcessLife): Backend {
    return new LivingBackend(this, life, this.#parts);
  }
}

class LivingBackend implements Backend {
  readonly #database: Database;
  readonly #life: ProcessLife;
  readonly #parts: DatabaseParts;
  #last: Promise<void> = Promise.resolve();

  constructor(database: Database, life: ProcessLife, parts: DatabaseParts) {
    this.#database = database;
    this.#life = life;
    this.#parts = parts;
  }

  get(table: TableName, key: Uint8Array): Buffer | undefined {
    return this.#database.committed.get(table, key);
  }

  view(table: TableName, key: Uint8Array): Buffer | undefined {
    return this.#database.committed.view(table, key);
  }

  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void {
    this.#database.committed.scan(table, range, visit);
  }

  scanKeys(table: TableName, range: ScanRange, visit: (key: Buffer) => boolean | undefined): void {
    this.#database.committed.scanKeys(table, range, visit);
  }

  commit(batch: WriteBatch, onVisible?: () => void): Promise<void> {
    const done = this.#last.then(() => this.#commit(batch, onVisible));
    this.#last = done.catch(() => {});
    return done;
  }

  snapshot(): BackendSnapshot {
    return this.#database.committed.snapshot();
  }

  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    return this.#database.committed.size();
  }

  async close(): Promise<void> {
    await this.#last;
  }

  async #commit(batch: WriteBatch, onVisible: (() => void) | undefined): Promise<void> {
    const database = this.#database;
    const pending = database.begin(batch);
    await new Promise<void>((resolve) => {
      this.#parts.queue.schedule(this.#parts.speed.maxMs, () => this.#life.deliver(resolve));
    });
    if (database.commitError) {
      database.end(pending);
      throw database.commitError;
    }
    await database.committed.commit(batch, () => {
      database.end(pending);
      if (!this.#life.isOver) onVisible?.();
    });
    if (this.#life.isOver) return new Promise(() => {});
  }
}
