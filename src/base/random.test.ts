import { expect, test } from "vitest";
import { Random } from "./random.ts";

test("the same seed gives the same sequence, another seed another", () => {
  const draw = (seed: number | bigint) => {
    const random = new Random(seed);
    return Array.from({ length: 20 }, () => random.uint32());
  };
  expect(draw(1)).toEqual(draw(1n));
  expect(draw(1)).not.toEqual(draw(2));
  expect(draw(2n ** 40n)).not.toEqual(draw(0));
  expect(new Set(draw(0)).size).toBe(20);
});

test("bounds hold and values spread", () => {
  const random = new Random(9);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const n = random.below(10);
    counts[n] = (counts[n] as number) + 1;
    const f = random.float();
    expect(f >= 0 && f < 1).toBe(true);
    expect(random.between(-3, 3)).toBeLessThanOrEqual(3);
  }
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  expect(random.shuffle([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
  expect(random.bytes(5)).toHaveLength(5);
});
