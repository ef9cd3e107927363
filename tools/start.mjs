// `npm start`: from a fresh clone to a running member. Installs and builds what is missing, then runs
// one member on 127.0.0.1:2379 with its data in ./portal-data. Arguments after `--` go to the member.
//
//   npm start [-- --data-dir DIR ...]
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { ensureBuilt } from "./build.mjs";
import { fail, requireNode, root } from "./support.mjs";

const startedBy = process.ppid;
/** As in bin/etcd, which says why. */
const nodeOptions = ["--max-semi-space-size=32"];

requireNode();
ensureBuilt();
startMember(process.argv.slice(2));

function startMember(userArguments) {
  const main = join(root, "dist/src/main.js");
  if (!existsSync(main)) fail("dist/src/main.js is missing. Run: node tools/build.mjs --force");
  const args = withDefaults(userArguments);
  const child = spawn(process.execPath, [...nodeOptions, main, "server", ...args], {
    stdio: "inherit",
    // How the hints on the screen name the command line tool.
    env: { ...process.env, PORTAL_TOOL: "bin/portal" },
  });
  // Ctrl-C in a terminal reaches the member by itself; only this process must not end before it.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"]) {
    process.on(signal, () => child.kill(signal));
  }
  // npm itself does not pass on a signal, it just ends: then the member ends with it.
  setInterval(() => process.ppid !== startedBy && child.kill("SIGTERM"), 500).unref();
  child.on("error", (error) => fail(`the member could not be started: ${error.message}`));
  child.on("exit", (status, signal) => {
    process.exit(signal ? 128 + constants.signals[signal] : (status ?? 1));
  });
}

/** Where the data goes and where it listens, unless the arguments say so, or name a file that does. */
function withDefaults(userArguments) {
  const has = (flag) =>
    userArguments.some((argument) => new RegExp(`^--?${flag}(=|$)`).test(argument));
  if (has("config-file")) return userArguments;
  const defaults = [];
  if (!has("data-dir")) defaults.push("--data-dir", "./portal-data");
  if (!has("listen-client-urls") && !process.env.ETCD_LISTEN_CLIENT_URLS) {
    defaults.push("--listen-client-urls", "http://127.0.0.1:2379");
  }
  return [...defaults, ...userArguments];
}
