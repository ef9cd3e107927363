// The databases of a member's folder in memory: one in use, others that come to take its place.

import type { Backend } from "../../storage/backend.ts";
import type { DatabaseFiles, OpenDatabaseOptions } from "../../storage/database-files.ts";
import { CrashableDatabase } from "./crashable-backend.ts";

/** Who holds the one that is called `db`. */
interface Holder {
  database: CrashableDatabase;
}

export class CrashableDatabases implements DatabaseFiles {
  readonly #holder: Holder;
  /** All but the one in use, by path. */
  readonly #others = new Map<string, CrashableDatabase>();
  readonly #notDurable = new Set<string>();
  /** Asked before every step; what it throws fails that step. */
  onStep: (step: string) => void = () => {};

  constructor(holder: Holder) {
    this.#holder = holder;
  }

  async open(path: string, { isDurable = true }: OpenDatabaseOptions = {}): Promise<Backend> {
    this.onStep(`open ${path}`);
    if (isCurrent(path)) return this.#holder.database.open();
    const database = this.#others.get(path) ?? new CrashableDatabase();
    this.#others.set(path, database);
    if (!isDurable) this.#notDurable.add(path);
    return database.open();
  }

  async exists(path: string): Promise<boolean> {
    return isCurrent(path) || this.#others.has(path);
  }

  async makeDurable(path: string): Promise<void> {
    this.onStep(`makeDurable ${path}`);
    this.#notDurable.delete(path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.onStep(`rename ${from} ${to}`);
    const database = this.#others.get(from);
    if (!database) throw new Error(`there is no database ${from}`);
    this.#others.delete(from);
    if (isCurrent(to)) this.#holder.database = database;
    else this.#others.set(to, database);
  }

  async remove(path: string): Promise<void> {
    this.onStep(`remove ${path}`);
    this.#others.delete(path);
  }

  async freeBytes(): Promise<number> {
    return Number.POSITIVE_INFINITY;
  }

  async crash(): Promise<void> {
    for (const path of this.#notDurable) this.#others.delete(path);
    this.#notDurable.clear();
    const all = [this.#holder.database, ...this.#others.values()];
    await Promise.all(all.map((database) => database.crash()));
  }
}

function isCurrent(path: string): boolean {
  return path.endsWith("/db");
}
