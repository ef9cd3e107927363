// Figure 3 of the paper, and reads, under random schedules. A failure names its seed: `new Chaos(seed)` with
// the same number of steps shows it again.

import { describe, expect, it } from "vitest";
import { Chaos } from "./testing/chaos.ts";

const seeds = 25;
const steps = 8_000;

describe("a group under random schedules", () => {
  it("keeps figure 3's promises and gets together when it is left alone", () => {
    let reads = 0;
    let commits = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      const chaos = new Chaos(seed);
      try {
        chaos.run(steps);
        chaos.heal();
      } catch (error) {
        throw new Error(`seed ${seed}, ${steps} steps`, { cause: error });
      }
      reads += chaos.checker.readsAnswered;
      commits += chaos.checker.commitIndex;
    }
    // Schedules under which nothing gets done would prove nothing.
    expect(reads).toBeGreaterThan(1_000);
    expect(commits).toBeGreaterThan(3_000);
  });
});
