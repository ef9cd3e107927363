// `npm run sim -- <seed>`: runs the crash simulation of one member for this one seed, as a failed test named it.
import { join } from "node:path";
import { root, run, say } from "./support.mjs";

const seed = process.argv[2];
if (seed === undefined || !/^\d+$/.test(seed)) {
  console.error("Usage: npm run sim -- <seed>   (a whole number)");
  process.exit(2);
}
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const { status } = await run(process.execPath, [vitest, "run", "sim/member-crash.test.ts"], {
  env: { ...process.env, PORTAL_SIM_SEED: seed },
});
say(status === 0 ? `seed ${seed}: all held` : `seed ${seed}: failed, see above`);
process.exit(status);
