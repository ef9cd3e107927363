import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SortedKeys } from "./sorted-keys.ts";

const key = fc.string({ unit: fc.constantFrom("\0", "a", "b", "\xff"), maxLength: 5 });
const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(key, { maxLength: 90 }).map((keys) => ({ kind: "add" as const, keys })),
  },
  { weight: 2, arbitrary: key.map((k) => ({ kind: "delete" as const, keys: [k] })) },
  { weight: 3, arbitrary: fc.tuple(key, key).map((keys) => ({ kind: "slice" as const, keys })) },
);

describe("SortedKeys", () => {
  it("lists what a sorted array lists", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), fc.nat(200), (commands, limit) => {
        const keys = new SortedKeys();
        const model = new Set<string>();
        for (const { kind, keys: given } of commands) {
          if (kind === "add") {
            for (const k of given) {
              if (!model.has(k)) keys.add(k);
              model.add(k);
            }
          } else if (kind === "delete") {
            keys.delete(given[0] as string);
            model.delete(given[0] as string);
          } else {
            const [start, end] = given as [string, string];
            const expected = [...model].sort().filter((k) => k >= start && k < end);
            expect(keys.slice(start, end, limit)).toEqual(expected.slice(0, limit));
            const down = expected.toReversed().slice(0, limit);
            expect(keys.sliceDescending(start, end, limit)).toEqual(down);
          }
          expect(keys.size).toBe(model.size);
        }
        expect(keys.slice("", undefined, Number.POSITIVE_INFINITY)).toEqual([...model].sort());
      }),
      { numRuns: 150, seed: 3 },
    );
  });
});
