// `npm run bench`: Portal beside etcd 3.7.3 on this machine: the same flags, the same load generators, fsync
// on, one after the other, three rounds, medians. Writes bench/RESULTS.md.
//
// Then three members of each: rates, failover, catching up.
//
//   npm run bench [-- --quick] [--only ROW,ROW] [--server etcd|portal] [--rounds N] [--out FILE]
//
// --quick: one round, two seconds a row, 100,000 keys; written to bench/.cache/quick.md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { binary } from "../test/interop/binaries.mjs";
import { startEtcd, startPortal } from "../test/support/servers.mjs";
import { ensureBuilt } from "../tools/build.mjs";
import { formatDuration, root } from "../tools/support.mjs";
import { clusterRateRows, clusterValueRows } from "./cluster-rows.mjs";
import { requireH2load } from "./h2load.mjs";
import { describeMachine } from "./machine.mjs";
import { formatNumber, rateTable, valueTable } from "./report.mjs";
import { rateRows, valueRows } from "./rows.mjs";

const say = (text) => console.log(`bench: ${text}`);
const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    server: { type: "string" },
    rounds: { type: "string" },
    out: { type: "string" },
  },
});

const allRows = [...rateRows, ...valueRows, ...clusterRateRows, ...clusterValueRows];
const allIds = allRows.map((row) => row.id);
const only = options.only?.split(",");
const unknown = only?.filter((id) => !allIds.includes(id)) ?? [];
if (unknown.length > 0) {
  console.error(`bench: no such row: ${unknown.join(", ")}. Rows: ${allIds.join(", ")}`);
  process.exit(1);
}
const servers = options.server ? [options.server] : ["etcd", "portal"];
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const seconds = options.quick ? 2 : 5;
const keys = options.quick ? 100_000 : 1_000_000;
const wantedRates = rateRows.filter((row) => !only || only.includes(row.id));
const wantedValues = valueRows.filter((row) => !only || only.includes(row.id));
const wantedClusterRates = clusterRateRows.filter((row) => !only || only.includes(row.id));
const wantedClusterValues = clusterValueRows.filter((row) => !only || only.includes(row.id));

if (servers.includes("portal")) ensureBuilt();
requireH2load();
// Loaded after the build, since the client that it uses is part of it.
const { measureFilledMember } = await import("./filled-member.mjs");
const { measureCluster } = await import("./cluster.mjs");
const tools = { benchmark: binary("benchmark"), etcdctl: binary("etcdctl"), etcd: binary("etcd") };
const started = performance.now();
const measurements = [];

for (let round = 1; round <= rounds; round += 1) {
  for (const server of servers) {
    say(
      `round ${round} of ${rounds}: ${server} (${formatDuration(performance.now() - started)} so far)`,
    );
    if (wantedRates.length > 0) await measureRates(server);
    if (wantedValues.length > 0) await measureValues(server);
  }
}
await measureClusters();
writeReport();

function start(server, settings) {
  return server === "etcd" ? startEtcd({ binary: tools.etcd, ...settings }) : startPortal(settings);
}

async function measureRates(name) {
  const server = await start(name, {});
  try {
    for (const row of wantedRates) {
      const value = await row.measure({ server, seconds, benchmark: tools.benchmark });
      measurements.push({ row: row.id, server: name, value });
      say(
        `  ${row.title}: ${formatNumber(value.rate)}/s, p50 ${formatNumber(value.p50Ms)} ms, ` +
          `p99 ${formatNumber(value.p99Ms)} ms, ${formatNumber(value.cpuMicros)} µs of CPU each`,
      );
    }
  } finally {
    await server.stop();
  }
}

async function measureValues(name) {
  const isStartOnly = wantedValues.every((row) => row.id === "start");
  const values = isStartOnly ? await measureStart(name) : await measureFilled(name);
  for (const row of wantedValues) {
    const value = values[row.id];
    measurements.push({ row: row.id, server: name, value });
    say(`  ${row.title}: ${formatNumber(row.split ? value.total : value)} ${row.unit}`);
  }
}

/** Failovers are counted within; the rest of a cluster takes minutes, so that its values are of one run. */
async function measureClusters() {
  for (let round = 1; round <= rounds; round += 1) {
    const values = round === 1 ? wantedClusterValues : [];
    if (wantedClusterRates.length + values.length === 0) return;
    for (const kind of servers) {
      say(`three members, round ${round} of ${rounds}: ${kind}`);
      await measureCluster({
        ...{ kind, tools, seconds, keys, values },
        rates: wantedClusterRates,
        samples: options.quick ? 5 : 20,
        say: (text) => say(`  ${text}`),
        found: (row, value) => {
          measurements.push({ row, server: kind, value });
          const text =
            typeof value === "number" ? formatNumber(value) : `${formatNumber(value.rate)}/s`;
          say(`  ${allRows.find(({ id }) => id === row).title}: ${text}`);
        },
      });
    }
  }
}

async function measureStart(name) {
  const server = await start(name, {});
  await server.stop();
  return { start: server.readyAfterMs };
}

function measureFilled(name) {
  return measureFilledMember({
    start: (settings) => start(name, settings),
    tools,
    keys,
    progress: (text) => say(`  ${text} ...`),
  });
}

function writeReport() {
  const isWhole = !options.quick && !only && servers.length === 2;
  const fallback = join(here, ".cache/quick.md");
  const file = options.out ?? (isWhole ? join(here, "RESULTS.md") : fallback);
  mkdirSync(dirname(file), { recursive: true });
  const tables = tablesText();
  writeFileSync(file, keepProse(file, tables));
  console.log(`\n${tables}\n`);
  say(
    `bench took ${formatDuration(performance.now() - started)}; written to ${relative(root, file)}`,
  );
}

function tablesText() {
  const parts = [
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${rounds} round${rounds === 1 ? "" : "s"}, medians, ` +
      "etcd 3.7.3 and Portal in turn, fsync on, values of 256 bytes, " +
      "load generator on the same machine.",
    describeMachine()
      .map((line) => `- ${line}`)
      .join("\n"),
  ];
  if (wantedRates.length > 0) parts.push("### Requests", rateTable(wantedRates, measurements));
  if (wantedValues.length > 0) {
    parts.push(
      `### A member with ${keys.toLocaleString("en-US")} keys`,
      valueTable(wantedValues, measurements),
    );
  }
  if (wantedClusterRates.length > 0) {
    parts.push(
      "### Three members, CPU time of all together",
      rateTable(wantedClusterRates, measurements),
    );
  }
  if (wantedClusterValues.length > 0) {
    parts.push(
      `### Three members: failover; with ${keys.toLocaleString("en-US")} keys: catching up, snapshot, compaction`,
      valueTable(wantedClusterValues, measurements),
    );
  }
  return parts.join("\n\n");
}

/** Puts the tables between the markers of an existing file, whose prose is written by hand. */
function keepProse(file, tables) {
  const begin = "<!-- tables: written by npm run bench -->";
  const end = "<!-- end of tables -->";
  let text = `# Portal beside etcd\n\n${begin}\n${end}\n`;
  try {
    const existing = readFileSync(file, "utf8");
    if (existing.includes(begin) && existing.includes(end)) text = existing;
  } catch {
    // A first run writes a new file.
  }
  const before = text.slice(0, text.indexOf(begin) + begin.length);
  return `${before}\n\n${tables}\n\n${text.slice(text.indexOf(end))}`;
}
