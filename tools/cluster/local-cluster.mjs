// The members of a cluster on this machine, one process each: starts them, ends them, and knows how each fares.
// Ports and the number of members are kept with the data, since a cluster knows its members by their addresses.
import { spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../support.mjs";

const portal = join(root, "bin/portal");
const portStep = 2;
const statusTimeoutMs = 400;
const stopPatienceMs = 10_000;

export class LocalCluster {
  members;
  #events = [];
  /** Hears of each event line. */
  onEvent = () => {};

  constructor({ folder, size, port, Client, serverArguments = [] }) {
    const layout = readLayout(folder, { size, port });
    const facts = Array.from({ length: layout.size }, (_, index) => {
      const name = `m${index + 1}`;
      const clientPort = layout.port + portStep * index;
      return { name, clientPort, peerPort: clientPort + 1, dataDir: join(folder, name) };
    });
    const initialCluster = facts
      .map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`)
      .join(",");
    this.members = facts.map(
      (fact) =>
        new LocalMember({ ...fact, initialCluster, folder, Client, serverArguments }, (text) =>
          this.#tell(text),
        ),
    );
  }

  get endpoints() {
    return this.members.map(({ endpoint }) => endpoint);
  }

  /** The newest few, oldest first. */
  get events() {
    return this.#events;
  }

  get leader() {
    return this.members.find(({ role }) => role === "leader");
  }

  /** Rejects when a port is taken. */
  async start() {
    for (const { clientPort, peerPort } of this.members) {
      for (const port of [clientPort, peerPort]) {
        if (await isFree(port)) continue;
        throw new Error(
          `port ${port} of 127.0.0.1 is in use. Is a cluster or a member running already? ` +
            "Another place: npm run cluster -- --port 12379 --data-dir ./other-cluster",
        );
      }
    }
    for (const member of this.members) member.start();
  }

  /** Asks every member how it fares. Tells of a new leader. */
  async refresh() {
    const before = this.leader?.name;
    await Promise.all(this.members.map((member) => member.refresh()));
    const { leader } = this;
    if (leader && leader.name !== before) {
      this.#tell(`${leader.name} leads in term ${leader.status.raftTerm}`);
    }
    if (!leader && before) this.#tell("nobody leads");
  }

  async moveLeader(member) {
    const { leader } = this;
    if (!leader || !member.id) return;
    await leader.client.maintenance.moveLeader(member.id).catch((error) => {
      this.#tell(`${member.name} can not lead now: ${error.message}`);
    });
  }

  async stop() {
    await Promise.all(this.members.map((member) => member.stop()));
  }

  #tell(text) {
    const line = `${new Date().toTimeString().slice(0, 8)}  ${text}`;
    this.#events = [...this.#events, line].slice(-6);
    this.onEvent(line);
  }
}

class LocalMember {
  /** starting, leader, follower, learner, no leader, paused, stopped */
  role = "stopped";
  /** The last Status that it gave, while it runs. */
  status;
  /** Log entries a second. */
  rate = 0;
  client;
  #facts;
  #tell;
  #child;
  #isPaused = false;
  #measuredMs = 0;

  constructor(facts, tell) {
    this.#facts = facts;
    this.#tell = tell;
    this.name = facts.name;
    this.clientPort = facts.clientPort;
    this.peerPort = facts.peerPort;
    this.endpoint = `127.0.0.1:${facts.clientPort}`;
    const { Client } = facts;
    this.client = new Client({ endpoints: [this.endpoint], retry: { attempts: 1 } });
  }

  get id() {
    return this.status?.header.memberId;
  }

  get isRunning() {
    return this.#child !== undefined;
  }

  get isPaused() {
    return this.#isPaused;
  }

  start() {
    if (this.#child) return;
    const { name, clientPort, peerPort, dataDir, initialCluster, folder } = this.#facts;
    const clientUrl = `http://127.0.0.1:${clientPort}`;
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const child = spawn(
      portal,
      [
        "server",
        `--name=${name}`,
        `--data-dir=${dataDir}`,
        `--listen-client-urls=${clientUrl}`,
        `--advertise-client-urls=${clientUrl}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=${initialCluster}`,
        ...this.#facts.serverArguments,
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const log = createWriteStream(join(folder, `${name}.log`), { flags: "a" });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#child = child;
    this.role = "starting";
    this.#tell(`${name} starts`);
    child.on("error", (error) => this.#onExit(child, error.message));
    child.on("exit", (status, signal) => {
      log.end();
      this.#onExit(child, signal ?? `status ${status}`);
    });
  }

  #onExit(child, why) {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#isPaused = false;
    this.role = "stopped";
    this.status = undefined;
    this.rate = 0;
    this.#tell(`${this.name} has ended (${why})`);
  }

  /** kill -9. */
  kill() {
    this.#child?.kill("SIGKILL");
  }

  /** SIGTERM: in order. */
  terminate() {
    this.#child?.kill("SIGTERM");
  }

  /** Stands still, or goes on. */
  togglePause() {
    if (!this.#child) return;
    this.#isPaused = !this.#isPaused;
    this.#child.kill(this.#isPaused ? "SIGSTOP" : "SIGCONT");
    this.#tell(`${this.name} ${this.#isPaused ? "stands still" : "goes on"}`);
  }

  async refresh() {
    if (!this.#child) return;
    try {
      const status = await this.client.maintenance.status({ timeoutMs: statusTimeoutMs });
      if (!this.#child) return;
      this.#measure(status);
      this.status = status;
      if (status.isLearner) this.role = "learner";
      else if (status.leader === 0n) this.role = "no leader";
      else this.role = status.leader === status.header.memberId ? "leader" : "follower";
    } catch {
      if (!this.#child) return;
      this.rate = 0;
      if (this.#isPaused) this.role = "paused";
      else if (this.role !== "starting") this.role = "silent";
    }
  }

  #measure(status) {
    const nowMs = performance.now();
    const seconds = (nowMs - this.#measuredMs) / 1000;
    this.rate = this.status ? Math.max(0, status.raftIndex - this.status.raftIndex) / seconds : 0;
    this.#measuredMs = nowMs;
  }

  /** SIGTERM, and SIGKILL when that takes too long. */
  async stop() {
    const child = this.#child;
    void this.client.close().catch(() => {});
    if (!child) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    if (this.#isPaused) child.kill("SIGCONT");
    child.kill("SIGTERM");
    await Promise.race([ended, sleep(stopPatienceMs, undefined, { ref: false })]);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await ended;
  }

  /** Synchronously, when there is no time for more. */
  abandon() {
    this.#child?.kill("SIGKILL");
  }
}

/** As an earlier run made it; throws when something else is asked for. */
function readLayout(folder, asked) {
  const file = join(folder, "cluster.json");
  if (!existsSync(file)) {
    const layout = { size: asked.size ?? 3, port: asked.port ?? 2379 };
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, `${JSON.stringify(layout)}\n`);
    return layout;
  }
  const kept = JSON.parse(readFileSync(file, "utf8"));
  if ((asked.size ?? kept.size) !== kept.size || (asked.port ?? kept.port) !== kept.port) {
    throw new Error(
      `${folder} holds a cluster of ${kept.size} members from port ${kept.port} on, which stay as they are. ` +
        "For another one: --data-dir ./other-cluster",
    );
  }
  return kept;
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
