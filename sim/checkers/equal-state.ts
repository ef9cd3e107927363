// Members that have applied as much hold the same: the changes of a revision, and the digest of everything at an
// index, are those that the first member had there. Keeps the changes, for the other checkers.

import type { EventSeen, Report } from "./history.ts";
import { changesOf } from "./plain-store.ts";

export class EqualState {
  /** By revision. */
  readonly changes = new Map<number, readonly EventSeen[]>();
  lastRevision = 1;
  readonly #report: Report;
  readonly #digests = new Map<number, { readonly digest: string; readonly member: string }>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** All changes of one revision, as a member has them. True when nobody had them before. */
  noteChanges(revision: number, events: readonly EventSeen[], member: string): boolean {
    const known = this.changes.get(revision);
    if (known === undefined) {
      this.changes.set(revision, events);
      this.lastRevision = Math.max(this.lastRevision, revision);
      return true;
    }
    const isSame =
      known.length === events.length &&
      known.every((event, i) => textOf(event) === textOf(events[i] as EventSeen));
    if (!isSame) {
      this.#report({
        property: "equal state",
        text: `revision ${revision} at ${member} is ${events.map(textOf).join(", ")}; elsewhere ${known.map(textOf).join(", ")}`,
      });
    }
    return false;
  }

  /** A digest of a member's whole state after it applied the entry at `index`. */
  noteDigest(index: number, digest: string, member: string): void {
    const known = this.#digests.get(index);
    if (known === undefined) this.#digests.set(index, { digest, member });
    else if (known.digest !== digest) {
      this.#report({
        property: "equal state",
        text: `after entry ${index}, ${member} holds ${digest} and ${known.member} ${known.digest}`,
      });
    }
  }
}

function textOf(event: EventSeen): string {
  return `${event.type} ${event.key} ${changesOf(event)}`;
}
