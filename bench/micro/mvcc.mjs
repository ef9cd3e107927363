// Micro-benchmarks of the store on LMDB, on this machine's disk: `node bench/micro/mvcc.mjs [hot] [fill] [read]` after
// `npm run build`. `fill` puts 1,000,000 keys of 256-byte values in the order of etcd's benchmark and leaves them for `read`, which
// opens them again in a fresh process state: restart, counts, scans, random reads, memory.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const dist = process.env.PORTAL_DIST ?? "../../dist";
const { LmdbBackend } = await import(`${dist}/src/storage/lmdb-backend.js`);
const { Store } = await import(`${dist}/src/mvcc/store.js`);

const total = Number(process.env.KEYS ?? 1_000_000);
const flushChanges = Number(process.env.FLUSH_CHANGES ?? 10_000);
const folder = join(tmpdir(), `portal-mvcc-bench-${process.getuid()}`);
const overlayBytesMax = Number(process.env.OVERLAY_BYTES ?? 32e6);
const wanted = process.argv.slice(2);
const value = Buffer.alloc(256, 97);
if (wanted.length === 0) wanted.push("hot", "fill", "read");
for (const name of wanted) await { hot, fill, read, overwrite }[name]();

async function open() {
  mkdirSync(folder, { recursive: true });
  return Store.open({}, { backend: await LmdbBackend.open({ path: join(folder, "data") }) });
}

/** Keys as etcd's benchmark makes them: a zig-zag varint in eight bytes. */
function keyOf(n) {
  const key = Buffer.alloc(8);
  let rest = n * 2;
  let at = 0;
  for (; rest >= 128; rest = Math.floor(rest / 128)) key[at++] = (rest % 128) | 128;
  key[at] = rest;
  return key;
}

async function puts(title, count, keyFor) {
  const store = await open();
  const start = meter();
  let flushing;
  let index = store.consistentIndex;
  let mainMs = 0;
  for (let i = 0; i < count; ) {
    const from = performance.now();
    for (let j = 0; j < 100 && i < count; j++, i++) {
      const txn = store.begin();
      txn.put(keyFor(i), value, 0n, false);
      txn.end();
      index++;
    }
    if (!flushing && store.pendingChanges >= flushChanges) {
      flushing = store.flush(index).then(() => {
        flushing = undefined;
      });
    }
    mainMs += performance.now() - from;
    if (store.overlayBytes > overlayBytesMax) await flushing;
    else if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await store.flush(index);
  report(title, count, start, `main thread ${((mainMs * 1000) / count).toFixed(2)} us`);
  await store.close();
}

async function hot() {
  rmSync(folder, { recursive: true, force: true });
  const key = Buffer.from("hot");
  await puts("put, one key", 1_000_000, () => key);
  rmSync(folder, { recursive: true, force: true });
}

async function fill() {
  rmSync(folder, { recursive: true, force: true });
  await puts("put, distinct keys", total, keyOf);
}

async function overwrite() {
  await puts("put, each key again", total, keyOf);
  const store = await open();
  const start = meter();
  store.compact(store.currentRevision);
  await store.flush(store.consistentIndex + 1);
  let steps = 0;
  let longestMs = 0;
  for (let more = true; more; steps++) {
    const from = performance.now();
    more = store.compactionStep();
    const ms = performance.now() - from;
    longestMs = Math.max(longestMs, ms);
    await new Promise((resolve) => setTimeout(resolve, ms < 0.1 ? 2 : 0));
  }
  report("compaction", total, start, `${steps} steps, longest ${longestMs.toFixed(1)} ms`);
  await store.close();
}

async function read() {
  let start = meter();
  const store = await open();
  report("open", 1, start, "");
  const all = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]) };
  start = meter();
  const counted = store.range({ ...all, countOnly: true });
  report(`count all (${counted.count})`, 1, start, "");
  start = meter();
  store.range({ key: Buffer.from([40]), rangeEnd: Buffer.from([200, 7, 1]), countOnly: true });
  report("count a range", 1, start, "");
  start = meter();
  const n = 200_000;
  const keys = Array.from({ length: n }, (_, i) => keyOf((i * 7919) % counted.count));
  for (const key of keys) store.getCurrent(key);
  report("random get", n, start, "");
  start = meter();
  for (let i = 0; i < 1_000_000; i++) store.getCurrent(keys[n - 1]);
  report("get of one key", 1_000_000, start, "");
  start = meter();
  store.range({ ...all, limit: 1000 });
  report("first 1000 keys", 1, start, "");
  start = meter();
  store.range({ ...all, keysOnly: true });
  report("keys only, all", counted.count, start, "");
  start = meter();
  let bytes = 0;
  store.visitRange(all, (_, from, to) => {
    bytes += to - from;
  });
  report("scan all", counted.count, start, `${(bytes / 1e6).toFixed(0)} MB`);
  start = meter();
  const { hash } = store.hashKv(0);
  report("hashKv", counted.count, start, String(hash));
  await store.close();
}

function meter() {
  return { at: performance.now(), cpu: process.cpuUsage() };
}

function report(title, count, { at, cpu }, note) {
  const ms = performance.now() - at;
  const used = process.cpuUsage(cpu);
  const perItem = ((used.user + used.system) / count).toFixed(2);
  console.log(
    `${title}: ${ms.toFixed(1)} ms, ${Math.round((count * 1000) / ms)}/s, cpu ${perItem} us each, ${memory()} ${note}`,
  );
}

function memory() {
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (name) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) / 1024);
  return `rss ${of("VmRSS")} MB (file ${of("RssFile")})`;
}
