// A watch gets every change of its range, once, in order, whole: held against the changes of each revision.

import { type EventSeen, isWithin, type Report, type WatchSeen } from "./history.ts";
import { changesOf } from "./plain-store.ts";

export function checkWatch(
  watch: WatchSeen,
  changes: ReadonlyMap<number, readonly EventSeen[]>,
  report: Report,
): void {
  const expected = expectedEvents(watch, changes);
  const fail = (text: string) => report({ property: "watch", text: `${watch.name}: ${text}` });
  for (let i = 0; i < watch.events.length; i++) {
    const seen = watch.events[i] as EventSeen;
    const wanted = expected[i];
    if (wanted === undefined) {
      fail(`${describe(seen)} is more than there is; ${expected.length} events were to come`);
      return;
    }
    if (!same(seen, wanted)) {
      fail(`event ${i} is ${describe(seen)}, expected ${describe(wanted)}`);
      return;
    }
  }
  const next = expected[watch.events.length];
  if (next !== undefined && next.revision <= watch.completeUpTo) {
    fail(`${describe(next)} never came, and all up to ${watch.completeUpTo} should have`);
  }
}

function expectedEvents(
  watch: WatchSeen,
  changes: ReadonlyMap<number, readonly EventSeen[]>,
): EventSeen[] {
  const last = Math.max(watch.completeUpTo, watch.events[watch.events.length - 1]?.revision ?? 0);
  const expected: EventSeen[] = [];
  for (let revision = watch.startRevision; revision <= last; revision++) {
    // What was compacted before it could be read is not there to be had.
    const gap = watch.gaps.find((g) => revision >= g.wanted && revision < g.resumed);
    if (gap) continue;
    for (const event of changes.get(revision) ?? []) {
      if (isWithin(event.key, watch.key, watch.rangeEnd)) expected.push(event);
    }
  }
  return expected;
}

function same(a: EventSeen, b: EventSeen): boolean {
  return (
    a.type === b.type &&
    a.key === b.key &&
    a.revision === b.revision &&
    changesOf(a) === changesOf(b)
  );
}

function describe(event: EventSeen): string {
  const what = event.type === "put" ? `put ${event.key}=${event.kv?.value}` : `delete ${event.key}`;
  return `${what} at ${event.revision}`;
}
