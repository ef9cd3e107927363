// Changes of members, asked for by the real etcdctl: the same steps on three etcds and then, with the same
// names, addresses and token, on three Portals. Outputs, exit status, pages between members and the
// first entries of the logs must be the same.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createChecks } from "../support/checks.mjs";
import { freePorts, mainScript, spawnServer } from "../support/servers.mjs";
import { binary } from "./binaries.mjs";
import { confChanges } from "./support/conf-changes.mjs";

/** What the steps are done with. */
const etcdctlTool = [binary("etcdctl")];
const portalTool = [process.execPath, mainScript];
const checks = createChecks("members");
/** Connections count as healthy after 5 s. */
const healthyMs = 5500;
const names = ["m0", "m1", "m2", "m3", "m4"];
const ports = await freePorts(2 * names.length);
const seats = names.map((name, i) => ({
  name,
  client: `http://127.0.0.1:${ports[2 * i]}`,
  peer: `http://127.0.0.1:${ports[2 * i + 1]}`,
}));

const commands = {
  etcd: [binary("etcd")],
  portal: [process.execPath, mainScript, "etcd"],
};

/** Resolves to what was seen at each step. */
async function runAll(kind, body, options) {
  const world = new World(kind, options);
  try {
    await body(world);
  } catch (error) {
    world.seen.set("it went wrong", String(error?.stack ?? error));
    for (const [name, server] of world.servers) {
      console.log(`        ${kind} ${name}: ${server.output.slice(-2000)}`);
    }
  } finally {
    await world.stop();
  }
  return world.seen;
}

async function steps(world) {
  const [m0, m1, m2, m3, m4] = seats;
  await world.start([m0, m1, m2], [m0, m1, m2], "new");
  await world.ctl("members of a new cluster", ["member", "list"]);
  await world.ctl("members as JSON", ["member", "list", "-w", "json"]);
  await world.ctl("members as a table", ["member", "list", "-w", "table"]);
  await world.ctl("put", ["put", "a", "1"]);
  await world.page("page /members", "/members");
  await world.page("page /version", "/version");
  await world.page("page /downgrade/enabled", "/downgrade/enabled");
  await world.page("page /nothing", "/nothing");
  await world.page("page /members by POST", "/members", { method: "POST" });
  await world.page("page /leases by GET", "/leases");
  await world.page("page to promote nobody", "/members/promote/77", { method: "POST" }, true);
  await world.page("page to promote no number", "/members/promote/x", { method: "POST" });
  await world.ctl("add before the connections have proved healthy", add(m3));
  await sleep(healthyMs);
  await world.ctl("add at an address in use", add({ name: "x", peer: m0.peer }));
  await world.ctl("add a learner", add(m3, "--learner"));
  await world.ctl("add one learner too many", add(m4, "--learner"));
  await world.ctl("a learner that does not run is not ready", ["member", "promote", world.id(m3)]);
  await world.start([m3], [m0, m1, m2, m3], "existing");
  await world.ctl("members with a learner", ["member", "list", "-w", "table"]);
  await world.ctl("a learner takes no writes", ["put", "b", "2"], m3);
  await world.ctl("a learner takes no linearizable reads", ["get", "a"], m3);
  await world.ctl("a learner reads what it has", ["get", "a", "--consistency=s"], m3);
  await world.ctl("a learner does not lead", ["move-leader", world.id(m3)]);
  const follower = await world.follower();
  await world.ctl("promote, asked of a follower", ["member", "promote", world.id(m3)], follower);
  await world.ctl("promote a voter", ["member", "promote", world.id(m3)]);
  await world.ctl("promote nobody", ["member", "promote", "77"]);
  await world.ctl("a former learner takes writes", ["put", "b", "2"], m3);
  await world.ctl("move leadership, asked of a follower only", moveTo(world, m3), follower);
  await world.ctl("move leadership to nobody", ["move-leader", "77"]);
  await world.ctl("move leadership", moveTo(world, m3));
  await world.ctl("it leads", ["endpoint", "status", "-w", "json"], m3, leaderOnly);
  await world.ctl("move leadership to who has it", moveTo(world, m3), m3);
  await world.ctl("update", update(world, m3, `${m3.peer},${m4.peer}`));
  await world.ctl("update to an address in use", update(world, m3, m1.peer));
  await world.ctl("update nobody", ["member", "update", "77", `--peer-urls=${m4.peer}`]);
  await world.ctl("members after an update", ["member", "list", "-w", "fields"]);
  await sleep(healthyMs);
  await world.ctl("remove the leader", ["member", "remove", world.id(m3)]);
  world.see("a removed member ends by itself", `status ${await world.statusOf(m3)}`);
  await world.settle(m0);
  await world.ctl("remove again", ["member", "remove", world.id(m3)]);
  await world.ctl("write without it", ["put", "c", "3"]);
  await sleep(healthyMs);
  await world.kill(m2);
  await world.settle(m0);
  await world.ctl("add while one is down", add(m4));
  await world.ctl("remove one of two that are left", ["member", "remove", world.id(m1)]);
  await world.ctl("remove the one that is down", ["member", "remove", world.id(m2)]);
  await world.ctl("add with two left", add(m4));
  await world.ctl("add while one has not started", add({ name: "x", peer: m3.peer }));
  await world.ctl("members with one that has not started", ["member", "list"]);
  await world.ctl("remove what has not started", ["member", "remove", world.id(m4)]);
  await world.start([m2], [m0, m1, m2], "new", false);
  // With status 0 or 1: etcd, too, may be told while it still starts.
  world.see("a member that comes back removed ends", `${(await world.statusOf(m2)) <= 1}`);
  await world.ctl("hashes agree", ["endpoint", "hashkv", "--cluster", "-w", "json"], m0, hashOnly);
  await world.stop(false);
  world.see("entries that change members", world.logOf(m0));
  await world.start([m0], [m0, m1, m2], "new", true, ["--force-new-cluster"]);
  await world.ctl("what is left goes on alone", ["member", "list"]);
  await world.ctl("it has what it had", ["get", "", "--prefix"]);
  await world.ctl("it takes writes", ["put", "d", "4"]);
  await world.ctl("it can grow again", add(m4));
}

/** What etcdctl prints in each format; `portal` must print the same. */
async function printing(world) {
  const [m0, m1, m2, m3, m4] = seats;
  await world.start([m0, m1, m2], [m0, m1, m2], "new");
  await world.ctl("list (fields)", ["member", "list", "-w", "fields"]);
  for (const format of ["simple", "json"]) {
    // Ids carry the second; one that was removed does not come back.
    await sleep(1100);
    const ctl = (name, words, seat) =>
      world.ctl(`${name} (${format})`, [...words, "-w", format], seat);
    await ctl("list", ["member", "list"]);
    await ctl("add", add(m3));
    await ctl("update", update(world, m3, `${m3.peer},${m4.peer}`));
    await ctl("promote a voter", ["member", "promote", world.id(m3)]);
    await ctl("remove", ["member", "remove", world.id(m3)]);
    await ctl("add a learner", add(m4, "--learner"));
    await ctl("remove a learner", ["member", "remove", world.id(m4)]);
    await ctl("remove again", ["member", "remove", world.id(m4)]);
    await ctl("move leadership", moveTo(world, await world.follower()));
    await world.settle(m0);
  }
  await world.ctl("add without an address", ["member", "add", "x"]);
  await world.ctl("add without a name", ["member", "add"]);
  await world.ctl("remove without an id", ["member", "remove"]);
  await world.ctl("move leadership nowhere", ["move-leader"]);
}

const add = (seat, ...flags) => ["member", "add", seat.name, `--peer-urls=${seat.peer}`, ...flags];
const moveTo = (world, seat) => ["move-leader", world.id(seat)];
const update = (world, seat, urls) => ["member", "update", world.id(seat), `--peer-urls=${urls}`];
const leaderOnly = (text) =>
  JSON.stringify(JSON.parse(text).map(({ Status }) => Status.leader === Status.header.member_id));
const hashOnly = (text) => {
  const all = JSON.parse(text).map(({ HashKV }) => `${HashKV.hash} at ${HashKV.hash_revision}`);
  return [...new Set(all)].join(", ");
};

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** One cluster, and what was seen of it. */
class World {
  seen = new Map();
  servers = new Map();
  #kind;
  #flags;
  #tool;
  #folder;
  /** Ids by peer URL; those of members that were added differ from run to run. */
  #ids = new Map();
  #added = new Map();
  #founders = new Set();

  constructor(kind, { flags = [], tool = etcdctlTool } = {}) {
    this.#kind = kind;
    this.#flags = flags;
    this.#tool = tool;
    this.#folder = mkdtempSync(join(tmpdir(), `members-${kind}-`));
  }

  see(name, text) {
    this.seen.set(name, text);
  }

  /** Starts members at once and waits until they are ready. */
  async start(group, cluster, state, waits = true, flags = []) {
    for (const seat of group) {
      this.servers.set(seat.name, this.#spawn(seat, cluster, state, flags));
    }
    if (!waits) return;
    await Promise.all(
      group.map((seat) => this.servers.get(seat.name).waitUntilReady(performance.now(), 30_000)),
    );
    await this.#learnIds();
  }

  #spawn(seat, cluster, state, flags) {
    const command = [
      ...commands[this.#kind],
      `--name=${seat.name}`,
      `--data-dir=${this.#dataDir(seat)}`,
      `--listen-client-urls=${seat.client}`,
      `--advertise-client-urls=${seat.client}`,
      `--listen-peer-urls=${seat.peer}`,
      `--initial-advertise-peer-urls=${seat.peer}`,
      `--initial-cluster=${cluster.map((one) => `${one.name}=${one.peer}`).join(",")}`,
      `--initial-cluster-state=${state}`,
      "--initial-cluster-token=members",
      ...this.#flags,
      ...flags,
    ];
    const port = Number(new URL(seat.client).port);
    return spawnServer({ name: `${this.#kind}-${seat.name}`, command, port });
  }

  /** Runs etcdctl at `seat`, or at all that run, and keeps what it says. */
  async ctl(name, words, seat, pick) {
    const endpoints = seat ? [seat.client] : this.#running().map((one) => one.client);
    const { status, stdout, stderr } = await run(words, endpoints, this.#tool);
    await this.#learnIds(endpoints);
    const output = pick && status === 0 ? pick(stdout) : stdout;
    // What a tool adds to be of help, and what it logs, is its own.
    const said = stderr.split("\n").filter((line) => /^Error: /.test(line));
    this.see(name, this.#comparable(`status ${status}\n${output}${said.join("\n")}`));
  }

  /** Asks a page on the peer address; `anyMember`: only the leader could say more than that it failed. */
  async page(name, path, options = {}) {
    const response = await fetch(`${seats[0].peer}${path}`, options);
    const type = response.headers.get("content-type");
    const cluster = response.headers.get("x-etcd-cluster-id");
    const allow = response.headers.get("allow");
    const body = await response.text();
    this.see(name, `${response.status} ${type} ${cluster} ${allow}\n${body}`);
  }

  id(seat) {
    const id = this.#ids.get(seat.peer);
    if (id === undefined) throw new Error(`${seat.name} is no member`);
    return id;
  }

  async follower() {
    const { stdout } = await run(
      ["endpoint", "status", "-w", "json"],
      seats.slice(0, 3).map((one) => one.client),
    );
    const index = JSON.parse(stdout).findIndex(
      ({ Status }) => Status.leader !== Status.header.member_id,
    );
    return seats[index];
  }

  /** Waits until those that are left have a leader. */
  async settle(seat) {
    for (let i = 0; i < 100; i++) {
      const { status } = await run(["get", "nothing"], [seat.client]);
      if (status === 0) return;
      await sleep(100);
    }
    throw new Error("no leader");
  }

  /** The exit status of one that ends by itself. */
  async statusOf(seat) {
    const server = this.servers.get(seat.name);
    const { status, signal } = await Promise.race([
      server.exited,
      sleep(20_000).then(() => ({ status: "still runs" })),
    ]);
    this.servers.delete(seat.name);
    return status ?? signal;
  }

  async kill(seat) {
    await this.servers.get(seat.name).kill();
    this.servers.delete(seat.name);
  }

  async stop(removes = true) {
    await Promise.all([...this.servers.values()].map((server) => server.terminate()));
    this.servers.clear();
    if (removes) rmSync(this.#folder, { recursive: true, force: true });
  }

  logOf(seat) {
    const lines = confChanges(join(this.#dataDir(seat), "member", "wal")).map((change) => {
      // Those of the founders are equal to the last byte; others carry the time.
      return change.index <= 3
        ? `${change.index} ${change.hex}`
        : `${change.fields} ${change.type} ${change.context}`;
    });
    // Some were refused and so never a member's id.
    return this.#comparable(lines.join("\n")).replaceAll(/"id":(\d{17,20}|ADDED\d)/g, '"id":ID');
  }

  #dataDir(seat) {
    return join(this.#folder, seat.name);
  }

  #running() {
    return seats.filter((seat) => this.servers.has(seat.name));
  }

  async #learnIds(endpoints = this.#running().map((one) => one.client)) {
    const list = ["member", "list", "-w", "json"];
    // By a quorum, so that what was just added is among them; one that has lost its quorum knows it all.
    const asked = await run([...list, "--command-timeout=2s"], endpoints);
    const { status, stdout } =
      asked.status === 0 ? asked : await run([...list, "--consistency=s"], endpoints);
    if (status !== 0) return;
    // Ids have more digits than a number holds.
    const text = stdout.replace(/"(ID|cluster_id|member_id)":(\d+)/g, '"$1":"$2"');
    for (const { ID, peerURLs } of JSON.parse(text).members) {
      for (const url of peerURLs) this.#note(url, BigInt(ID));
    }
  }

  #note(url, id) {
    this.#ids.set(url, id.toString(16));
    if (this.#founders.size < 3) this.#founders.add(id);
    if (this.#founders.has(id) || this.#added.has(id)) return;
    this.#added.set(id, `ADDED${this.#added.size}`);
  }

  /** What depends on the time of an addition is made equal: ids, and the order that they give. */
  #comparable(text) {
    let result = text.replace(/"member_id":\d+|"MemberID" : \d+/g, "ASKED");
    for (const [id, word] of this.#added) {
      const hex = id.toString(16);
      result = result
        .replaceAll(new RegExp(` *\\b${hex}\\b`, "g"), ` ${word}`)
        .replaceAll(String(id), word);
    }
    return result
      .replace(/"raft_term":\d+/g, "TERM")
      .replace(/"RaftTerm" : \d+/g, "TERM")
      .replace(/ETCD_INITIAL_CLUSTER="(.*)"/, (_, list) => list.split(",").sort().join(","))
      .replace(/Leadership transferred from \w+ to \w+/, "Leadership transferred")
      .replace(/given at \[[^\]]+\]/, "given")
      .split("\n")
      .map((line) => line.replace(/[│┌└├┬┼┴─┐┘┤]+/g, "|").replace(/ +/g, " "))
      .sort()
      .join("\n")
      .replace(/"members":\[.*\]/g, (list) => list.slice(11, -2).split("},").sort().join("},"));
  }
}

function run(words, endpoints, [command, ...rest] = etcdctlTool) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...rest, ...words], {
      env: { PATH: process.env.PATH, ETCDCTL_ENDPOINTS: endpoints.join(",") },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 30_000,
    });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) {
      child[name].on("data", (chunk) => {
        output[name] += chunk;
      });
    }
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...output }));
  });
}

await compare("", await runAll("portal", steps), await runAll("etcd", steps));
const loose = ["--strict-reconfig-check=false"];
const ours = await runAll("portal", printing, { flags: loose, tool: portalTool });
await compare("portal: ", ours, await runAll("portal", printing, { flags: loose }));
checks.finish();

/** One check for each step. */
async function compare(prefix, ours, theirs) {
  for (const [name, expected] of theirs) {
    await checks.check(prefix + name, async () => {
      const seen = ours.get(name);
      if (seen === expected) return;
      throw new Error(`the outputs differ\n--- Portal\n${seen}\n--- etcd\n${expected}`);
    });
  }
  await checks.check(`${prefix}all steps`, async () => {
    if (ours.size !== theirs.size) throw new Error(`${ours.size} of ${theirs.size} steps`);
    if (theirs.has("it went wrong")) throw new Error(theirs.get("it went wrong"));
  });
}
