// Runs h2load (of nghttp2) with one prepared gRPC request and reads its figures. One client thread, so that
// the server keeps the other core.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Ends the process with advice when h2load is missing. */
export function requireH2load() {
  if (spawnSync("h2load", ["--version"]).status === 0) return;
  console.error(
    "bench: h2load was not found. Install it, e.g. with: apt-get install nghttp2-client",
  );
  process.exit(1);
}

/**
 * Sends `count` requests over `connections` with `streams` in flight on each. Resolves to the rate and to how
 * many succeeded; with `latencies`, also to the sorted times of all requests in milliseconds.
 */
export async function h2load({
  endpoint,
  request,
  connections,
  streams,
  count,
  latencies = false,
}) {
  const folder = mkdtempSync(join(tmpdir(), "h2load-"));
  try {
    const bodyFile = join(folder, "body");
    const logFile = join(folder, "log");
    writeFileSync(bodyFile, request.body);
    const output = await capture("h2load", [
      `--requests=${count}`,
      `--clients=${connections}`,
      `--max-concurrent-streams=${streams}`,
      "--threads=1",
      `--data=${bodyFile}`,
      "--header=content-type: application/grpc",
      "--header=te: trailers",
      ...(latencies ? [`--log-file=${logFile}`] : []),
      `http://${endpoint}${request.path}`,
    ]);
    const result = parseH2load(output);
    if (result.succeeded !== count) {
      throw new Error(`h2load: ${result.succeeded} of ${count} requests succeeded\n${output}`);
    }
    return latencies ? { ...result, timesMs: readTimes(logFile) } : result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function parseH2load(output) {
  const finished = /finished in ([\d.]+)(us|ms|s|m|h), ([\d.]+) req\/s/.exec(output);
  const succeeded = /(\d+) succeeded/.exec(output);
  const statuses = /status codes: (\d+) 2xx/.exec(output);
  const data = /headers \(space savings [^)]*\), \S+ \((\d+)\) data/.exec(output);
  if (!finished || !succeeded || !statuses) throw new Error(`h2load printed no result:\n${output}`);
  return {
    rate: Number(finished[3]),
    succeeded: Math.min(Number(succeeded[1]), Number(statuses[1])),
    dataBytes: Number(data?.[1] ?? 0),
  };
}

/** The log has a line a request: start in microseconds, status, duration in microseconds. */
function readTimes(file) {
  const times = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => Number(line.split("\t")[2]) / 1000);
  return times.sort((a, b) => a - b);
}

export function capture(command, args, { timeoutMs = 300_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs });
    let output = "";
    let errors = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      errors = (errors + chunk).slice(-4096);
    });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (status === 0) resolve(output);
      else
        reject(
          new Error(
            `${command} ended with ${signal ?? status}:\n${output.slice(-2000)}\n${errors}`,
          ),
        );
    });
  });
}
