// Quorums against the plain definitions.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jointIndex, jointVote, majorityIndex, majorityMatch, majorityVote } from "./quorum.ts";

const runs = { numRuns: 500, seed: 41 };
const matches = fc.array(fc.nat({ max: 9 }), { maxLength: 9 });
const voters = fc.uniqueArray(fc.bigInt({ min: 1n, max: 7n }), { maxLength: 7 });

describe("majorityMatch", () => {
  it("is what sorting finds, for every number of voters", () => {
    fc.assert(
      fc.property(matches, (numbers) => {
        const sorted = [...numbers].sort((a, b) => b - a);
        const expected = sorted[Math.floor(numbers.length / 2)] ?? Number.POSITIVE_INFINITY;
        expect(majorityMatch(numbers.map((match) => ({ match })))).toBe(expected);
      }),
      runs,
    );
  });
});

describe("jointIndex", () => {
  it("needs both halves, and the empty half agrees to all", () => {
    const indexes = fc.dictionary(fc.constantFrom("1", "2", "3", "4", "5"), fc.nat({ max: 9 }));
    fc.assert(
      fc.property(voters, voters, indexes, (one, other, acked) => {
        const acknowledged = new Map(Object.entries(acked).map(([id, n]) => [BigInt(id), n]));
        const a = majorityIndex(one, acknowledged);
        const b = majorityIndex(other, acknowledged);
        expect(jointIndex(one, other, acknowledged)).toBe(Math.min(a, b));
        expect(jointIndex(one, [], acknowledged)).toBe(a);
      }),
      runs,
    );
  });
});

describe("votes", () => {
  const votes = fc
    .array(fc.tuple(fc.bigInt({ min: 1n, max: 8n }), fc.boolean()))
    .map((pairs) => new Map(pairs));

  it("are won or lost exactly when no further vote could change it", () => {
    fc.assert(
      fc.property(voters, votes, (ids, cast) => {
        const open = ids.filter((id) => !cast.has(id));
        const ended = (granted: boolean) =>
          ids.filter((id) => cast.get(id) ?? granted).length * 2 > ids.length;
        const [worst, best] = [ended(false), ended(true)];
        const expected = ids.length === 0 || worst ? "won" : best ? "pending" : "lost";
        expect(majorityVote(ids, cast)).toBe(expected);
        if (open.length === 0) expect(majorityVote(ids, cast)).not.toBe("pending");
      }),
      runs,
    );
  });

  it("in a joint configuration need both halves, in either order", () => {
    fc.assert(
      fc.property(voters, voters, votes, (one, other, cast) => {
        const results = [majorityVote(one, cast), majorityVote(other, cast)];
        const expected = results.includes("lost")
          ? "lost"
          : results.includes("pending")
            ? "pending"
            : "won";
        expect(jointVote(one, other, cast)).toBe(expected);
        expect(jointVote(other, one, cast)).toBe(expected);
      }),
      runs,
    );
  });
});
