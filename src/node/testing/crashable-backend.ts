// A database in memory that outlives the member that uses it: what was committed stays over a crash,
// what was on its way may or may not have landed. Its commits can be made to fail or to wait.

import type {
  Backend,
  BackendSnapshot,
  ScanRange,
  ScanVisitor,
  TableName,
  WriteBatch,
} from "../../storage/backend.ts";
import { MemoryBackend } from "../../storage/memory-backend.ts";

/** What stays when a process dies. */
export class CrashableDatabase {
  readonly committed = new MemoryBackend();
  /** While set, commits fail with it. */
  commitError: Error | undefined;
  /** Turns of the event loop before a commit reaches the disk. */
  commitDelayTurns = 0;
  commits = 0;
  #session: CrashableBackend | undefined;

  open(): Backend {
    this.#session = new CrashableBackend(this);
    return this.#session;
  }

  /** The process that had it open is gone. Resolves when what was under way has landed or is lost. */
  async crash(): Promise<void> {
    this.#session?.die();
    await this.committed.close();
  }
}

class CrashableBackend implements Backend {
  readonly #database: CrashableDatabase;
  #isDead = false;
  #last: Promise<void> = Promise.resolve();

  constructor(database: CrashableDatabase) {
    this.#database = database;
  }

  die(): void {
    this.#isDead = true;
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
    for (let turn = 0; turn < database.commitDelayTurns; turn++) await nextTurn();
    if (this.#isDead) return forever();
    if (database.commitError) throw database.commitError;
    database.commits++;
    await database.committed.commit(batch, () => {
      // A dead process learns of nothing, but its batch has landed.
      if (!this.#isDead) onVisible?.();
    });
    if (this.#isDead) return forever();
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function forever(): Promise<never> {
  return new Promise(() => {});
}
