// How far one watch has come. Pure. Invariant: every event with a revision below `nextRevision` was
// handed out exactly once, and none at or above it; so a new server-side watch from `nextRevision`
// continues without a gap and without a repetition.

import type { Event } from "../wire/generated/kv.ts";
import type { WatchResponse } from "../wire/generated/rpc.ts";

export interface Advance {
  readonly events: readonly Event[];
  /** Everything up to and including this revision is known. */
  readonly revision: number;
}

export class WatchCursor {
  #nextRevision: number;
  /** Events of a revision whose rest is still to come in further fragments. */
  #incomplete: Event[] = [];

  /** `startRevision` 0 means: from when the server creates the watch. */
  constructor(startRevision: number) {
    this.#nextRevision = startRevision;
  }

  get nextRevision(): number {
    return this.#nextRevision;
  }

  /** The server has created the watch, at `storeRevision`. */
  created(storeRevision: number): void {
    if (this.#nextRevision === 0) this.#nextRevision = storeRevision + 1;
  }

  /** The stream broke: what was incomplete comes again. */
  interrupted(): void {
    this.#incomplete = [];
  }

  /** Takes a response. Returns what is new; undefined when that is nothing. */
  accept(response: WatchResponse): Advance | undefined {
    if (response.events.length === 0 && this.#incomplete.length === 0) {
      return this.#progress(response.header?.revision ?? 0);
    }
    const events = this.#incomplete.concat(response.events);
    const complete = response.fragment ? withoutLastRevision(events) : events.length;
    this.#incomplete = events.slice(complete);
    const fresh = events
      .slice(0, complete)
      .filter((event) => revisionOf(event) >= this.#nextRevision);
    const last = fresh.at(-1);
    if (!last) return undefined;
    this.#nextRevision = revisionOf(last) + 1;
    return { events: fresh, revision: revisionOf(last) };
  }

  #progress(revision: number): Advance | undefined {
    if (revision + 1 < this.#nextRevision) return undefined;
    this.#nextRevision = revision + 1;
    return { events: [], revision };
  }
}

/** How many leading events are of a revision before the last one. */
function withoutLastRevision(events: readonly Event[]): number {
  const last = events.at(-1);
  if (!last) return 0;
  let count = events.length;
  while (count > 0 && revisionOf(events[count - 1] as Event) === revisionOf(last)) count--;
  return count;
}

function revisionOf(event: Event): number {
  return event.kv?.modRevision ?? 0;
}
