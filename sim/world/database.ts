// The databases of a simulated machine, by path: what was committed outlives the process; a commit takes as long as
// the disk takes, and when the process dies on the way, it has landed or not. One whose commits do not wait for the
// disk is gone after a power loss, unless it was made durable.

import type { Random } from "../../src/base/random.ts";
import type {
  Backend,
  BackendSnapshot,
  ScanRange,
  ScanVisitor,
  TableName,
  WriteBatch,
} from "../../src/storage/backend.ts";
import type { DatabaseFiles } from "../../src/storage/database-files.ts";
import { MemoryBackend } from "../../src/storage/memory-backend.ts";
import type { EventQueue } from "./event-queue.ts";
import type { DiskSpeed } from "./member-disk.ts";
import type { ProcessLife } from "./process-life.ts";

export interface DatabaseParts {
  readonly queue: EventQueue;
  readonly speed: DiskSpeed;
  readonly random: Random;
}

interface Stored {
  readonly committed: MemoryBackend;
  isDurable: boolean;
  pending: WriteBatch[];
}

export class Databases {
  /** While set, commits fail with it. */
  commitError: Error | undefined;
  readonly #parts: DatabaseParts;
  readonly #stored = new Map<string, Stored>();

  constructor(parts: DatabaseParts) {
    this.#parts = parts;
  }

  /** The process is gone: of what it was writing some first part has landed. */
  crash(isPowerLost: boolean): void {
    for (const [path, stored] of this.#stored) {
      for (const batch of stored.pending) {
        if (this.#parts.random.chance(0.5)) break;
        void stored.committed.commit(batch);
      }
      stored.pending = [];
      if (isPowerLost && !stored.isDurable) this.#stored.delete(path);
    }
  }

  /** All data is lost. */
  wipe(): void {
    this.#stored.clear();
  }

  /** As one life of a process sees them. */
  files(life: ProcessLife): DatabaseFiles {
    const stored = this.#stored;
    const alive = <Result>(result: Result): Promise<Result> =>
      life.isOver ? new Promise(() => {}) : Promise.resolve(result);
    return {
      open: (path, { isDurable = true } = {}) => {
        let found = stored.get(path);
        if (found === undefined) {
          found = { committed: new MemoryBackend(), isDurable, pending: [] };
          stored.set(path, found);
        }
        return alive<Backend>(new LivingBackend(found, this, life, this.#parts));
      },
      exists: (path) => alive(stored.has(path)),
      makeDurable: async (path) => {
        await this.#delay(life);
        const found = stored.get(path);
        if (found) found.isDurable = true;
      },
      rename: async (from, to) => {
        if (life.isOver) return new Promise(() => {});
        const found = stored.get(from);
        if (found === undefined) throw new Error(`there is no database ${from}`);
        stored.delete(from);
        stored.set(to, found);
        await this.#delay(life);
      },
      freeBytes: () => alive(2 ** 40),
      remove: async (path) => {
        if (!life.isOver) stored.delete(path);
        await alive(undefined);
      },
    };
  }

  #delay(life: ProcessLife): Promise<void> {
    const { queue, speed } = this.#parts;
    return new Promise((resolve) => {
      queue.schedule(speed.maxMs, () => life.deliver(resolve));
    });
  }
}

class LivingBackend implements Backend {
  readonly #stored: Stored;
  readonly #databases: Databases;
  readonly #life: ProcessLife;
  readonly #parts: DatabaseParts;
  #last: Promise<void> = Promise.resolve();

  constructor(stored: Stored, databases: Databases, life: ProcessLife, parts: DatabaseParts) {
    this.#stored = stored;
    this.#databases = databases;
    this.#life = life;
    this.#parts = parts;
  }

  get(table: TableName, key: Uint8Array): Buffer | undefined {
    return this.#stored.committed.get(table, key);
  }

  view(table: TableName, key: Uint8Array): Buffer | undefined {
    return this.#stored.committed.view(table, key);
  }

  scan(table: TableName, range: ScanRange, visit: ScanVisitor): void {
    this.#stored.committed.scan(table, range, visit);
  }

  scanKeys(table: TableName, range: ScanRange, visit: (key: Buffer) => boolean | undefined): void {
    this.#stored.committed.scanKeys(table, range, visit);
  }

  commit(batch: WriteBatch, onVisible?: () => void): Promise<void> {
    const done = this.#last.then(() => this.#commit(batch, onVisible));
    this.#last = done.catch(() => {});
    return done;
  }

  snapshot(): BackendSnapshot {
    return this.#stored.committed.snapshot();
  }

  size(): { readonly totalBytes: number; readonly inUseBytes: number } {
    return this.#stored.committed.size();
  }

  async close(): Promise<void> {
    await this.#last;
  }

  async #commit(batch: WriteBatch, onVisible: (() => void) | undefined): Promise<void> {
    const stored = this.#stored;
    const { queue, speed } = this.#parts;
    if (this.#life.isOver) return new Promise(() => {});
    stored.pending.push(batch);
    await new Promise<void>((resolve) => {
      queue.schedule(speed.maxMs, () => this.#life.deliver(resolve));
    });
    const at = stored.pending.indexOf(batch);
    if (this.#databases.commitError) {
      stored.pending.splice(at, 1);
      throw this.#databases.commitError;
    }
    await stored.committed.commit(batch, () => {
      stored.pending.splice(at, 1);
      if (!this.#life.isOver) onVisible?.();
    });
    if (this.#life.isOver) return new Promise(() => {});
  }
}
