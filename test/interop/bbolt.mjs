// Database files between Portal and etcd's own storage library: each reads what the other wrote, and the library
// changes ours as etcd would. Prints "N passed, N failed".
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../dist/src/base/random.js";
import { systemDisk as disk } from "../../dist/src/io/disk.js";
import { BboltFile } from "../../dist/src/storage/bbolt/bbolt-file.js";
import { BboltWriter } from "../../dist/src/storage/bbolt/bbolt-writer.js";
import { createChecks } from "../support/checks.mjs";
import { connect } from "../support/etcd-client.mjs";
import { startEtcd } from "../support/servers.mjs";
import { binary } from "./binaries.mjs";
import { goJudge } from "./support/go-judge.mjs";
import { ctl, putLoad, putUsers } from "./support/snapshot-load.mjs";

const judge = goJudge("bboltcheck");
const etcdctl = binary("etcdctl");
const etcdutl = binary("etcdutl");
const root = mkdtempSync(join(tmpdir(), "portal-bbolt-"));
const checks = createChecks("bbolt");
const filesEach = 40;

/** What the judge prints of a bucket's records. */
class RecordHash {
  #hash = createHash("sha256");
  #records = 0;

  add(...parts) {
    this.#records += 1;
    for (const part of parts) {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(part.length);
      this.#hash.update(length).update(part);
    }
  }

  line(name) {
    return `bucket ${name.toString("hex")} ${this.#records} ${this.#hash.digest("hex")}`;
  }
}

try {
  for (let seed = 1; seed <= filesEach; seed++) await weWrite(seed);
  for (let seed = 1; seed <= filesEach; seed++) await theyWrite(seed);
  await checks.check("they read a large file of ours", writeLarge);
  await onEtcd();
} finally {
  rmSync(root, { recursive: true, force: true });
}
checks.finish();

/** Ours as they read it, and then after they changed it, page by page as etcd does. */
async function weWrite(seed) {
  const path = join(root, `ours-${seed}.db`);
  let written;
  await checks.check(`they read what we wrote, ${seed}`, async () => {
    written = await writeRandom(path, new Random(seed));
    same(run(judge, "dump", path), written);
    same(await dump(path), written);
  });
  await checks.check(`they change what we wrote, and we read that, ${seed}`, async () => {
    const changed = run(judge, "churn", `${seed}`, path);
    same(await dump(path), changed);
    rmSync(path);
  });
}

async function theyWrite(seed) {
  await checks.check(`we read what they wrote, ${seed}`, async () => {
    const path = join(root, `theirs-${seed}.db`);
    const written = run(judge, "write", `${seed}`, path);
    same(await dump(path), written);
    rmSync(path);
  });
}

async function writeLarge() {
  const path = join(root, "large.db");
  const writer = await BboltWriter.create({ disk, path });
  const bucket = writer.bucket("key");
  const key = Buffer.alloc(17, 0x5f);
  for (let i = 0; i < 400_000; i++) {
    key.writeUInt32BE(i, 4);
    if (!bucket.add(key, Buffer.alloc(i % 300, i))) await writer.drained();
  }
  await writer.finish();
  same(run(judge, "dump", path), await dump(path));
  rmSync(path);
}

/** A snapshot that etcd made, as we read it, and as etcd takes it when we wrote it anew. */
async function onEtcd() {
  const etcd = await startEtcd({ binary: binary("etcd") });
  const client = connect(etcd.endpoint);
  const saved = join(root, "saved.db");
  const copy = join(root, "copy.db");
  try {
    await putLoad(client, { keys: 20_000 });
    putUsers(etcdctl, etcd.endpoint);
    ctl(etcdctl, etcd.endpoint, "snapshot", "save", saved);
    await checks.check("we read etcd's snapshot", async () => {
      same(await dump(saved), run(judge, "dump", saved));
    });
    await checks.check("etcdutl says the same of etcd's snapshot and our copy", async () => {
      await copyFile(saved, copy);
      same(await dump(copy), run(judge, "dump", copy));
      const [ours, theirs] = [copy, saved].map((path) => statusOf(path));
      if (ours.hash !== theirs.hash || ours.revision !== theirs.revision) {
        throw new Error(`${JSON.stringify(ours)} instead of ${JSON.stringify(theirs)}`);
      }
      equal(run(etcdutl, "hashkv", copy), run(etcdutl, "hashkv", saved));
    });
    await checks.check("etcd starts on our copy, and has the same data", () =>
      startOnCopy(copy, ctl(etcdctl, etcd.endpoint, "endpoint", "hashkv", "-w", "fields")),
    );
  } finally {
    client.close();
    await etcd.stop();
  }
}

async function startOnCopy(copy, wanted) {
  const dataDir = join(root, "restored");
  run(etcdutl, "snapshot", "restore", copy, "--skip-hash-check", "--data-dir", dataDir);
  mkdirSync(dataDir, { recursive: true });
  const etcd = await startEtcd({ binary: binary("etcd"), dataDir });
  try {
    const hashOf = (text) => /"Hash" : (\d+)/.exec(text)?.[1];
    const found = ctl(etcdctl, etcd.endpoint, "endpoint", "hashkv", "-w", "fields");
    equal(hashOf(found), hashOf(wanted));
    const users = ctl(etcdctl, etcd.endpoint, "user", "list");
    equal(users, "alice\nroot\n");
    // Writing changes the tree that we made.
    const client = connect(etcd.endpoint);
    await putLoad(client, { keys: 2_000, firstLease: 601n });
    client.close();
  } finally {
    await etcd.terminate();
  }
  run(judge, "dump", join(dataDir, "member/snap/db"));
}

function statusOf(path) {
  return JSON.parse(run(etcdutl, "snapshot", "status", path, "-w", "json"));
}

/** Written by our writer from what our reader reads. */
async function copyFile(from, to) {
  const file = await BboltFile.open({ disk, path: from });
  const writer = await BboltWriter.create({ disk, path: to });
  for (const name of file.bucketNames()) {
    const bucket = writer.bucket(name);
    for await (const batch of file.scan(name)) {
      for (let i = 0; i < batch.count; i++) {
        if (!bucket.add(batch.key(i), batch.value(i))) await writer.drained();
      }
    }
  }
  await writer.finish();
  await file.close();
}

/** Writes a random file; returns what a dump of it should say. */
async function writeRandom(path, random) {
  const writer = await BboltWriter.create({ disk, path, chunkBytes: 16_384 });
  const lines = new Map();
  for (let left = random.below(10); left > 0; left--) {
    const name = `bucket ${left}`;
    const records = randomRecords(random);
    const bucket = writer.bucket(name);
    const hash = new RecordHash();
    for (const [key, value] of records) {
      hash.add(key, value);
      if (!bucket.add(key, value)) await writer.drained();
    }
    lines.set(name, hash.line(Buffer.from(name)));
  }
  const { sizeBytes } = await writer.finish();
  const sorted = [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
  return `${[`file ${path} ${sizeBytes}`, ...sorted].join("\n")}\n`;
}

function randomRecords(random) {
  const records = new Map();
  const count = random.pick([0, 1, 3, 60, 800, 4_000]);
  for (let i = 0; i < count; i++) {
    const isLong = random.below(60) === 0;
    const key = random.bytes(1 + random.below(isLong ? 7_000 : 18));
    const value = random.bytes(random.pick([0, 10, 50, 200, isLong ? 30_000 : 400]));
    records.set(key.toString("latin1"), [key, value]);
  }
  return [...records.values()].sort(([a], [b]) => Buffer.compare(a, b));
}

/** The same lines that the judge prints. */
async function dump(path) {
  const file = await BboltFile.open({ disk, path });
  await file.check();
  const lines = [`file ${path} ${file.sizeBytes}`];
  for (const name of file.bucketNames()) {
    const hash = new RecordHash();
    for await (const batch of file.scan(name)) {
      for (let i = 0; i < batch.count; i++) hash.add(batch.key(i), batch.value(i));
    }
    lines.push(hash.line(name));
  }
  await file.close();
  return `${lines.join("\n")}\n`;
}

function run(program, ...args) {
  const options = { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "pipe"] };
  return execFileSync(program, args, options);
}

/** Line by line, for a short message. */
function same(found, wanted) {
  const [ours, theirs] = [found, wanted].map((text) => text.split("\n"));
  const at = theirs.findIndex((line, i) => line !== ours[i]);
  if (at >= 0) throw new Error(`line ${at}: ${ours[at]}, expected ${theirs[at]}`);
  equal(ours.length, theirs.length);
}

function equal(found, wanted) {
  if (found !== wanted) throw new Error(`${found}, expected ${wanted}`);
}
