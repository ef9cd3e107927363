// Groups of bare raft cores: none of the first seeds breaks a property. `npm run sim -- --raft --seeds A..B` runs more.

import { expect, it } from "vitest";
import { runRaftSeed } from "./raft-world.ts";

const seedsMax = 500;

it("groups keep the properties of figure 3, whatever happens to them", () => {
  const total: Record<string, number> = {};
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violation, counts } = runRaftSeed(seed);
    const text = `${violation?.property}: ${violation?.text}`;
    expect(violation, `npm run sim -- --raft --seed ${seed}\n${text}`).toBeUndefined();
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  }
  for (const [name, count] of Object.entries(total)) expect(count, name).toBeGreaterThan(seedsMax);
}, 300_000);
