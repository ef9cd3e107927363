// etcd's own log library judges our log, and ours reads what etcd's wrote. Prints "N passed, N failed".
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemDisk as disk } from "../../dist/src/io/disk.js";
import { Wal } from "../../dist/src/wal/wal.js";

const here = dirname(fileURLToPath(import.meta.url));
const walcheck = findOrBuild();
const root = mkdtempSync(join(tmpdir(), "portal-wal-"));
let passed = 0;
let failed = 0;

await check("etcd reads what we wrote", () => weWrite("ours", 64_000_000));
await check("etcd reads our log of many segments", () => weWrite("segments", 60_000));
await check("etcd reads our log after we reopened it", weReopen);
await check("etcd reads our log from a snapshot on, with old segments released", weRelease);
await check("we read and continue what etcd wrote, and etcd reads that", etcdWrites);

rmSync(root, { recursive: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function weWrite(name, segmentBytes) {
  const folder = join(root, name);
  const ids = { nodeId: 0x8e9e05c52164694dn, clusterId: 0xcdf818194e3a8c32n };
  const wal = await Wal.create({ folder, segmentBytes, ...ids }, { disk });
  const log = [];
  for (let i = 0; i < 150; i++) await append(wal, log, 1 + (i % 7));
  await wal.close();
  same(judge(folder), linesOf(log, "08cdd2918bd2b881cf8e0110b298eaf1948386fccd01"));
  return { folder, log, segmentBytes };
}

async function weReopen() {
  const { folder, log, segmentBytes } = await weWrite("reopened", 60_000);
  for (let i = 0; i < 3; i++) {
    const { wal, recovered } = await Wal.open({ folder, segmentBytes }, { disk });
    same(recovered.entries.map(lineOf), log.map(lineOf));
    await append(wal, log, 20);
    await wal.close();
    same(judge(folder).slice(2), log.map(lineOf));
  }
}

async function weRelease() {
  const { folder, log, segmentBytes } = await weWrite("released", 60_000);
  const { wal } = await Wal.open({ folder, segmentBytes }, { disk });
  await wal.saveSnapshot({ index: 400, term: 2, confState: Buffer.from([8, 7]) });
  const before = wal.segmentCount;
  await wal.release(400);
  if (wal.segmentCount >= before) throw new Error("no segment was released");
  await append(wal, log, 5);
  await wal.close();
  same(judge(folder, "400", "2").slice(2), log.slice(400).map(lineOf));
}

async function etcdWrites() {
  const folder = join(root, "theirs");
  const said = execFileSync(walcheck, ["write", folder, "500"], { encoding: "utf8" });
  const { wal, recovered } = await Wal.open({ folder }, { disk });
  const log = [...recovered.entries];
  same([...log.map(lineOf)], said.slice(0, -1).split("\n").slice(2));
  same([recovered.nodeId, recovered.clusterId, recovered.hardState.commit], [7n, 9n, 499]);
  await append(wal, log, 10, 4);
  await wal.close();
  same(judge(folder).slice(2), log.map(lineOf));
}

async function append(wal, log, count, term = 2) {
  const batch = [];
  const commit = log.length;
  for (let i = 0; i < count; i++) {
    const index = log.length + 1;
    const length = index % 11 === 0 ? 0 : (index * 31) % 700;
    batch.push({ term, index, type: index === 1 ? 1 : 0, data: Buffer.alloc(length, index) });
    log.push(batch[i]);
  }
  await wal.append(batch, { term, vote: 0x8e9e05c52164694dn, commit }, true);
}

function judge(folder, ...start) {
  const options = { encoding: "utf8", maxBuffer: 1 << 28 };
  return execFileSync(walcheck, ["read", folder, ...start], options)
    .slice(0, -1)
    .split("\n");
}

function linesOf(log, metadata) {
  const commit = log.length - 1 - ((150 - 1) % 7);
  const state = `state 2 ${0x8e9e05c52164694dn} ${commit}`;
  return [`metadata ${metadata}`, state, ...log.map(lineOf)];
}

function lineOf(entry) {
  const hex = Buffer.from(entry.data).toString("hex");
  return `entry ${entry.index} ${entry.term} ${entry.type} ${hex}`;
}

function same(found, expected) {
  if (found.length !== expected.length) {
    throw new Error(`expected ${expected.length} lines, found ${found.length}`);
  }
  const at = found.findIndex((line, i) => line !== expected[i]);
  if (at >= 0) throw new Error(`line ${at}: expected ${expected[at]}, found ${found[at]}`);
}

async function check(name, body) {
  try {
    await body();
    passed++;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${error.message}`);
  }
}

/** The judge, from the folder of built programs; made when it is not there. */
function findOrBuild() {
  const given = process.env.PORTAL_INTEROP_BIN;
  if (given && existsSync(join(given, "walcheck"))) return join(given, "walcheck");
  const folder = join(here, ".cache/bin");
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "walcheck");
  const cwd = join(here, "go/etcd");
  execFileSync("go", ["build", "-o", program, "./walcheck"], { cwd, stdio: "inherit" });
  return program;
}
