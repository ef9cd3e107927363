// The rows that need many keys: fill one member, weigh it, scan and count it, kill it and start it again.
import { spawn } from "node:child_process";
import { connect } from "../test/support/etcd-client.mjs";
import { etcdBenchmark } from "./etcd-benchmark.mjs";
import { cpuSeconds, memoryMegabytes } from "./process-stats.mjs";

const everything = { key: Buffer.of(0), rangeEnd: Buffer.of(0) };
const countSamples = 15;

/**
 * Measures all filled-member rows on a fresh member. `start(options)` starts it; a second start with the same
 * folder and ports is the restart. Resolves to row id -> value (memory rows: { total, anonymous, file }).
 */
export async function measureFilledMember({ start, tools, keys, progress }) {
  const server = await start({});
  const values = { start: server.readyAfterMs };
  try {
    progress(`filling ${keys} keys`);
    const cpuBefore = cpuSeconds(server.pid);
    const fill = await etcdBenchmark({
      binary: tools.benchmark,
      endpoint: server.endpoint,
      connections: 100,
      clients: 500,
      args: [
        "put",
        `--total=${keys}`,
        "--sequential-keys",
        `--key-space-size=${keys}`,
        "--val-size=256",
      ],
      timeoutMs: 600_000,
    });
    values.fill = fill.rate;
    values["fill-cpu"] = cpuSeconds(server.pid) - cpuBefore;
    values.memory = memoryMegabytes(server.pid);

    progress("scanning");
    const scan = await etcdctl(tools.etcdctl, server.endpoint, ["get", "", "--from-key"]);
    if (scan.bytes < keys * 256) throw new Error(`the scan printed only ${scan.bytes} bytes`);
    values.scan = scan.elapsedMs / 1000;
    values["memory-scanned"] = memoryMegabytes(server.pid);

    progress("counting");
    values.count = await timeCount(server.endpoint, keys);
    const count = await etcdctl(tools.etcdctl, server.endpoint, [
      "get",
      "",
      "--from-key",
      "--count-only",
      "--write-out=fields",
    ]);
    values["count-etcdctl"] = count.elapsedMs;

    progress("kill -9 and restart");
    await server.kill();
    const { dataDir, port, peerPort } = server;
    const startedAt = performance.now();
    const again = await start({ dataDir, port, peerPort, readyTimeoutMs: 120_000 });
    await timeCount(again.endpoint, keys, 1);
    values.restart = (performance.now() - startedAt) / 1000;
    await again.terminate();
    return values;
  } finally {
    await server.stop();
  }
}

/** Median milliseconds of a linearizable count of all keys; checks the answer. */
async function timeCount(endpoint, keys, samples = countSamples) {
  const client = connect(endpoint);
  try {
    const times = [];
    for (let index = 0; index < samples; index += 1) {
      const startedAt = performance.now();
      const { count } = await client.call(
        "range",
        { ...everything, countOnly: true },
        { timeoutMs: 60_000 },
      );
      times.push(performance.now() - startedAt);
      if (Number(count) !== keys)
        throw new Error(`the member counts ${count} keys instead of ${keys}`);
    }
    return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  } finally {
    client.close();
  }
}

/** Runs etcdctl and throws its output away; resolves to how long it took and how many bytes it printed. */
function etcdctl(binary, endpoint, args) {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const child = spawn(binary, [`--endpoints=${endpoint}`, "--command-timeout=120s", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let bytes = 0;
    let errors = "";
    child.stdout.on("data", (chunk) => {
      bytes += chunk.length;
    });
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve({ bytes, elapsedMs: performance.now() - startedAt });
      else reject(new Error(`etcdctl ${args.join(" ")} failed: ${errors}`));
    });
  });
}
