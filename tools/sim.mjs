// `npm run sim`: compiles the simulator and hands over to sim/run.ts. `--member N` (or only N) runs the crash
// simulation of one member instead, for the seed that a failed test named.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureInstalled, fail, packageCommand, requireNode, root, run, say } from "./support.mjs";

requireNode();
ensureInstalled();
const options = process.argv.slice(2);
const memberSeed = options[0] === "--member" ? options[1] : options[0];
process.exit(/^\d+$/.test(memberSeed ?? "") ? await simulateMember(memberSeed) : await simulate());

async function simulateMember(seed) {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const { status } = await run(process.execPath, [vitest, "run", "sim/member-crash.test.ts"], {
    env: { ...process.env, PORTAL_SIM_SEED: seed },
  });
  say(status === 0 ? `seed ${seed}: all held` : `seed ${seed}: failed, see above`);
  return status;
}

/** Compiled apart from dist/: it takes a second, and runs twice as fast as under vitest. */
async function simulate() {
  const codegen = await run(process.execPath, [join(root, "tools/codegen.mjs")]);
  if (codegen.status !== 0) fail("codegen failed (see above).");
  const output = join(root, "node_modules/.cache/portal/sim");
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, "package.json"), '{ "type": "module" }\n');
  const build = await run(packageCommand("tsc"), ["-p", "tsconfig.sim.json"]);
  if (build.status !== 0) fail("the simulator does not compile (see above).");
  const { status } = await run(process.execPath, [join(output, "sim/run.js"), ...options]);
  return status;
}
