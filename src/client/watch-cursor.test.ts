import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Event } from "../wire/generated/kv.ts";
import { WatchResponse } from "../wire/generated/rpc.ts";
import { WatchCursor } from "./watch-cursor.ts";

function response(revisions: readonly number[], fragment = false): WatchResponse {
  return WatchResponse.fromPartial({
    header: { revision: revisions.at(-1) ?? 0 },
    events: revisions.map((modRevision) => event(modRevision)),
    fragment,
  });
}

function event(modRevision: number): Event {
  return Event.fromPartial({ kv: { key: Buffer.from(`k${modRevision}`), modRevision } });
}

const revisionsOf = (events: readonly Event[]) => events.map((one) => one.kv?.modRevision);

describe("WatchCursor", () => {
  test("starts behind the revision at which the watch was created", () => {
    const cursor = new WatchCursor(0);
    cursor.created(41);
    expect(cursor.nextRevision).toBe(42);
  });

  test("keeps a start revision in the past or in the future", () => {
    for (const start of [7, 700]) {
      const cursor = new WatchCursor(start);
      cursor.created(41);
      expect(cursor.nextRevision).toBe(start);
    }
  });

  test("drops what was delivered before", () => {
    const cursor = new WatchCursor(5);
    expect(revisionsOf(cursor.accept(response([5, 6]))?.events ?? [])).toEqual([5, 6]);
    expect(revisionsOf(cursor.accept(response([6, 6, 7]))?.events ?? [])).toEqual([7]);
    expect(cursor.nextRevision).toBe(8);
  });

  test("advances on progress, and never goes back", () => {
    const cursor = new WatchCursor(5);
    const progress = WatchResponse.fromPartial({ header: { revision: 20 } });
    expect(cursor.accept(progress)).toEqual({ events: [], revision: 20 });
    expect(cursor.nextRevision).toBe(21);
    expect(cursor.accept(WatchResponse.fromPartial({ header: { revision: 9 } }))).toBeUndefined();
    expect(cursor.nextRevision).toBe(21);
  });

  test("holds back a revision that is still in fragments, and forgets it when interrupted", () => {
    const cursor = new WatchCursor(1);
    expect(revisionsOf(cursor.accept(response([1, 2, 2], true))?.events ?? [])).toEqual([1]);
    expect(cursor.nextRevision).toBe(2);
    cursor.interrupted();
    expect(revisionsOf(cursor.accept(response([2, 2, 2]))?.events ?? [])).toEqual([2, 2, 2]);
  });

  test("every event comes once, in order, however it is cut up and interrupted", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.record({ size: fc.integer({ min: 1, max: 5 }), cut: fc.nat(9) })),
        (eventsPerRevision, choices) => {
          const history = eventsPerRevision.flatMap((count, index) =>
            Array.from({ length: count }, () => index + 1),
          );
          const cursor = new WatchCursor(1);
          const seen: (number | undefined)[] = [];
          let position = 0;
          for (const { size, cut } of choices) {
            if (position >= history.length) break;
            const piece = history.slice(position, position + size);
            const rest = history[position + size];
            // A server ends a response inside a revision only as a fragment.
            const fragment = rest !== undefined && rest === piece.at(-1);
            seen.push(...revisionsOf(cursor.accept(response(piece, fragment))?.events ?? []));
            position += size;
            if (cut === 0) {
              cursor.interrupted();
              position = history.findIndex((revision) => revision >= cursor.nextRevision);
              if (position < 0) break;
            }
          }
          expect(seen).toEqual(history);
        },
      ),
      { seed: 3, numRuns: 300 },
    );
  });
});
