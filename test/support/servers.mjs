// Starts and stops real server processes: Portal from dist/, or the real etcd, with the same flags, on
// free ports of 127.0.0.1 and in temporary folders. What is started here is ended here.
import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** What people start Portal with. It becomes the server: no process stands between. */
export const portalScript = join(root, "bin/portal");
export const mainScript = join(root, "dist/src/main.js");
const readyPollMs = 5;
const outputKeptBytes = 64 * 1024;
/** Keeps all that servers print in files of this folder, to find out what happened. */
const logFolder = process.env.PORTAL_TEST_LOGS;

/** Processes that would outlive a test run that is cut short. */
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts Portal and resolves when it answers `/health`. See ServerOptions in servers.d.mts. */
export function startPortal(options = {}) {
  const command = [
    options.node ?? process.execPath,
    ...(options.nodeFlags ?? []),
    mainScript,
    "server",
  ];
  return startServer("portal", options.command ?? command, options);
}

/** Starts the real etcd whose binary is `options.binary`. */
export function startEtcd(options) {
  return startServer("etcd", [options.binary], options);
}

async function startServer(name, command, options) {
  const folder = options.dataDir ? undefined : mkdtempSync(join(tmpdir(), `${name}-`));
  const dataDir = options.dataDir ?? join(folder, "data");
  const [port, peerPort] = await resolvePorts(options);
  const endpoint = `127.0.0.1:${port}`;
  const clientUrl = `http://${endpoint}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const args = [
    ...command.slice(1),
    "--name=default",
    `--data-dir=${dataDir}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    "--log-level=error",
    ...(options.args ?? []),
  ];
  const startedAt = performance.now();
  const server = spawnServer({
    name,
    command: [command[0], ...args],
    env: options.env,
    ...{ port, peerPort, endpoint, dataDir, folder },
  });
  await server.waitUntilReady(startedAt, options.readyTimeoutMs ?? 20_000);
  return server;
}

/** Starts a process with these words and does not wait for it; see Server for what can be done with it. */
export function spawnServer({ command, env, ...facts }) {
  const child = spawn(command[0], command.slice(1), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  return new Server({ child, ...facts });
}

async function resolvePorts(options) {
  if (options.port !== undefined) return [options.port, options.peerPort];
  return freePorts(2);
}

class Server {
  /** Milliseconds from spawn to the first good answer of /health. */
  readyAfterMs = 0;
  #child;
  #folder;
  #output = "";
  #exited;

  constructor({ name, child, port, peerPort, endpoint, dataDir, folder }) {
    this.name = name;
    this.port = port;
    this.peerPort = peerPort;
    this.endpoint = endpoint;
    this.dataDir = dataDir;
    this.#child = child;
    this.#folder = folder;
    running.add(child);
    const keep = (chunk) => {
      if (logFolder) appendFileSync(join(logFolder, `${name}-${child.pid}.log`), chunk);
      this.#output = (this.#output + chunk).slice(-outputKeptBytes);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    this.#exited = new Promise((resolve) => {
      child.on("error", (error) => {
        keep(String(error));
        resolve({ status: 127, signal: null });
      });
      child.on("close", (status, signal) => {
        running.delete(child);
        resolve({ status, signal });
      });
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** The end of what the process has printed. */
  get output() {
    return this.#output;
  }

  /** Resolves to { status, signal } once the process is gone. */
  get exited() {
    return this.#exited;
  }

  async waitUntilReady(startedAt, timeoutMs) {
    let gone;
    this.#exited.then((result) => {
      gone = result;
    });
    while (!(await isHealthy(this.port))) {
      if (gone) {
        this.#removeFolder();
        throw new ServerStartError(this.name, gone, this.#output);
      }
      if (performance.now() - startedAt > timeoutMs) {
        await this.kill();
        this.#removeFolder();
        throw new Error(`${this.name} was not ready after ${timeoutMs} ms:\n${this.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, readyPollMs));
    }
    this.readyAfterMs = performance.now() - startedAt;
  }

  /** Sends a signal and waits for nothing, e.g. SIGSTOP and SIGCONT. */
  signal(name) {
    this.#child.kill(name);
  }

  /** SIGKILL; the data stays for another start. */
  async kill() {
    this.#child.kill("SIGKILL");
    return this.#exited;
  }

  /** SIGTERM, and SIGKILL when that takes too long; the data stays. */
  async terminate(patienceMs = 10_000) {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), patienceMs);
    const result = await this.#exited;
    clearTimeout(timer);
    return result;
  }

  /** Ends the process and removes its temporary folder. */
  async stop() {
    await this.terminate();
    this.#removeFolder();
  }

  #removeFolder() {
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The process ended before it was ready. */
export class ServerStartError extends Error {
  name = "ServerStartError";

  constructor(server, { status, signal }, output) {
    super(`${server} ended before it was ready (${signal ?? `status ${status}`}):\n${output}`);
    this.status = status;
    this.signal = signal;
    this.output = output;
  }
}

/** One GET /health; false when nothing answers yet. */
export function isHealthy(port) {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path: "/health", agent: false, timeout: 2_000 });
    request.on("response", (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode === 200));
      response.on("error", () => resolve(false));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

/** Ports of 127.0.0.1 that were free a moment ago. */
export async function freePorts(count) {
  const servers = [];
  for (let index = 0; index < count; index += 1) {
    const server = createServer();
    await new Promise((resolve, reject) => {
      server.on("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
