// What the tools share: where the repository is, whether the installed packages and the build are
// fresh, and how to run a command with one clear line about it. Only node: modules, since it runs
// before anything is installed.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

const oldestNode = [20, 19];

/** Ends the process with a clear message when this Node is too old to go on. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  fail(
    `Portal needs Node ${oldestNode.join(".")} or newer; this is ${process.versions.node} ` +
      `(${process.execPath}). Install a newer Node and run the command again.`,
  );
}

/** Prints `message` in red on a terminal and ends the process with status 1. */
export function fail(message) {
  const text = `portal: ${message}`;
  console.error(process.stderr.isTTY ? `\u001b[31m${text}\u001b[39m` : text);
  process.exit(1);
}

export function say(message) {
  console.log(`portal: ${message}`);
}

/** 850 -> "0.9 s", 65000 -> "1 min 5 s". */
export function formatDuration(durationMs) {
  const seconds = durationMs / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const lockFile = join(root, "package-lock.json");
const installStamp = join(root, "node_modules/.portal-installed");

/** True when node_modules holds exactly what the lockfile says. */
export function isInstalled() {
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  if (existsSync(installStamp)) return readFileSync(installStamp, "utf8") === lockHash();
  // Installed by hand: npm's own copy of the lockfile is written last.
  return (
    statSync(join(root, "node_modules/.package-lock.json")).mtimeMs >= statSync(lockFile).mtimeMs
  );
}

/** Installs the locked packages when they are missing or not those of the lockfile. */
export function ensureInstalled() {
  if (isInstalled()) return;
  if (lstatSync(join(root, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci empties the folder that the link leads to, which may be someone else's.
    fail("node_modules is a link and its packages are not those of the lockfile. Remove the link.");
  }
  say("installing packages (npm ci) ...");
  const started = performance.now();
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const result = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.error?.code === "ENOENT") fail("npm was not found; it comes with Node.");
  if (result.status !== 0) {
    fail(
      "npm ci failed (see above). Check the network or the npm registry setting, then try again.",
    );
  }
  writeFileSync(installStamp, lockHash());
  say(`packages installed in ${formatDuration(performance.now() - started)}`);
}

function lockHash() {
  return createHash("sha256").update(readFileSync(lockFile)).digest("hex");
}

/**
 * Runs a command with inherited output. Resolves to its exit status (128 + number for a signal).
 * `capture` collects standard output and error as text instead of showing them.
 */
export function run(command, args, options = {}) {
  const { capture = false, ...rest } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", capture ? "pipe" : "inherit", capture ? "pipe" : "inherit"],
      ...rest,
    });
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr?.on("data", (chunk) => {
      output += chunk;
    });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      resolve({ status: status ?? 128, signal, output });
    });
  });
}

/** The path of a command that an installed package brings. */
export function packageCommand(name) {
  return join(root, "node_modules/.bin", name);
}
