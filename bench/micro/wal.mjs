// Micro-benchmark of the log on this machine's disk: `node bench/micro/wal.mjs` after `npm run build`.
// Rows: a lone append (latency), batches as group commit makes them, and encoding alone.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemDisk as disk } from "../../dist/src/io/disk.js";
import { RecordEncoder } from "../../dist/src/wal/record-encoder.js";
import { Wal } from "../../dist/src/wal/wal.js";

const root = mkdtempSync(join(tmpdir(), "portal-wal-bench-"));
const data = Buffer.alloc(300, 7);
const started = performance.now();
const wal = await Wal.create({ folder: join(root, "wal"), nodeId: 1n, clusterId: 2n }, { disk });
console.log(`create: ${(performance.now() - started).toFixed(1)} ms`);
let last = 0;
await appends("lone append of 300 bytes", 2000, 1);
await appends("batch of 100", 500, 100);
await appends("batch of 1000", 400, 1000);
await wal.close();
encoding();
rmSync(root, { recursive: true });

async function appends(name, rounds, count) {
  const times = [];
  const cpu = process.cpuUsage();
  const begin = performance.now();
  for (let round = 0; round < rounds; round++) {
    const batch = [];
    for (let i = 0; i < count; i++) batch.push({ term: 1, index: ++last, type: 0, data });
    const at = performance.now();
    await wal.append(batch, { term: 1, vote: 1n, commit: last - count }, true);
    times.push((performance.now() - at) * 1000);
  }
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  times.sort((a, b) => a - b);
  const percentile = (share) => times[Math.floor(rounds * share)].toFixed(0);
  const rate = Math.round((rounds * count) / seconds).toLocaleString("en");
  const each = ((user + system) / rounds / count).toFixed(2);
  console.log(
    `${name}: p50 ${percentile(0.5)} µs, p99 ${percentile(0.99)} µs, ${rate} entries/s, ${each} µs CPU each`,
  );
}

function encoding() {
  const encoder = new RecordEncoder();
  for (let round = 0; round < 2; round++) {
    const begin = performance.now();
    for (let i = 0; i < 1_000_000; i++) {
      if (i % 1000 === 0) encoder.reset(encoder.crc);
      encoder.entry(1, i + 1, 0, data, 0, data.length);
    }
    if (round === 1) console.log(`encode: ${(performance.now() - begin).toFixed(0)} ns an entry`);
  }
}
