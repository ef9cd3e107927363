// Every planted bug is found, and the seed that finds it is clean without it. Those that need many seeds are looked
// for in CI only.

import { describe, expect, it } from "vitest";
import { runClusterSeed } from "../cluster.ts";
import { type PlantedClusterBug, plantedClusterBugs } from "./cluster-bugs.ts";

const isLong = process.env.PORTAL_TEST_LONG === "1";
const quickSeedsMax = 50;

/** By a checker, or by a member that does not start with what the bug has left it. */
function isFound(seed: number, bug: PlantedClusterBug): Promise<boolean> {
  return runClusterSeed(seed, bug.options).then(
    ({ violation }) => violation !== undefined,
    () => true,
  );
}

async function seedsNeeded(bug: PlantedClusterBug): Promise<number | undefined> {
  const uproot = bug.plant?.();
  try {
    for (let seed = 1; seed <= bug.seedsMax; seed++) {
      if (await isFound(seed, bug)) return seed;
    }
    return undefined;
  } finally {
    uproot?.();
  }
}

describe("bugs planted in a cluster are found", () => {
  for (const bug of plantedClusterBugs) {
    it.skipIf(bug.seedsMax > quickSeedsMax && !isLong)(
      bug.name,
      async () => {
        const needed = await seedsNeeded(bug);
        expect(needed, `not found within ${bug.seedsMax} seeds`).toBeDefined();
        expect((await runClusterSeed(needed as number)).violation).toBeUndefined();
      },
      600_000,
    );
  }
});
