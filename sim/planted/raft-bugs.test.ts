// Every planted bug is found, and the seed that finds it is clean without it. Those that need many seeds are looked
// for in CI only.

import { describe, expect, it } from "vitest";
import { runRaftSeed } from "../raft/raft-world.ts";
import { type PlantedRaftBug, plantedRaftBugs } from "./raft-bugs.ts";

const isLong = process.env.PORTAL_TEST_LONG === "1";
const quickSeedsMax = 600;

function seedsNeeded({ plant, memberClass, seedsMax }: PlantedRaftBug): number | undefined {
  const uproot = plant?.();
  try {
    for (let seed = 1; seed <= seedsMax; seed++) {
      if (runRaftSeed(seed, memberClass ? { memberClass } : {}).violation) return seed;
    }
    return undefined;
  } finally {
    uproot?.();
  }
}

describe("bugs planted in a raft group are found", () => {
  for (const bug of plantedRaftBugs) {
    it.skipIf(bug.seedsMax > quickSeedsMax && !isLong)(
      bug.name,
      () => {
        const needed = seedsNeeded(bug);
        expect(needed, `not found within ${bug.seedsMax} seeds`).toBeDefined();
        expect(runRaftSeed(needed as number).violation).toBeUndefined();
      },
      300_000,
    );
  }
});
