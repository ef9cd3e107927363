import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedQueue } from "./queue.ts";

test("behaves as an array with a bound", () => {
  const operations = fc.array(
    fc.oneof(fc.nat(1000), fc.constantFrom("shift" as const, "clear" as const, "peek" as const)),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), operations, (bound, steps) => {
      const queue = new BoundedQueue<number>(bound);
      let model: number[] = [];
      for (const step of steps) {
        if (step === "shift") expect(queue.shift()).toBe(model.shift());
        else if (step === "peek")
          expect(queue.peek(model.length >> 1)).toBe(model[model.length >> 1]);
        else if (step === "clear") {
          queue.clear();
          model = [];
        } else {
          expect(queue.push(step)).toBe(model.length < bound);
          if (model.length < bound) model.push(step);
        }
        expect(queue.length).toBe(model.length);
        expect(queue.isFull).toBe(model.length === bound);
      }
    }),
    { seed: 7, numRuns: 200 },
  );
});
