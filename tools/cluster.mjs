// `npm run cluster`: a cluster of Portal on this machine, with a screen that shows how its members fare and
// keys to kill, stop and start them. Without a terminal it prints a line for each event instead.
//
//   npm run cluster [-- --members 5 --data-dir DIR --port 2379 --temp --plain] [-- FLAGS OF EVERY MEMBER]
//
// The data lies in ./portal-cluster and is there the next time; --temp throws it away.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt } from "./build.mjs";
import { LocalCluster } from "./cluster/local-cluster.mjs";
import { Screen, screenLines } from "./cluster/screen.mjs";
import { fail, requireNode, say } from "./support.mjs";

const refreshMs = 500;
const paint = {
  bold: style(1, 22),
  dim: style(2, 22),
  red: style(31, 39),
  green: style(32, 39),
  yellow: style(33, 39),
  cyan: style(36, 39),
};
const startedBy = process.ppid;
const startedMs = performance.now();

requireNode();
const { settings, serverArguments } = readArguments(process.argv.slice(2));
ensureBuilt();
const { Client } = await import("../dist/src/index.js");
const folder = settings.temp
  ? mkdtempSync(join(tmpdir(), "portal-cluster-"))
  : resolve(settings["data-dir"] ?? "./portal-cluster");
const cluster = openCluster();
const isInteractive = process.stdin.isTTY && process.stdout.isTTY && !settings.plain;
process.on("exit", () => {
  for (const member of cluster.members) member.abandon();
});
async function run() {
  const view = isInteractive ? new InteractiveView() : new PlainView();
  let end;
  const ended = new Promise((resolve) => {
    end = resolve;
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, end);
  // npm itself does not pass on a signal, it just ends: then the cluster ends with it.
  setInterval(() => process.ppid !== startedBy && end(), 500).unref();
  try {
    await cluster.start();
  } catch (error) {
    fail(error.message);
  }
  view.open(end);
  const timer = setInterval(() => {
    void cluster.refresh().then(() => view.draw());
  }, refreshMs);
  await ended;
  clearInterval(timer);
  view.close();
  say("stopping the members ...");
  await cluster.stop();
  if (settings.temp) rmSync(folder, { recursive: true, force: true });
  else say(`the data is kept in ${shown(folder)}; npm run cluster goes on from there`);
  process.exit(0);
}

function openCluster() {
  try {
    return new LocalCluster({
      folder,
      size: settings.members && Number(settings.members),
      port: settings.port && Number(settings.port),
      Client,
      serverArguments,
    });
  } catch (error) {
    return fail(error.message);
  }
}

class InteractiveView {
  #screen = new Screen(process.stdout);
  #selected = 0;

  open(end) {
    this.#screen.open();
    process.on("exit", () => this.#screen.close());
    process.stdin.setRawMode(true);
    process.stdin.on("data", (keys) => {
      for (const key of keys.toString()) this.#onKey(key, end);
      this.draw();
    });
    process.stdout.on("resize", () => this.draw());
    this.draw();
  }

  draw() {
    const { members, events } = cluster;
    const uptimeMs = performance.now() - startedMs;
    const facts = { members, events, selected: this.#selected, uptimeMs };
    this.#screen.draw(screenLines({ ...facts, folder: shown(folder), tool: "bin/portal" }, paint));
  }

  close() {
    process.stdin.setRawMode(false);
    process.stdin.pause();
    this.#screen.close();
  }

  #onKey(key, end) {
    const { members } = cluster;
    const member = members[this.#selected];
    if (/[1-9]/.test(key) && Number(key) <= members.length) this.#selected = Number(key) - 1;
    else if (key === "k") member.kill();
    else if (key === "t") member.terminate();
    else if (key === "s") member.start();
    else if (key === "p") member.togglePause();
    else if (key === "l") void cluster.moveLeader(member);
    else if (key === "q" || key === "\u0003" || key === "\u0004") end();
  }
}

/** Lines for a log or a pipe: events, and how to reach the cluster once it has a leader. */
class PlainView {
  #hasToldHow = false;

  open() {
    for (const line of cluster.events) console.log(line);
    cluster.onEvent = (line) => console.log(line);
  }

  draw() {
    const isWhole = cluster.members.every(({ role }) => /leader|follower/.test(role));
    if (this.#hasToldHow || !isWhole || !cluster.leader) return;
    this.#hasToldHow = true;
    console.log(`ready: etcdctl --endpoints=${cluster.endpoints.join(",")} put greeting hello`);
    console.log(`data and logs in ${shown(folder)}; SIGTERM or Ctrl-C stops all members`);
  }

  close() {}
}

function readArguments(words) {
  const at = words.indexOf("--");
  const own = at < 0 ? words : words.slice(0, at);
  try {
    const { values } = parseArgs({
      args: own,
      options: {
        members: { type: "string" },
        "data-dir": { type: "string" },
        port: { type: "string" },
        temp: { type: "boolean", default: false },
        plain: { type: "boolean", default: false },
      },
    });
    if (values.members && !/^[1-7]$/.test(values.members)) fail("--members takes 1 to 7");
    if (values.port && !(Number(values.port) > 0 && Number(values.port) < 65_000)) {
      fail("--port takes the first of the ports, for example 12379");
    }
    return { settings: values, serverArguments: at < 0 ? [] : words.slice(at + 1) };
  } catch (error) {
    const usage =
      "npm run cluster [-- --members 5 --data-dir DIR --port 2379 --temp --plain] [-- FLAGS OF EVERY MEMBER]";
    return fail(`${error.message}\nUsage: ${usage}`);
  }
}

/** Relative where that is shorter. */
function shown(path) {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : `./${short}`;
}

function style(on, off) {
  return (text) => (process.env.NO_COLOR ? text : `\u001b[${on}m${text}\u001b[${off}m`);
}

await run();
