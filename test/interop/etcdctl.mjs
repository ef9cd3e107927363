// The real etcdctl against Portal and against the real etcd: the same commands, the same output and exit
// status, apart from ids, addresses, sizes and times.
import { spawn } from "node:child_process";
import { createChecks } from "../support/checks.mjs";
import { startEtcd, startPortal } from "../support/servers.mjs";
import { binary } from "./binaries.mjs";

const etcdctl = binary("etcdctl");
const checks = createChecks("etcdctl");
const servers = {
  portal: await startPortal({}),
  etcd: await startEtcd({ binary: binary("etcd") }),
};

/** Name, arguments and, for some, standard input. They run in this order on both servers. */
const steps = [
  ["version of the client", ["version"]],
  ["put", ["put", "a", "1"]],
  ["put again, with the previous value", ["put", "a", "2", "--prev-kv"]],
  ["put from standard input", ["put", "stdin"], "from a pipe"],
  ["put, ignoring the value", ["put", "a", "--ignore-value"]],
  ["put of nothing with --ignore-value", ["put", "absent", "--ignore-value"]],
  ["put as JSON", ["put", "b", "3", "-w", "json"]],
  ["put as fields", ["put", "c", "4", "-w", "fields", "--prev-kv"]],
  ["get", ["get", "a"]],
  ["get of nothing", ["get", "nothing"]],
  ["get as JSON", ["get", "a", "-w", "json"]],
  ["get as fields", ["get", "", "--prefix", "-w", "fields"]],
  ["get hex", ["get", "a", "--hex"]],
  ["get a range", ["get", "a", "c"]],
  ["get with a prefix, limited", ["get", "", "--prefix", "--limit=2"]],
  ["get keys only", ["get", "", "--from-key", "--keys-only"]],
  ["get count only", ["get", "", "--prefix", "--count-only", "-w", "fields"]],
  [
    "get sorted by value, descending",
    ["get", "", "--prefix", "--sort-by=value", "--order=DESCEND"],
  ],
  ["get sorted by modification", ["get", "", "--prefix", "--sort-by=modify", "--order=ASCEND"]],
  ["get at an old revision", ["get", "a", "--rev=2"]],
  ["get at a future revision", ["get", "a", "--rev=9999"]],
  ["get serializable", ["get", "a", "--consistency=s"]],
  ["get values only", ["get", "", "--prefix", "--print-value-only"]],
  ["txn that succeeds", ["txn"], 'val("a") = "2"\n\nput t 1\nget a\n\nput t 2\n\n'],
  ["txn that fails", ["txn"], 'ver("a") = "99"\n\nput t 1\n\nget t\ndel b\n\n'],
  ["txn with a create revision", ["txn", "-w", "json"], 'c("zzz") = "0"\n\nput zzz new\n\n\n'],
  ["txn with a duplicate key", ["txn"], "\nput d 1\nput d 2\n\n\n"],
  ["del", ["del", "a"]],
  ["del with the previous value", ["del", "b", "--prev-kv"]],
  ["del of nothing", ["del", "nothing"]],
  ["del with a prefix", ["del", "t", "--prefix"]],
  ["del as JSON", ["del", "zzz", "-w", "json"]],
  ["lease grant", ["lease", "grant", "600", "-w", "fields"]],
  ["lease revoke of nothing", ["lease", "revoke", "1234abcd"]],
  ["lease timetolive of nothing", ["lease", "timetolive", "1234abcd"]],
  ["lease keep-alive of nothing", ["lease", "keep-alive", "--once", "1234abcd"]],
  ["put with a lease that is not there", ["put", "k", "v", "--lease=1234abcd"]],
  ["compact", ["compact", "5"]],
  ["compact again", ["compact", "5"]],
  ["compact in the future", ["compact", "99999"]],
  ["compact, physical", ["compact", "8", "--physical"]],
  ["get what is compacted", ["get", "a", "--rev=3"]],
  ["watch from what is compacted", ["watch", "a", "--rev=3"]],
  ["endpoint health", ["endpoint", "health"]],
  ["endpoint health as JSON", ["endpoint", "health", "-w", "json"]],
  ["endpoint status", ["endpoint", "status"]],
  ["endpoint status as fields", ["endpoint", "status", "-w", "fields"]],
  ["endpoint hashkv", ["endpoint", "hashkv"]],
  ["endpoint hashkv at a revision", ["endpoint", "hashkv", "--rev=10", "-w", "json"]],
  ["member list", ["member", "list"]],
  ["member list as JSON", ["member", "list", "-w", "json"]],
  ["alarm list", ["alarm", "list"]],
  [
    "endpoint of nobody",
    ["get", "a", "--endpoints=127.0.0.1:1", "--dial-timeout=300ms", "--command-timeout=500ms"],
  ],
];

for (const [name, args, input] of steps) {
  await checks.check(name, () => compare((server) => run(server, args, input)));
}
await checks.check("lease with keys, from grant to revoke", () => compare(leaseWithKeys));
await checks.check("watch: puts, deletes, previous values", () =>
  compare((server) => watched(server, ["w", "--prefix", "--prev-kv"])),
);
await checks.check("watch from an old revision", () =>
  compare((server) => watched(server, ["w", "--prefix", "--rev=10"])),
);
await checks.check("watch as JSON", () =>
  compare((server) => watched(server, ["w1", "-w", "json"])),
);
await checks.check("a key goes with its lease", () => compare(expiry));

await Promise.all(Object.values(servers).map((server) => server.stop()));
checks.finish();

async function compare(act) {
  const [ours, theirs] = await Promise.all([act(servers.portal), act(servers.etcd)]);
  if (ours === theirs) return;
  throw new Error(`the outputs differ\n--- Portal\n${ours}\n--- etcd\n${theirs}`);
}

/** Runs etcdctl and resolves to its status and output, with what must differ made equal. */
async function run(server, args, input) {
  const { status, stdout, stderr } = await etcdctlRaw(server, args, input);
  return `status ${status}\n${comparable(stdout, server)}\n${comparable(stderr, server)}`;
}

function etcdctlRaw(server, args, input) {
  return new Promise((resolve, reject) => {
    const child = spawn(etcdctl, args, {
      env: { ...process.env, ETCDCTL_ENDPOINTS: server.endpoint },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: 20_000,
    });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) {
      child[name].on("data", (chunk) => {
        output[name] += chunk;
      });
    }
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...output }));
    child.stdin.on("error", () => {});
    child.stdin.end(input ?? "");
  });
}

function comparable(text, { port, peerPort }) {
  return text
    .split("\n")
    .filter((line) => !/^\d{4}\/\d\d\/\d\d .*(INFO|WARNING)/.test(line))
    .join("\n")
    .replace(/LocalAddr: '[^']+'/g, "LocalAddr")
    .replace(/\b\d+%/g, "PERCENT")
    .replaceAll(String(port), "PORT")
    .replaceAll(String(peerPort), "PEERPORT")
    .replace(/"ts":"[^"]+"/g, '"ts":TIME')
    .replace(/retry_interceptor\.go:\d+|0x[0-9a-f]+/g, "X")
    .replace(/took = [\d.]+\w+|"took":"[^"]+"/g, "TOOK")
    .replace(/\b\d{16,20}\b|\b[0-9a-f]{12,16}\b/g, "ID")
    .replace(/[\d.]+ [kM]B|"(DBSize|DBSizeInUse|DbSize|DbSizeInUse)" : \d+/g, "SIZE")
    .replace(/"(RaftIndex|RaftAppliedIndex|RaftTerm|DBSizeQuota|DbSizeQuota)" : \d+/gi, "$1")
    .replace(/(, \d+){3}, (?=, )/, ", RAFT, ")
    .replace(/"(raft_term|raftTerm)":\d+/g, "TERM");
}

async function leaseWithKeys(server) {
  const { stdout } = await etcdctlRaw(server, ["lease", "grant", "600"]);
  const [, id] = /lease (\w+) granted/.exec(stdout) ?? [];
  if (!id) throw new Error(`no lease: ${stdout}`);
  const outputs = [];
  for (const args of [
    ["put", "leased", "1", `--lease=${id}`],
    ["put", "leased", "--ignore-value", "--ignore-lease"],
    ["lease", "timetolive", id, "--keys"],
    ["lease", "keep-alive", "--once", id],
    ["lease", "list"],
    ["get", "leased", "-w", "fields"],
    ["lease", "revoke", id],
    ["get", "leased"],
    ["lease", "list"],
  ]) {
    // A granted time of 600 s shows as 599 a moment later.
    outputs.push((await run(server, args)).replaceAll(/remaining\(\d+s\)/g, "remaining"));
  }
  return outputs.join("\n");
}

/** What a running watch prints while other commands write. */
async function watched(server, args) {
  const child = spawn(etcdctl, ["watch", ...args], {
    env: { ...process.env, ETCDCTL_ENDPOINTS: server.endpoint },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  // Watching begins at the next revision; the first marker that shows up says that it has begun.
  await untilWatching(server, () => output);
  for (const write of [
    ["put", "w1", "1"],
    ["put", "w1", "2"],
    ["put", "w2", "x"],
    ["del", "w", "--prefix"],
    ["put", "w1", "end"],
  ]) {
    await etcdctlRaw(server, write);
  }
  await waitFor(() => output.includes("end") || output.includes("ZW5k"), 5_000);
  child.kill("SIGTERM");
  await new Promise((resolve) => child.on("close", resolve));
  const text = comparable(output, server);
  // Before the marker the two may have tried a different number of times.
  const cut = Math.max(text.lastIndexOf("marker"), text.lastIndexOf("bWFya2Vy"));
  return text.slice(cut).replace(/(create_|mod_)?revision":\d+|version":\d+/g, "REV");
}

async function untilWatching(server, output) {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    await etcdctlRaw(server, ["put", "w1", "marker"]);
    if (await waitFor(() => /marker|bWFya2Vy/.test(output()), 200)) return;
  }
  throw new Error("the watch never began");
}

async function expiry(server) {
  const { stdout } = await etcdctlRaw(server, ["lease", "grant", "1"]);
  const [, id] = /lease (\w+) granted/.exec(stdout) ?? [];
  await etcdctlRaw(server, ["put", "short", "1", `--lease=${id}`]);
  const isGone = async () => (await etcdctlRaw(server, ["get", "short"])).stdout === "";
  const before = await isGone();
  for (let attempt = 0; attempt < 60 && !(await isGone()); attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return `there: ${!before}, gone later: ${await isGone()}`;
}

async function waitFor(condition, timeoutMs) {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
