// etcd's own robustness suite, as its authors ship it: clients load clusters of one and three members while it
// kills, parts, slows and replaces them, or stops them at a failpoint; then it holds every answer against the logs.
//
//   node test/interop/robustness.mjs [--etcd] [--run PATTERN] [--count N] [--keep] [--verbose]
//
// --etcd: on the real etcd, without the tests that need failpoints. --count: so many times, since it draws what it
// does. --keep: leaves the suite's output and what it saved. The suite uses fixed ports from 12381 on; where
// that is allowed it runs in a network of its own, so that nobody else can have them.
import { execFileSync, spawnSync } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { spawnTogether } from "../support/process-group.mjs";
import { binary } from "./binaries.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const limitMs = 14 * 60_000;
/** A network with nothing but a loopback of its own; then the words that follow are run. */
const ownNetwork = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'];
const { values: options } = parseArgs({
  options: {
    etcd: { type: "boolean", default: false },
    run: { type: "string", default: "." },
    count: { type: "string", default: "1" },
    keep: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
/** What sets a failpoint by name; the real etcd has none unless it is built for it. */
const needsFailpoints = "Issue(14370|14685|17529|17780|19179|18089)";

const folder = mkdtempSync(join(tmpdir(), "portal-robustness-"));
const programs = join(folder, "bin");
mkdirSync(programs);
const server = options.etcd ? binary("etcd-with-endpoint") : join(here, "../../bin/etcd");
symlinkSync(server, join(programs, "etcd"));
for (const name of ["etcdctl", "etcdutl"]) symlinkSync(binary(name), join(programs, name));

const logFile = join(folder, "output.log");
const tests = await runUntilDecided();
report(tests);
if (options.keep || tests.some(({ verdict }) => verdict === "FAIL")) {
  console.log(`robustness: the suite's own output is in ${logFile}`);
} else {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * The suite gives its search for an order of all calls five minutes, and counts it as a failure when they are over,
 * although that says nothing either way. Such a test, and no other, draws another history, twice at most.
 */
async function runUntilDecided() {
  let { found, undecided } = await runSuite(options.run);
  for (let again = 0; again < 2; again += 1) {
    const failed = leaves(found.filter(({ verdict }) => verdict === "FAIL"));
    if (failed.length === 0 || failed.length !== undecided) break;
    undecided = 0;
    for (const test of failed) {
      console.log(`robustness: ${test.name} found no verdict in time; it draws another history`);
      const pattern = test.name.split("/").map((part) => `^${part}$`);
      const next = await runSuite(pattern.join("/"));
      undecided += next.undecided;
      test.verdict = next.found.find(({ name }) => name === test.name)?.verdict ?? "FAIL";
    }
    for (const parent of found) {
      const below = leaves(found.filter(({ name }) => name.startsWith(`${parent.name}/`)));
      if (parent.verdict !== "FAIL" || below.length === 0) continue;
      if (below.every(({ verdict }) => verdict !== "FAIL")) parent.verdict = "PASS";
    }
  }
  return found;
}

/** Those that are not there only because of a subtest. */
function leaves(tests) {
  return tests.filter(({ name }) => !tests.some((other) => other.name.startsWith(`${name}/`)));
}

/** Every test and subtest with its verdict, in the order in which they ended, and how many searches ran out of time. */
async function runSuite(pattern) {
  const goFolder = join(here, "go/robustness");
  const list = ["list", "-m", "-f", "{{.Dir}}", "go.etcd.io/etcd/tests/v3"];
  const suite = execFileSync("go", list, { cwd: goFolder, encoding: "utf8" }).trim();
  const [command, ...before] = [...(hasOwnNetwork() ? ownNetwork : []), binary("robustness.test")];
  const child = spawnTogether(
    command,
    [
      ...before,
      "-test.v",
      `-test.count=${options.count}`,
      `-test.run=${pattern}`,
      ...(options.etcd ? [`-test.skip=/${needsFailpoints}`] : []),
      `-bin-dir=${programs}`,
    ],
    {
      cwd: join(suite, "robustness"),
      env: { ...process.env, RESULTS_DIR: join(folder, "results") },
    },
  );
  const log = createWriteStream(logFile, { flags: "a" });
  const found = [];
  let undecided = 0;
  let rest = "";
  const take = (chunk) => {
    log.write(chunk);
    rest += chunk;
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const match = /^ *--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)/.exec(line);
      if (match) found.push({ verdict: match[1], name: match[2], seconds: Number(match[3]) });
      if (/Linearization (timed out|deadline exceeded)/.test(line)) undecided += 1;
      if (/^panic: /.test(line)) found.push({ verdict: "FAIL", name: line, seconds: 0 });
    }
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const timer = setTimeout(() => {
    found.push({ verdict: "FAIL", name: `not done after ${limitMs / 60_000} minutes`, seconds: 0 });
    child.endAll();
  }, limitMs);
  await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  child.endAll();
  await new Promise((resolve) => log.end(resolve));
  return { found, undecided };
}

function hasOwnNetwork() {
  const [command, ...words] = [...ownNetwork, "true"];
  return spawnSync(command, words, { stdio: "ignore" }).status === 0;
}

function report(tests) {
  const count = (verdict) => tests.filter((test) => test.verdict === verdict).length;
  for (const { verdict, name, seconds } of tests) {
    if (verdict !== "PASS" || options.verbose) console.log(`  ${verdict}  ${name} (${seconds} s)`);
  }
  const skipped = count("SKIP") > 0 ? `, ${count("SKIP")} skipped` : "";
  console.log(`${count("PASS")} passed, ${count("FAIL")} failed${skipped}`);
  process.exitCode = count("FAIL") === 0 && count("PASS") > 0 ? 0 : 1;
}
