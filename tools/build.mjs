// Builds dist/ from src/: generated wire code first, then tsc. Does nothing, quickly, when no source
// is newer than the last good build.
//
//   node tools/build.mjs [--force]
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureInstalled, fail, formatDuration, packageCommand, root, say } from "./support.mjs";

const stamp = join(root, "dist/.stamp");
const lock = join(root, "dist/.lock");
const lockPatienceMs = 120_000;

/** Installs and builds what is missing. Ends the process when the sources do not compile. */
export function ensureBuilt({ force = false } = {}) {
  ensureInstalled();
  if (!force && isBuilt()) return;
  withLock(() => {
    if (force || !isBuilt()) build(force);
  });
}

function isBuilt() {
  if (!existsSync(stamp)) return false;
  const builtAt = statSync(stamp).mtimeMs;
  const settings = [
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "tools/codegen.mjs",
  ];
  return (
    settings.every((name) => statSync(join(root, name)).mtimeMs <= builtAt) &&
    newestIn(join(root, "proto")) <= builtAt &&
    newestIn(join(root, "src")) <= builtAt
  );
}

/** The latest change in a folder: of its files, and of itself (a file added or removed). */
function newestIn(folder) {
  let newest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "generated") newest = Math.max(newest, newestIn(path));
    } else if (!entry.name.endsWith(".test.ts")) {
      newest = Math.max(newest, statSync(path).mtimeMs);
    }
  }
  return newest;
}

function build(force) {
  say("building dist/ ...");
  const started = performance.now();
  // Taken before reading the sources: what changes during the build is built again next time.
  const startedAt = new Date();
  runOrFail(process.execPath, ["tools/codegen.mjs", ...(force ? ["--force"] : [])], "codegen");
  runOrFail(packageCommand("tsc"), ["-p", "tsconfig.build.json"], "the TypeScript build");
  removeOrphans(join(root, "dist/src"));
  writeStamp(startedAt);
  say(`built in ${formatDuration(performance.now() - started)}`);
}

function runOrFail(command, args, what) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (result.status !== 0) {
    rmSync(lock, { force: true });
    fail(`${what} failed (see above). Mend the errors and run the command again.`);
  }
}

/** Removes output whose source is gone, so that nothing old can be imported by mistake. */
function removeOrphans(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      removeOrphans(path);
      continue;
    }
    const source = relative(join(root, "dist"), path).replace(/\.(d\.ts|js\.map|js)$/, ".ts");
    if (!existsSync(join(root, source))) unlinkSync(path);
  }
}

function writeStamp(at) {
  writeFileSync(stamp, `${at.toISOString()}\n`);
  // The file's own time says when the build began, not when it ended.
  utimesSync(stamp, at, at);
}

/** One build at a time in this folder; a second one waits, and then finds the work done. */
function withLock(work) {
  mkdirSync(join(root, "dist"), { recursive: true });
  const deadline = performance.now() + lockPatienceMs;
  while (!tryLock()) {
    if (performance.now() > deadline) {
      fail(`another build holds ${relative(root, lock)}. If none is running, remove that file.`);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock() {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    breakStaleLock();
    return false;
  }
}

/** A lock whose owner is gone (killed in mid-build) is removed. */
function breakStaleLock() {
  try {
    const owner = Number(readFileSync(lock, "utf8"));
    if (owner > 0) process.kill(owner, 0);
  } catch (error) {
    if (error.code === "ESRCH") rmSync(lock, { force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  ensureBuilt({ force: process.argv.includes("--force") });
}
