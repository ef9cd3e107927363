// Watchers that begin at a revision which has not come yet, by that revision.

import type { Watcher } from "./watch-hub.ts";

export class FutureWatchers {
  readonly #byStart = new Map<number, Watcher[]>();

  get isEmpty(): boolean {
    return this.#byStart.size === 0;
  }

  add(watcher: Watcher): void {
    const others = this.#byStart.get(watcher.startRevision);
    if (others === undefined) this.#byStart.set(watcher.startRevision, [watcher]);
    else others.push(watcher);
  }

  remove(watcher: Watcher): void {
    const others = this.#byStart.get(watcher.startRevision) as Watcher[];
    others.splice(others.indexOf(watcher), 1);
    if (others.length === 0) this.#byStart.delete(watcher.startRevision);
  }

  /** Takes out those that begin after revision `previous` and not after `revision`. */
  take(previous: number, revision: number): readonly Watcher[] {
    if (revision === previous + 1) return this.#takeAt(revision);
    const taken: Watcher[] = [];
    for (const start of [...this.#byStart.keys()]) {
      if (start <= revision) taken.push(...this.#takeAt(start));
    }
    return taken;
  }

  #takeAt(start: number): readonly Watcher[] {
    const watchers = this.#byStart.get(start);
    this.#byStart.delete(start);
    return watchers ?? [];
  }
}
