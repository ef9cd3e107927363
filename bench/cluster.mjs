// Measures a cluster of three members on this machine: rates through the leader and a follower, how long nobody
// can write when the leader is killed or stopped, how soon an empty member has caught up, and what a snapshot and
// a compaction cost ordinary writes. The rows are in cluster-rows.mjs.
import { setTimeout as sleep } from "node:timers/promises";
import { startCluster } from "../test/support/cluster.mjs";
import { etcdBenchmark } from "./etcd-benchmark.mjs";
import { capture } from "./h2load.mjs";
import { LongestGap, PacedWrites } from "./probes.mjs";
import { median } from "./report.mjs";
import { percentile } from "./rows.mjs";

const size = 3;
const calmMs = 400;
const gapWatchedMs = 4_000;
const settleMs = 500;

const failoverIds = ["failover-kill", "failover-stop"];
const filledIds = ["write-p99", "write-p99-snapshot", "write-p99-compaction", "catch-up"];

/** `kind` is etcd or portal. Calls `found(rowId, value)` for each row measured. */
export async function measureCluster({
  kind,
  tools,
  rates,
  values,
  seconds,
  samples,
  keys,
  say,
  found,
}) {
  const wanted = (ids) => values.some(({ id }) => ids.some((name) => id.startsWith(name)));
  const start = () =>
    startCluster({
      kinds: Array.from({ length: size }, () => kind),
      etcdBinary: tools.etcd,
      hasProxies: false,
      // A member that catches up warns thousands of times a second; nobody should wait for us to read it.
      args: ["--log-level=error"],
    });
  if (rates.length > 0) {
    await using(start, (cluster) => measureRates(cluster, { rates, seconds, tools, found }));
  }
  if (wanted(failoverIds)) {
    await using(start, async (cluster) => {
      for (const [id, end] of [
        ["failover-kill", (leader) => leader.kill()],
        ["failover-stop", (leader) => leader.terminate()],
      ]) {
        say(`${id}, ${samples} times ...`);
        const gaps = await measureFailover(cluster, end, samples);
        found(id, median(gaps));
        found(`${id}-worst`, Math.max(...gaps));
      }
    });
  }
  if (wanted(filledIds)) {
    await using(start, (cluster) => measureFilled(cluster, { kind, tools, keys, say, found }));
  }
}

async function using(start, body) {
  const cluster = await start();
  try {
    await body(cluster);
  } finally {
    await cluster.stop();
  }
}

async function measureRates(cluster, { rates, seconds, tools, found }) {
  for (const row of rates) {
    const leader = await cluster.leader();
    const other = cluster.members.find((member) => member !== leader);
    const { endpoint } = row.at === "follower" ? other : leader;
    const server = { endpoint, pids: cluster.members.map(({ pid }) => pid) };
    found(row.id, await row.measure({ server, seconds, benchmark: tools.benchmark }));
  }
}

/** Ends the leader `samples` times under writes; resolves to how long nothing was acknowledged each time. */
async function measureFailover(cluster, end, samples) {
  const gaps = [];
  for (let sample = 0; sample < samples; sample += 1) {
    await cluster.waitUntilHealthy();
    const leader = await cluster.leader();
    // A member that just came back may not be what others expect to vote for yet.
    await sleep(calmMs);
    const probe = new LongestGap(cluster.members.filter((member) => member !== leader));
    await sleep(calmMs);
    probe.mark();
    const ended = end(leader);
    await sleep(gapWatchedMs);
    gaps.push(await probe.stop());
    await ended;
    await leader.start();
  }
  return gaps;
}

async function measureFilled(cluster, { kind, tools, keys, say, found }) {
  const leader = await cluster.leader();
  say(`filling ${keys.toLocaleString("en-US")} keys ...`);
  const fill = (total) =>
    etcdBenchmark({
      binary: tools.benchmark,
      endpoint: leader.endpoint,
      connections: 100,
      clients: 500,
      args: [
        "put",
        `--total=${total}`,
        "--sequential-keys",
        `--key-space-size=${keys}`,
        "--val-size=256",
      ],
      timeoutMs: 900_000,
    });
  await fill(keys);
  say("an empty member joins ...");
  found("catch-up", await measureCatchUp(cluster, kind));
  say("writes at rest ...");
  found("write-p99", await p99During(leader, () => sleep(5_000)));
  say("writes during a snapshot ...");
  const file = `${leader.dataDir}.snapshot`;
  const save = ["--command-timeout=300s", "snapshot", "save", file];
  found(
    "write-p99-snapshot",
    await p99During(leader, () =>
      capture(tools.etcdctl, [`--endpoints=${leader.endpoint}`, ...save]),
    ),
  );
  say("writes during a compaction ...");
  // A third of the keys get a second revision: what the compaction then takes out.
  await fill(Math.round(keys / 3));
  const { header } = await leader.client.call("range", { key: Buffer.from("x") });
  const revision = Number(header.revision);
  found(
    "write-p99-compaction",
    await p99During(leader, () =>
      leader.client.call("compact", { revision, physical: true }, { timeoutMs: 300_000 }),
    ),
  );
}

/** Seconds from the start of an empty member's process until it has applied all that the leader then had. */
async function measureCatchUp(cluster, kind) {
  const leader = await cluster.leader();
  const { raftAppliedIndex: goal } = await leader.client.call("status");
  const startedMs = performance.now();
  const member = await cluster.grow(kind, { isLearner: true, wait: false });
  for (;;) {
    const status = await member.tryStatus();
    if (status && Number(status.raftAppliedIndex) >= Number(goal)) break;
    if (performance.now() - startedMs > 600_000) throw new Error("the new member did not catch up");
    await sleep(20);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await cluster.shrink(member);
  return seconds;
}

/** Milliseconds: of 500 writes a second at the leader from a moment before `action` begins until it is done. */
async function p99During(leader, action) {
  const writes = new PacedWrites(leader, 500);
  await sleep(settleMs);
  writes.forget();
  await action();
  const timesMs = await writes.stop();
  return percentile(timesMs, 99);
}
