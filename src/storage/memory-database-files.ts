// Databases in memory by name, for tests and members that keep nothing: they outlive being closed, but what was not
// made durable is lost in a crash. Every step can be made to fail.

import type { Backend } from "./backend.ts";
import type { DatabaseFiles, OpenDatabaseOptions } from "./database-files.ts";
import { MemoryBackend } from "./memory-backend.ts";

interface MemoryDatabase {
  readonly backend: MemoryBackend;
  isDurable: boolean;
}

export class MemoryDatabaseFiles implements DatabaseFiles {
  /** Asked before every step; what it throws fails that step. */
  onStep: (step: string) => void = () => {};
  /** What `freeBytes` says. */
  free = Number.POSITIVE_INFINITY;
  readonly #databases = new Map<string, MemoryDatabase>();

  async open(path: string, { isDurable = true }: OpenDatabaseOptions = {}): Promise<Backend> {
    this.onStep(`open ${path}`);
    const database = this.#databases.get(path) ?? { backend: new MemoryBackend(), isDurable };
    this.#databases.set(path, database);
    return database.backend;
  }

  async exists(path: string): Promise<boolean> {
    return this.#databases.has(path);
  }

  async makeDurable(path: string): Promise<void> {
    this.onStep(`makeDurable ${path}`);
    const database = this.#databases.get(path);
    if (database) database.isDurable = true;
  }

  async rename(from: string, to: string): Promise<void> {
    this.onStep(`rename ${from} ${to}`);
    const database = this.#databases.get(from);
    if (!database) throw new Error(`there is no database ${from}`);
    this.#databases.delete(from);
    this.#databases.set(to, database);
  }

  async remove(path: string): Promise<void> {
    this.onStep(`remove ${path}`);
    this.#databases.delete(path);
  }

  async freeBytes(): Promise<number> {
    return this.free;
  }

  /** The machine loses power. */
  crash(): void {
    for (const [path, { isDurable }] of this.#databases) {
      if (!isDurable) this.#databases.delete(path);
    }
  }

  names(): string[] {
    return [...this.#databases.keys()].sort();
  }
}
