import { expect, test } from "vitest";
import { ApplyTimes } from "./apply-times.ts";

test("a run of one kind counts with its mean, refusals apart", () => {
  const times = new ApplyTimes();
  let nowMs = 0;
  const now = () => nowMs;
  const apply = (field: number, tookMs: number, success = true) => {
    times.next(field, now);
    nowMs += tookMs;
    times.count(success);
  };
  times.begin(nowMs);
  apply(4, 1);
  apply(4, 3);
  apply(7, 400);
  apply(4, 5, false);
  times.end(nowMs);
  nowMs += 1000;
  times.begin(nowMs);
  apply(4, 6);
  times.end(nowMs);
  const seen = [...times.kinds()].map(({ field, success, times }) => [
    field,
    success,
    times.count,
    times.sum,
  ]);
  expect(seen).toEqual([
    [4, true, 3, 0.01],
    [7, true, 1, 0.4],
    [4, false, 1, 0.005],
  ]);
  expect(times.slow.value).toBe(1);
});
