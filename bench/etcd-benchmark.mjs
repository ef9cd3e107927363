// Runs etcd's own `benchmark` and reads its last summary: rate, p50 and p99.
import { capture } from "./h2load.mjs";

/** Resolves to { rate, p50Ms, p99Ms, totalSeconds } of one run, e.g. with ["put", "--total=1000"]. */
export async function etcdBenchmark({ binary, endpoint, connections, clients, args, timeoutMs }) {
  const output = await capture(
    binary,
    [`--endpoints=${endpoint}`, `--conns=${connections}`, `--clients=${clients}`, ...args],
    { timeoutMs },
  );
  return parseBenchmark(output);
}

export function parseBenchmark(output) {
  const last = (pattern) => Number([...output.matchAll(pattern)].at(-1)?.[1]);
  const result = {
    rate: last(/Requests\/sec:\s+([\d.]+)/g),
    p50Ms: last(/50% in ([\d.]+) secs/g) * 1000,
    p99Ms: last(/99% in ([\d.]+) secs/g) * 1000,
    totalSeconds: last(/Total:\s+([\d.]+) secs/g),
  };
  if (Number.isNaN(result.rate))
    throw new Error(`benchmark printed no result:\n${output.slice(-2000)}`);
  return result;
}
