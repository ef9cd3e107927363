// A real etcd on free loopback ports, with its data in a folder that goes away with it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const folder =
  process.env.PORTAL_INTEROP_BIN ?? fileURLToPath(new URL("../.cache/bin", import.meta.url));

export function binary(name) {
  const path = join(folder, name);
  if (existsSync(path)) return path;
  throw new Error(`${path} is missing: PORTAL_INTEROP_BIN names the folder of the built programs`);
}

export async function startEtcd() {
  const data = await mkdtemp(join(tmpdir(), "portal-interop-"));
  const [client, peer] = [await freePort(), await freePort()];
  const urls = { client: `http://127.0.0.1:${client}`, peer: `http://127.0.0.1:${peer}` };
  let child = await launch(data, urls);
  return {
    endpoint: `127.0.0.1:${client}`,
    binary,
    async killAndRestart() {
      await kill(child);
      child = await launch(data, urls);
    },
    async stop() {
      await kill(child);
      await rm(data, { recursive: true, force: true });
    },
  };
}

async function launch(data, urls) {
  const child = spawn(
    binary("etcd"),
    [
      ["--data-dir", data],
      ["--listen-client-urls", urls.client],
      ["--advertise-client-urls", urls.client],
      ["--listen-peer-urls", urls.peer],
      ["--initial-advertise-peer-urls", urls.peer],
      ["--initial-cluster", `default=${urls.peer}`],
      ["--log-level", "error"],
    ].flat(),
    { stdio: "ignore" },
  );
  for (let attempt = 0; attempt < 100; attempt++) {
    const healthy = await fetch(`${urls.client}/health`).then(
      (reply) => reply.ok,
      () => false,
    );
    if (healthy) return child;
    await sleep(100);
  }
  child.kill("SIGKILL");
  throw new Error("etcd did not become healthy within 10 s");
}

async function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
