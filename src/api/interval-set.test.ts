import fc from "fast-check";
import { expect, test } from "vitest";
import { IntervalSet } from "./interval-set.ts";

const key = fc.string({ unit: fc.constantFrom("a", "b", "c", "\0", "\xff"), maxLength: 3 });

test("holds exactly the keys of the intervals that were added", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, key), { maxLength: 20 }), fc.array(key), (added, asked) => {
      const set = new IntervalSet();
      for (const [begin, end] of added) set.add(begin, end);
      for (const k of [...asked, ...added.flat()]) {
        expect(set.has(k)).toBe(added.some(([begin, end]) => begin <= k && k < end));
      }
    }),
    { seed: 7, numRuns: 500 },
  );
});
