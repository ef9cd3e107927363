// The window against a plain list.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Inflights } from "./inflights.ts";

describe("Inflights", () => {
  it("behaves as a list of (index, bytes) that is full by count or by bytes", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("add"), ahead: fc.nat(3), bytes: fc.nat(40) }),
      fc.record({ kind: fc.constant("free"), ahead: fc.integer({ min: -2, max: 12 }) }),
      fc.record({ kind: fc.constant("clear"), ahead: fc.constant(0) }),
    );
    const steps = fc.array(step, { maxLength: 120 });
    fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.constantFrom(0, 100), steps, check), {
      numRuns: 300,
      seed: 42,
    });
  });

  it("accepts one message that begins below the limit in bytes and ends above it", () => {
    const inflights = new Inflights(10, 100);
    inflights.add(1, 99);
    expect(inflights.isFull).toBe(false);
    inflights.add(2, 1_000);
    expect(inflights.isFull).toBe(true);
    expect(() => inflights.add(3, 0)).toThrow();
    inflights.freeUpTo(1);
    expect(inflights).toMatchObject({ count: 1, bytes: 1_000, isFull: true });
  });
});

interface Step {
  readonly kind: string;
  readonly ahead: number;
  readonly bytes?: number;
}

function check(maxMessages: number, maxBytes: number, steps: readonly Step[]): void {
  const inflights = new Inflights(maxMessages, maxBytes);
  let list: { index: number; bytes: number }[] = [];
  let index = 0;
  for (const { kind, ahead, bytes = 0 } of steps) {
    const sum = list.reduce((total, each) => total + each.bytes, 0);
    const isFull = list.length === maxMessages || (maxBytes !== 0 && sum >= maxBytes);
    expect(inflights).toMatchObject({ count: list.length, bytes: sum, isFull });
    if (kind === "add" && !isFull) {
      index += ahead;
      list.push({ index, bytes });
      inflights.add(index, bytes);
    } else if (kind === "free") {
      const upTo = (list[0]?.index ?? 0) + ahead;
      list = list.filter((each) => each.index > upTo);
      inflights.freeUpTo(upTo);
    } else if (kind === "clear") {
      list = [];
      inflights.clear();
    }
  }
}
