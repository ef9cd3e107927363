// `npm run cluster`: several members on this machine and one screen that shows how they fare. What is typed there
// kills, stops and starts them. Installs and builds what is missing; data and logs in ./portal-cluster.
//
//   npm run cluster [-- --members 5] [--data-dir DIR] [flags of `portal server` for each member]
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureBuilt } from "./build.mjs";
import { fail, requireNode, root, run, say } from "./support.mjs";

const main = join(root, "dist/src/main.js");
/** m1 serves clients on 2379 and members on 2380, as etcd; the others on the next pairs. */
const firstPort = 2379;
const membersMax = 7;
const redrawMs = 1000;
const settleMs = 30_000;
const startedBy = process.ppid;

requireNode();
const { count, dataDir, serverFlags } = readArguments(process.argv.slice(2));
ensureBuilt();
const members = Array.from({ length: count }, (_, at) => seatOf(at));
const endpoints = members.map(({ endpoint }) => endpoint).join(",");
const isScreen = process.stdout.isTTY && process.stdin.isTTY;
let note = "";
let isEnding = false;

refuseOtherCluster();
for (const member of members) start(member);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end());
// npm itself does not pass on a signal, it just ends: then the members end with it.
setInterval(() => process.ppid !== startedBy && end(), 500).unref();
if (isScreen) showScreen();
else await tellOnce();

function readArguments(words) {
  const take = (name, usual) => {
    const at = words.findIndex((word) => word === `--${name}` || word.startsWith(`--${name}=`));
    if (at < 0) return usual;
    const [word] = words.splice(at, 1);
    return word.includes("=") ? word.slice(word.indexOf("=") + 1) : words.splice(at, 1)[0];
  };
  const membersText = take("members", "3");
  const number = Number(membersText);
  if (!Number.isInteger(number) || number < 1 || number > membersMax) {
    fail(`--members takes a number from 1 to ${membersMax}, not ${membersText}`);
  }
  return { count: number, dataDir: take("data-dir", "./portal-cluster"), serverFlags: words };
}

function seatOf(at) {
  const name = `m${at + 1}`;
  const endpoint = `127.0.0.1:${firstPort + 2 * at}`;
  const peerUrl = `http://127.0.0.1:${firstPort + 2 * at + 1}`;
  return { name, endpoint, peerUrl, folder: join(dataDir, name), child: undefined, says: "" };
}

/** The number of members is settled when a cluster begins. */
function refuseOtherCluster() {
  if (!existsSync(dataDir)) return;
  const found = readdirSync(dataDir).filter((name) => /^m\d$/.test(name));
  if (found.length === 0 || found.length === count) return;
  fail(`${dataDir} holds a cluster of ${found.length}: remove it, or name another --data-dir`);
}

function start(member) {
  const { name, endpoint, peerUrl, folder } = member;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const log = openSync(join(dataDir, `${name}.log`), "a");
  const words = [
    ...["server", "--name", name, "--data-dir", folder],
    ...["--listen-client-urls", `http://${endpoint}`],
    ...["--advertise-client-urls", `http://${endpoint}`],
    ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ...["--initial-cluster", members.map((one) => `${one.name}=${one.peerUrl}`).join(",")],
    ...serverFlags,
  ];
  // In a group of its own: Ctrl-C is for this process, which ends the members one after the other.
  const child = spawn(process.execPath, [main, ...words], {
    stdio: ["ignore", log, log],
    detached: true,
  });
  member.child = child;
  member.says = `runs as process ${child.pid}`;
  child.on("error", (error) => {
    member.says = error.message;
  });
  child.on("exit", (status, signal) => {
    member.child = undefined;
    member.says = `ended (${signal ?? `status ${status}`}), see ${join(dataDir, `${name}.log`)}`;
    if (!isScreen && !isEnding) say(`${name} ${member.says}`);
  });
}

const actions = {
  kill: { signal: "SIGKILL", help: "kill -9" },
  stop: { signal: "SIGTERM", help: "a graceful stop" },
  pause: { signal: "SIGSTOP", help: "it hangs" },
  resume: { signal: "SIGCONT", help: "and goes on" },
};

/** "kill m1", "start m2", "quit". */
function obey(line) {
  const [word = "", name = ""] = line.trim().split(/\s+/);
  note = "";
  if (word === "") return;
  if (word === "quit" || word === "exit") {
    end();
    return;
  }
  const member = members.find((one) => one.name === name);
  if (!member || !(word === "start" || word in actions)) note = `what is "${line.trim()}"?`;
  else if (word === "start" && member.child) note = `${name} runs`;
  else if (word === "start") start(member);
  else if (!member.child) note = `${name} does not run`;
  else member.child.kill(actions[word].signal);
}

async function askStatus() {
  const words = ["cluster", "status", "--endpoints", endpoints];
  const limits = ["--command-timeout", "1s", "--dial-timeout", "500ms"];
  const { output } = await run(process.execPath, [main, ...words, ...limits], { capture: true });
  return output.trimEnd();
}

function showScreen() {
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "> " });
  lines.on("line", (line) => {
    obey(line);
    draw(lines, "");
  });
  lines.on("close", () => end());
  lines.on("SIGINT", () => end());
  const redraw = async () => {
    if (isEnding) return;
    draw(lines, await askStatus());
    setTimeout(redraw, redrawMs);
  };
  void redraw();
}

let lastStatus = "starting ...";

function draw(lines, status) {
  if (isEnding) return;
  if (status) lastStatus = status;
  const processes = members.map(({ name, says }) => `  ${name}  ${says}`);
  const help = Object.entries(actions).map(([word, one]) => `${word} m1 (${one.help})`);
  process.stdout.write("\u001b[H\u001b[J");
  process.stdout.write(
    [
      lastStatus,
      "",
      ...processes,
      "",
      "In another terminal:",
      `  export PORTAL_ENDPOINTS=${endpoints}`,
      "  bin/portal put greeting hello",
      "",
      `Here: ${[...help.slice(0, 2), "start m1"].join(", ")},`,
      `  ${[...help.slice(2), "quit"].join(", ")}`,
      note,
      "",
    ].join("\n"),
  );
  lines.prompt(true);
}

/** Without a terminal: says when the cluster is there, and runs until it is ended. */
async function tellOnce() {
  const deadline = performance.now() + settleMs;
  let status = "";
  do {
    await new Promise((resolve) => setTimeout(resolve, 500));
    if (isEnding) return;
    status = await askStatus();
  } while (!isSettled(status) && performance.now() < deadline);
  console.log(`${status}\n`);
  say(`${count} members run; data and logs in ${dataDir}. Ctrl-C ends them.`);
  say(`export PORTAL_ENDPOINTS=${endpoints}`);
}

/** Every member has told its name, and one of them leads. */
function isSettled(status) {
  const leads = /\bleader\b/.test(status) && !/unreachable|unstarted/.test(status);
  return leads && members.every(({ name }) => status.includes(name));
}

/** Ends the members gracefully, at last with force. */
async function end() {
  if (isEnding) return;
  isEnding = true;
  if (isScreen) console.log("\nending ...");
  const running = members.filter(({ child }) => child);
  const ended = running.map(({ child }) => new Promise((resolve) => child.on("exit", resolve)));
  for (const { child } of running) {
    child.kill("SIGCONT");
    child.kill("SIGTERM");
  }
  const patience = setTimeout(() => {
    for (const { child } of running) child.kill("SIGKILL");
  }, 15_000);
  await Promise.all(ended);
  clearTimeout(patience);
  process.exit(0);
}
