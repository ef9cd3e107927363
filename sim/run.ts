// `npm run sim`: replays a seed and tells its story, or runs many and says which failed. A seed that fails here
// fails everywhere, with the same sources: everything in it is drawn from the seed.

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Violation } from "./checkers/history.ts";
import { runClusterSeed } from "./cluster.ts";
import { runRaftSeed } from "./raft/raft-world.ts";
import type { Story } from "./story.ts";

const usage = `Usage:
  npm run sim -- --seed N               run one seed and tell its story (the end of it; --full: all, with messages)
  npm run sim -- --seeds A..B           run these seeds
  npm run sim -- --hours H [--from N]   run for so long, from seed N on (1)
  npm run sim -- --ci                   what CI runs: raft groups 1 to 6,000, clusters 1 to 2,000
  npm run sim -- --member N             one member on a disk that loses its power, seed N

  --raft      groups of bare raft cores instead of whole clusters
  --jobs J    processes at a time (all cores)`;

interface SeedResult {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly story: Story;
  readonly counts: object;
}

type Kind = "cluster" | "raft";

interface Work {
  readonly kind: Kind;
  readonly from: number;
  readonly to: number;
  readonly endsAtMs: number;
}

/** What a child process says of one seed. */
interface SeedReport {
  readonly seed: number;
  readonly failure: string | undefined;
  readonly counts: object;
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function runSeed(kind: Kind, seed: number, isTold: boolean): Promise<SeedResult> {
  return kind === "raft" ? runRaftSeed(seed, { isTold }) : await runClusterSeed(seed, { isTold });
}

async function tellSeed(kind: Kind, seed: number, isFull: boolean): Promise<boolean> {
  const { violation, story, counts } = await runSeed(kind, seed, true);
  const lines = story.lines(isFull ? undefined : { count: 150, without: ["network"] });
  if (violation || isFull) print(lines.join("\n"));
  print(`${kind} seed ${seed}: ${JSON.stringify(counts)}`);
  if (violation) print(`${violation.property}: ${violation.text}`);
  print(violation ? "0 passed, 1 failed" : "1 passed, 0 failed");
  return violation === undefined;
}

/** Runs seeds in child processes, each its share. */
async function runSeeds(work: Work, jobs: number): Promise<{ passed: number; failed: number }> {
  const total: Record<string, number> = {};
  const counts = { passed: 0, failed: 0 };
  const startedMs = Date.now();
  let saidMs = startedMs;
  const onReport = ({ seed, failure, counts: seen }: SeedReport): void => {
    for (const [name, count] of Object.entries(seen)) total[name] = (total[name] ?? 0) + count;
    if (failure === undefined) counts.passed++;
    else {
      counts.failed++;
      const flag = work.kind === "raft" ? " --raft" : "";
      print(`seed ${seed} failed; its story: npm run sim -- --seed ${seed}${flag}\n  ${failure}`);
    }
    if (Date.now() - saidMs < 30_000) return;
    saidMs = Date.now();
    const seconds = Math.round((saidMs - startedMs) / 1000);
    print(`${seconds} s: ${counts.passed} passed, ${counts.failed} failed, up to seed ${seed}`);
  };
  await Promise.all(
    Array.from({ length: jobs }, (_, job) => runJob({ ...work, job, jobs }, onReport)),
  );
  const seconds = (Date.now() - startedMs) / 1000;
  const perSeed = (1000 * seconds) / Math.max(1, counts.passed + counts.failed);
  print(`${work.kind}: ${seconds.toFixed(0)} s, ${perSeed.toFixed(1)} ms for a seed`);
  print(`  ${JSON.stringify(total)}`);
  return counts;
}

function runJob(
  job: Work & { readonly job: number; readonly jobs: number },
  onReport: (report: SeedReport) => void,
): Promise<void> {
  const child: ChildProcess = fork(process.argv[1] as string, ["--job", JSON.stringify(job)]);
  child.on("message", (report) => onReport(report as SeedReport));
  return new Promise((resolve, reject) => {
    child.on("exit", (status) => {
      if (status === 0) resolve();
      else reject(new Error(`a process of the simulation ended with status ${status}`));
    });
  });
}

async function doJob(text: string): Promise<void> {
  const { kind, from, to, endsAtMs, job, jobs } = JSON.parse(text);
  for (let seed = from + job; seed <= to && Date.now() < endsAtMs; seed += jobs) {
    const { violation, counts } = await runSeed(kind, seed, false);
    const failure = violation && `${violation.property}: ${violation.text.slice(0, 1000)}`;
    process.send?.({ seed, failure, counts } satisfies SeedReport);
  }
  process.disconnect();
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      hours: { type: "string" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: String(availableParallelism()) },
      job: { type: "string" },
      raft: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      ci: { type: "boolean", default: false },
    },
  });
  if (values.job !== undefined) {
    await doJob(values.job);
    return 0;
  }
  const kind: Kind = values.raft ? "raft" : "cluster";
  if (values.seed !== undefined)
    return (await tellSeed(kind, Number(values.seed), values.full)) ? 0 : 1;
  const parts = plan(kind, values);
  if (parts.length === 0) {
    print(usage);
    return 2;
  }
  let passed = 0;
  let failed = 0;
  for (const part of parts) {
    const counts = await runSeeds(part, Number(values.jobs));
    passed += counts.passed;
    failed += counts.failed;
  }
  print(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function plan(
  kind: Kind,
  values: { seeds?: string | undefined; hours?: string | undefined; from: string; ci: boolean },
): Work[] {
  const endsAtMs = Number.MAX_SAFE_INTEGER;
  if (values.ci) {
    return [
      { kind: "raft", from: 1, to: 6000, endsAtMs },
      { kind: "cluster", from: 1, to: 2000, endsAtMs },
    ];
  }
  const range = /^(\d+)\.\.(\d+)$/.exec(values.seeds ?? "");
  if (range) return [{ kind, from: Number(range[1]), to: Number(range[2]), endsAtMs }];
  const hours = Number(values.hours);
  if (!(hours > 0)) return [];
  const to = Number.MAX_SAFE_INTEGER;
  return [{ kind, from: Number(values.from), to, endsAtMs: Date.now() + hours * 3_600_000 }];
}

process.exitCode = await main();
