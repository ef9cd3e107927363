// What is measured. Rate rows run on one member that stays up; the million-key rows fill it first. Every row
// says its goal against etcd, as in "Speed to reach" of the blueprint.
import { etcdBenchmark } from "./etcd-benchmark.mjs";
import { h2load } from "./h2load.mjs";
import { cpuSeconds } from "./process-stats.mjs";
import { requests } from "./requests.mjs";

const latencySamples = 20_000;
const warmUpSeconds = 1;

/** Rows of kind "rate": rate (1/s), p50 and p99 (ms), server CPU time a request (µs). */
export const rateRows = [
  h2loadRow("put", "Put, 10 connections x 100 in flight", "4 x", requests.put, 10, 100),
  h2loadRow("put-100", "Put, 100 connections, one at a time each", "3 x", requests.put, 100, 1),
  h2loadRow("put-1", "Put, one client, one at a time", "1 x", requests.put, 1, 1),
  h2loadRow("range", "Range, linearizable, 10 x 100", "5 x", requests.linearizableRange, 10, 100),
  h2loadRow(
    "range-serializable",
    "Range, serializable, 10 x 100",
    "5 x",
    requests.serializableRange,
    10,
    100,
  ),
  h2loadRow("txn", "Txn of 4 puts, 10 x 100", "2 x", requests.txnOfFourPuts, 10, 100),
  benchmarkRow(
    "txn-benchmark",
    "Txn of 4 puts (benchmark, 100 clients)",
    "2 x",
    10,
    100,
    (seconds) => [
      "txn-put",
      `--total=${Math.round(14_000 * seconds)}`,
      "--txn-ops=4",
      "--key-space-size=10000",
      "--val-size=256",
    ],
  ),
  benchmarkRow(
    "lease-keepalive",
    "Lease keepalive (benchmark, 100 clients)",
    "2 x",
    10,
    100,
    (seconds) => ["lease-keepalive", `--total=${Math.round(40_000 * seconds)}`],
  ),
  benchmarkRow("watch", "Watch events to 1,000 watchers (benchmark)", "1 x", 10, 10, (seconds) => [
    "watch",
    "--streams=10",
    "--watch-per-stream=100",
    "--watched-key-total=1",
    `--put-total=${Math.round(1_000 * seconds)}`,
  ]),
];

/** Rates of one prepared request; `server.pids` are the processes whose CPU time counts, or `server.pid`. */
export function h2loadRow(id, title, goal, request, connections, streams) {
  const load = (endpoint, count, latencies = false) =>
    h2load({ endpoint, request, connections, streams, count, latencies });
  return {
    id,
    title,
    goal,
    async measure({ server, seconds }) {
      const warmUp = await load(server.endpoint, Math.max(500, connections * streams));
      const warm = await load(
        server.endpoint,
        wholeCount(warmUp.rate * warmUpSeconds, connections),
      );
      const count = wholeCount(warm.rate * seconds, connections);
      const cpuBefore = cpuOf(server);
      const { rate } = await load(server.endpoint, count);
      const cpuMicros = ((cpuOf(server) - cpuBefore) / count) * 1e6;
      const samples = wholeCount(Math.min(latencySamples, rate), connections);
      const { timesMs } = await load(server.endpoint, samples, true);
      return {
        rate,
        cpuMicros,
        p50Ms: percentile(timesMs, 50),
        p99Ms: percentile(timesMs, 99),
        requests: count,
      };
    },
  };
}

function benchmarkRow(id, title, goal, connections, clients, argsFor) {
  return {
    id,
    title,
    goal,
    async measure({ server, seconds, benchmark }) {
      const cpuBefore = cpuSeconds(server.pid);
      const result = await etcdBenchmark({
        binary: benchmark,
        endpoint: server.endpoint,
        connections,
        clients,
        args: argsFor(seconds),
      });
      const cpu = cpuSeconds(server.pid) - cpuBefore;
      return { ...result, cpuMicros: (cpu / (result.rate * result.totalSeconds)) * 1e6 };
    },
  };
}

function cpuOf({ pid, pids = [pid] }) {
  return pids.reduce((sum, each) => sum + cpuSeconds(each), 0);
}

/** At least one request on each connection, and the same number on all. */
function wholeCount(count, connections) {
  return Math.max(1, Math.round(count / connections)) * connections;
}

export function percentile(sorted, percent) {
  if (sorted.length === 0) return Number.NaN;
  const index = Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1);
  return sorted[Math.max(0, index)];
}

/** Rows of kind "value", in the order in which one filled member gives them. */
export const valueRows = [
  {
    id: "start",
    title: "start of an empty member until ready",
    unit: "ms",
    goal: "under 500 ms",
    better: "less",
  },
  {
    id: "fill",
    title: "filling with benchmark, 500 clients",
    unit: "/s",
    goal: "2 x",
    better: "more",
  },
  { id: "fill-cpu", title: "server CPU time of that", unit: "s", goal: "1/4", better: "less" },
  {
    id: "memory",
    title: "memory after filling",
    unit: "MiB",
    goal: "1/2",
    better: "less",
    split: true,
  },
  { id: "scan", title: "full scan by etcdctl", unit: "s", goal: "faster", better: "less" },
  {
    id: "memory-scanned",
    title: "memory after one full scan",
    unit: "MiB",
    goal: "1/2",
    better: "less",
    split: true,
  },
  {
    id: "count",
    title: "count of all keys, one call",
    unit: "ms",
    goal: "under 10 ms",
    better: "less",
  },
  {
    id: "count-etcdctl",
    title: "count of all keys by etcdctl, its own start included",
    unit: "ms",
    goal: "faster",
    better: "less",
  },
  {
    id: "restart",
    title: "restart after kill -9 until ready",
    unit: "s",
    goal: "under 1 s",
    better: "less",
  },
];
