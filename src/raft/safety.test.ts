// Figure 3 of the paper under random schedules.

import { describe, expect, it } from "vitest";
import { Chaos } from "./testing/chaos.ts";

const steps = 4_000;

describe("a group under a random schedule", () => {
  const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

  it("keeps figure 3's promises and gets together when it is left alone", () => {
    let reads = 0;
    for (const seed of seeds) {
      const chaos = new Chaos(seed);
      try {
        chaos.run(steps);
        chaos.heal();
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      reads += chaos.checker.readsAnswered;
    }
    expect(reads).toBeGreaterThan(100);
  });
});
