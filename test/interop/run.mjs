// `npm run test:interop`: foreign clients, servers and suites against Portal. Builds the foreign
// programs, then runs every script of this folder that is a suite, and adds up their counts.
//
//   node test/interop/run.mjs [name ...]      only these suites, e.g. `etcdctl property`
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBuilt } from "../../tools/build.mjs";
import { formatDuration, run, say } from "../../tools/support.mjs";
import { startPortal } from "../support/servers.mjs";
import { ensureBinaries } from "./binaries.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const suiteLimitMs = 15 * 60_000;

/** Every other script in this folder is a suite; what suites share lies in folders. */
const notSuites = ["run", "binaries"];

/** Suites that run on a real etcd, and on a Portal that they are given. */
const suitesOnBoth = new Set(["cli", "client"]);

const wanted = process.argv.slice(2);
const suites = listSuites().filter((name) => wanted.length === 0 || wanted.includes(name));
const unknown = wanted.filter((name) => !suites.includes(name));
if (unknown.length > 0) {
  console.error(`no such suite: ${unknown.join(", ")}. There are: ${listSuites().join(", ")}`);
  process.exit(1);
}

ensureBuilt();
process.env.PORTAL_INTEROP_BIN = ensureBinaries();
const results = [];
for (const [index, name] of suites.entries()) {
  say(`interop ${index + 1}/${suites.length}: ${name} ...`);
  results.push(await runSuite(name));
}
report(results);

function listSuites() {
  return readdirSync(here)
    .filter((file) => file.endsWith(".mjs"))
    .map((file) => file.slice(0, -".mjs".length))
    .filter((name) => !notSuites.includes(name))
    .sort();
}

/** Runs one script. A suite that prints no counts, or ends badly with none failed, counts one failure. */
async function runSuite(name) {
  const started = performance.now();
  const portal = suitesOnBoth.has(name) ? await startPortal() : undefined;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), suiteLimitMs);
  const { status, output } = await run(process.execPath, [join(here, `${name}.mjs`)], {
    capture: true,
    signal: controller.signal,
    killSignal: "SIGTERM",
    env: portal ? { ...process.env, PORTAL_ENDPOINT: portal.endpoint } : process.env,
  }).catch((error) => ({ status: 1, output: String(error) }));
  clearTimeout(timer);
  await portal?.stop();
  const counts = [...output.matchAll(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/gm)].at(-1);
  const passed = Number(counts?.[1] ?? 0);
  let failed = Number(counts?.[2] ?? 0);
  const skipped = Number(counts?.[3] ?? 0);
  if (failed === 0 && (status !== 0 || !counts)) failed = 1;
  if (failed > 0 || skipped > 0) console.log(output.trimEnd());
  const elapsed = formatDuration(performance.now() - started);
  say(`interop ${name}: ${passed} passed, ${failed} failed in ${elapsed}`);
  return { name, passed, failed, skipped, elapsed };
}

function report(all) {
  console.log("");
  for (const { name, passed, failed, skipped, elapsed } of all) {
    const note = skipped > 0 ? `  ${skipped} skipped` : "";
    const mark = failed > 0 ? "  <-- FAILED" : "";
    console.log(
      `${name.padEnd(24)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed  ${elapsed.padStart(11)}${note}${mark}`,
    );
  }
  const passed = all.reduce((sum, result) => sum + result.passed, 0);
  const failed = all.reduce((sum, result) => sum + result.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}
