// Whole clusters: the same seed is the same run, and none of the first seeds finds anything. CI runs thousands:
// `npm run sim -- --ci`.

import { expect, it } from "vitest";
import { runClusterSeed } from "./cluster.ts";

const seedsMax = 60;

it("a seed is the same run every time", async () => {
  const first = await runClusterSeed(7);
  const again = await runClusterSeed(7, { isTold: true });
  expect(again.digest).toBe(first.digest);
  expect(again.counts).toEqual(first.counts);
  expect(again.story.lines().length).toBeGreaterThan(500);
  expect((await runClusterSeed(8)).digest).not.toBe(first.digest);
}, 300_000);

it("clusters keep what they promise, whatever happens to them", async () => {
  const total: Record<string, number> = {};
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violation, counts } = await runClusterSeed(seed);
    const text = `${violation?.property}: ${violation?.text}`;
    expect(violation, `npm run sim -- --seed ${seed}\n${text}`).toBeUndefined();
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  }
  // The simulation is worth something only if all of this happens in it.
  expect(total.ok).toBeGreaterThan(100 * seedsMax);
  expect(total.unknown).toBeGreaterThan(seedsMax);
  expect(total.terms).toBeGreaterThan(2 * seedsMax);
  expect(total.starts).toBeGreaterThan(4 * seedsMax);
  expect(total.snapshots).toBeGreaterThan(seedsMax / 6);
  expect(total.membershipChanges).toBeGreaterThan(seedsMax / 6);
}, 600_000);
