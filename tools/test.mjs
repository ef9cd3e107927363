// `npm test`: everything that must pass on a machine with only Node. Installs and builds what is
// missing, checks the sources (tidy, Biome, types), then runs the tests. The last line says it all.
//
//   npm test [-- path or vitest option ...]
//   node tools/test.mjs --tests-only     no source checks: for a second Node version
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt } from "./build.mjs";
import { formatDuration, packageCommand, requireNode, root, run, say } from "./support.mjs";

const resultFile = join(root, "node_modules/.cache/portal/vitest.json");
const vitestScript = join(root, "node_modules/vitest/vitest.mjs");

requireNode();
const started = performance.now();
const options = process.argv.slice(2);
const testsOnly = options.includes("--tests-only");
const vitestOptions = options.filter((option) => option !== "--tests-only");

ensureBuilt();
const failedChecks = testsOnly || vitestOptions.length > 0 ? [] : await runSourceChecks();
const tests = await runTests(vitestOptions);
report(failedChecks, tests);

/** The quick checks, all of them even when one fails. Resolves to what to run again for each failure. */
async function runSourceChecks() {
  const checks = [
    ["tidy", process.execPath, ["tools/tidy/tidy.mjs"], "npm run tidy"],
    [
      "lint and format",
      packageCommand("biome"),
      ["check", "--error-on-warnings"],
      "npm run format",
    ],
    ["types", packageCommand("tsc"), ["--noEmit", "-p", "tsconfig.json"], "npm run typecheck"],
  ];
  const failures = [];
  for (const [name, command, args, again] of checks) {
    const startedCheck = performance.now();
    const { status, output } = await run(command, args, { capture: true });
    if (status === 0) {
      say(`${name}: ok (${formatDuration(performance.now() - startedCheck)})`);
      continue;
    }
    console.log(output.trimEnd());
    say(`${name}: FAILED (see above; again with: ${again})`);
    failures.push(name);
  }
  return failures;
}

/** Runs vitest on this very Node and resolves to its counts. */
async function runTests(extra) {
  say(`tests, on Node ${process.versions.node} ...`);
  mkdirSync(join(resultFile, ".."), { recursive: true });
  rmSync(resultFile, { force: true });
  const { status } = await run(process.execPath, [
    vitestScript,
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${resultFile}`,
    ...extra,
  ]);
  if (!existsSync(resultFile)) return { passed: 0, failed: 1, broken: true };
  const result = JSON.parse(readFileSync(resultFile, "utf8"));
  const brokenFiles = result.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  const failed = result.numFailedTests + brokenFiles;
  // An error outside any test (an unhandled rejection) fails the run though every test passed.
  return { passed: result.numPassedTests, failed: failed === 0 && status !== 0 ? 1 : failed };
}

function report(failures, { passed, failed, broken }) {
  const elapsed = formatDuration(performance.now() - started);
  const total = failed + failures.length;
  if (failures.length > 0) say(`failed checks: ${failures.join(", ")}`);
  if (broken) say("the test runner itself failed (see above)");
  if (passed + failed === 0) say("no test ran");
  say(total === 0 ? `all good in ${elapsed}` : `something failed, after ${elapsed}; see above`);
  console.log(`${passed} passed, ${total} failed`);
  process.exit(total === 0 && passed > 0 ? 0 : 1);
}
