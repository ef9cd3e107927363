// Describes the machine that a benchmark ran on: what matters to the figures, and nothing that names it.
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { availableParallelism, cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { median } from "./report.mjs";

const syncSamples = 200;

export function describeMachine() {
  const memory = Math.round(totalmem() / 1024 ** 3);
  return [
    `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${memory} GiB of memory`,
    `Linux ${release().split("-")[0]}, ${fileSystem()}, a 4 KiB write with fdatasync takes ${syncMicros()} µs (median)`,
    `Node ${process.versions.node}`,
  ];
}

/** Median microseconds of overwriting 4 KiB in place and making it durable. */
export function syncMicros() {
  const folder = mkdtempSync(join(tmpdir(), "bench-sync-"));
  try {
    const file = openSync(join(folder, "file"), "w");
    const block = Buffer.alloc(4096, 1);
    const times = [];
    for (let index = 0; index < syncSamples; index += 1) {
      const startedAt = performance.now();
      writeSync(file, block, 0, block.length, 0);
      fdatasyncSync(file);
      times.push((performance.now() - startedAt) * 1000);
    }
    closeSync(file);
    return Math.round(median(times));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The type of the file system that the temporary folder is on. */
function fileSystem() {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(
      ([, point]) =>
        point && (tmpdir() === point || tmpdir().startsWith(point === "/" ? "/" : `${point}/`)),
    )
    .sort((a, b) => b[1].length - a[1].length);
  return mounts[0]?.[2] ?? "unknown file system";
}
