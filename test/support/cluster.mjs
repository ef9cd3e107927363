// A cluster of real processes under test: Portal, the real etcd, or both, on free ports of 127.0.0.1, in a
// temporary folder, with a PeerNetwork between the members that can be cut, held up and slowed. Ends only what it
// started.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "./etcd-client.mjs";
import { PeerNetwork } from "./peer-network.mjs";
import { isHealthy, portalScript, ServerStartError, spawnServer } from "./servers.mjs";

const pollMs = 20;
const readyTimeoutMs = 30_000;
/** Below the ports that the system gives to outgoing connections, so that a restart finds its own free. */
const firstPort = 21_000;
const portsTotal = 11_000;

/** Starts a cluster and resolves when every member is healthy. See ClusterOptions in cluster.d.mts. */
export async function startCluster(options) {
  const cluster = new Cluster(options);
  try {
    for (const kind of options.kinds) await cluster.define(kind);
    await Promise.all(cluster.members.map((member) => member.start()));
    await cluster.identifyMembers();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

export class Cluster {
  members = [];
  network = new PeerNetwork();
  #options;
  #folder = mkdtempSync(join(tmpdir(), "portal-cluster-"));
  #token = `token-${process.pid}`;
  #defined = 0;

  constructor(options) {
    this.#options = { hasProxies: true, args: [], ...options };
  }

  /** Gives a member its ports, folder and proxy, without starting it. */
  async define(kind) {
    const [port, peerPort, proxyPort, failpointPort] = await reservePorts(4);
    this.#defined += 1;
    const name = `m${this.#defined}`;
    const { hasProxies } = this.#options;
    if (hasProxies) await this.network.addProxy(name, proxyPort, peerPort);
    const member = new Member({
      ...{ name, kind, port, peerPort, failpointPort },
      peerUrl: `http://127.0.0.1:${hasProxies ? proxyPort : peerPort}`,
      dataDir: join(this.#folder, name),
      options: this.#options,
      token: this.#token,
      initialCluster: () => this.initialCluster,
    });
    this.members.push(member);
    return member;
  }

  get initialCluster() {
    return this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
  }

  get names() {
    return this.members.map(({ name }) => name);
  }

  get endpoints() {
    return this.members.map(({ endpoint }) => endpoint);
  }

  get running() {
    return this.members.filter((member) => member.isRunning);
  }

  /** Resolves to the member that the others follow, once a majority agrees about it. */
  async leader(timeoutMs = 15_000) {
    const deadline = performance.now() + timeoutMs;
    let last = [];
    while (performance.now() < deadline) {
      last = await Promise.all(this.running.map((member) => member.tryStatus()));
      const known = last.filter((status) => status !== undefined);
      const highest = Math.max(...known.map((status) => Number(status.raftTerm)));
      const votes = new Map();
      for (const { leader, raftTerm } of known) {
        if (leader === 0n || Number(raftTerm) !== highest) continue;
        votes.set(leader, (votes.get(leader) ?? 0) + 1);
      }
      for (const [id, count] of votes) {
        const found = this.members.find((member) => member.id === id && member.isRunning);
        if (found && count > this.members.length / 2) return found;
      }
      await sleep(pollMs);
    }
    throw new Error(`no leader after ${timeoutMs} ms: ${this.members.map(describeMember)}`);
  }

  async follower() {
    const leader = await this.leader();
    return this.running.find((member) => member !== leader);
  }

  /** Resolves when every running member serves linearizable reads. */
  async waitUntilHealthy(timeoutMs = 30_000) {
    await Promise.all(this.running.map((member) => member.waitUntilHealthy(timeoutMs)));
  }

  /** Resolves to each member's hash at one revision, once all have come that far. */
  async hashes() {
    const revision = Math.max(
      ...(await Promise.all(
        this.members.map(async ({ client }) => {
          const { header } = await client.call("range", { key: Buffer.from("x") });
          return header.revision;
        }),
      )),
    );
    return Promise.all(
      this.members.map(async ({ client }) => {
        await client.call("range", { key: Buffer.from("x") });
        const { hash, compactRevision } = await client.call("hashKV", { revision });
        return { hash, compactRevision, revision };
      }),
    );
  }

  /** Learns the members' ids, which rules of the network and `leader` need. */
  async identifyMembers() {
    await Promise.all(
      this.members.map(async (member) => {
        if (!member.isRunning) return;
        await member.identify();
        this.network.identify(member.id, member.name);
      }),
    );
  }

  /** Removes a member from the cluster, throws its data away, and has it join again on the same addresses. */
  async replace(member) {
    const helper = this.running.find((other) => other !== member);
    await retry(() => helper.client.call("memberRemove", { ID: member.id }));
    await member.kill();
    rmSync(member.dataDir, { recursive: true, force: true });
    const added = await retry(() =>
      helper.client.call("memberAdd", { peerURLs: [member.peerUrl], isLearner: false }),
    );
    this.network.identify(added.member.ID, member.name);
    await member.start({ state: "existing" });
    await this.identifyMembers();
  }

  /** Adds one member more, as a learner or with a vote, and starts it. */
  async grow(kind, { isLearner = false, wait = true, args } = {}) {
    const [helper] = this.running;
    const member = await this.define(kind);
    const peerURLs = [member.peerUrl];
    const added = await retry(() => helper.client.call("memberAdd", { peerURLs, isLearner }));
    this.network.identify(added.member.ID, member.name);
    await member.start({ state: "existing", args, isLearner, wait });
    member.id = added.member.ID;
    return member;
  }

  /** Takes a member out of the cluster and ends it. */
  async shrink(member) {
    const helper = this.running.find((other) => other !== member);
    await retry(() => helper.client.call("memberRemove", { ID: member.id }));
    this.members = this.members.filter((other) => other !== member);
    await member.kill();
    member.close();
  }

  /** Ends the processes and the proxies and removes the data. */
  async stop() {
    for (const member of this.members) member.close();
    await Promise.all(this.members.map((member) => member.kill()));
    await this.network.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class Member {
  id = 0n;
  #facts;
  #server;
  #client;
  #isPaused = false;

  constructor(facts) {
    this.#facts = facts;
    this.name = facts.name;
    this.kind = facts.kind;
    this.port = facts.port;
    this.peerUrl = facts.peerUrl;
    this.dataDir = facts.dataDir;
    this.endpoint = `127.0.0.1:${facts.port}`;
  }

  get isRunning() {
    return this.#server !== undefined;
  }

  get isPaused() {
    return this.#isPaused;
  }

  get pid() {
    return this.#server?.pid;
  }

  /** The end of what it printed, without the many lines that tell of our asking whether it is ready. */
  get output() {
    const lines = (this.#server?.output ?? "").split("\n");
    return lines.filter((line) => !line.includes("/health error")).join("\n");
  }

  /** A client of this member alone. */
  get client() {
    this.#client ??= connect(this.endpoint);
    return this.#client;
  }

  /** Starts the process; resolves when it is healthy, unless `wait` is false. */
  async start({ state = "new", args = [], wait = true, isLearner = false } = {}) {
    const { name, port, peerPort, peerUrl, dataDir, kind, options } = this.#facts;
    const clientUrl = `http://127.0.0.1:${port}`;
    const words = [
      ...commandOf(kind, options),
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${this.#facts.initialCluster()}`,
      `--initial-cluster-state=${state}`,
      `--initial-cluster-token=${this.#facts.token}`,
      `--log-level=${process.env.PORTAL_TEST_LOGS ? "info" : "warn"}`,
      ...options.args,
      ...args,
    ];
    const failpoints = this.hasFailpoints
      ? { GOFAIL_HTTP: `127.0.0.1:${this.#facts.failpointPort}` }
      : {};
    const env = { ...failpoints, ...options.env };
    const server = spawnServer({ name, command: words, env, port, dataDir });
    this.#server = server;
    server.exited.then((result) => {
      if (this.#server !== server) return;
      this.#server = undefined;
      this.lastExit = { ...result, output: server.output };
    });
    // A learner refuses linearizable reads, so /health says no; it serves as soon as it answers.
    if (!wait) return;
    if (isLearner) await this.#waitFor(async () => (await this.tryStatus()) !== undefined);
    else await this.waitUntilHealthy();
  }

  waitUntilHealthy(timeoutMs) {
    return this.#waitFor(() => isHealthy(this.port), timeoutMs);
  }

  async #waitFor(isDone, timeoutMs = readyTimeoutMs) {
    const deadline = performance.now() + timeoutMs;
    while (!(await isDone())) {
      if (!this.isRunning) {
        const exit = this.lastExit ?? { status: null, signal: null, output: "" };
        throw new ServerStartError(this.name, exit, exit.output);
      }
      if (performance.now() > deadline) {
        throw new Error(`${this.name} was not ready after ${timeoutMs} ms:\n${this.output}`);
      }
      await sleep(pollMs);
    }
  }

  async identify() {
    const { header } = await retry(() => this.client.call("status", {}, { timeoutMs: 2_000 }));
    this.id = header.memberId;
  }

  /** The member's Status, or undefined when it does not answer within half a second. */
  tryStatus() {
    return this.client.call("status", {}, { timeoutMs: 500 }).catch(() => undefined);
  }

  /** Portal can be stopped, delayed and ended at named points; the real etcd has none. */
  get hasFailpoints() {
    return this.kind === "portal";
  }

  /** Switches a failpoint to a term, e.g. `sleep("30ms")`, `panic`, `off`. */
  async setFailpoint(name, term) {
    const url = `http://127.0.0.1:${this.#facts.failpointPort}/${name}`;
    const response = await fetch(url, { method: "PUT", body: term });
    if (response.status !== 204) throw new Error(`${name}: ${await response.text()}`);
  }

  pause() {
    this.#isPaused = true;
    this.#server?.signal("SIGSTOP");
  }

  resume() {
    this.#isPaused = false;
    this.#server?.signal("SIGCONT");
  }

  /** kill -9; the data stays. */
  async kill() {
    const server = this.#server;
    this.#server = undefined;
    this.#isPaused = false;
    await server?.kill();
  }

  /** SIGTERM, and waits; the data stays. */
  async terminate() {
    const server = this.#server;
    this.#server = undefined;
    return server?.terminate();
  }

  close() {
    this.#client?.close();
    this.#client = undefined;
  }
}

function commandOf(kind, options) {
  if (kind === "etcd") return [options.etcdBinary];
  return options.portalCommand ?? [portalScript, "server"];
}

function describeMember(member) {
  return `${member.name} ${member.isRunning ? "runs" : "is down"} ${member.output.slice(-400)}`;
}

/** Tries again while the cluster says no: reconfiguration waits for members to have been connected a while. */
export async function retry(action, timeoutMs = 30_000) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(200);
    }
  }
}

/** Ports of 127.0.0.1 that nobody listens on now. */
async function reservePorts(count) {
  const ports = [];
  while (ports.length < count) {
    const port = firstPort + Math.floor(Math.random() * portsTotal);
    if (!ports.includes(port) && (await isFree(port))) ports.push(port);
  }
  return ports;
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
