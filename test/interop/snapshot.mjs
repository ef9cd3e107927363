// Backups between Portal and the real etcd, by the tools of both: what one saves the other restores and serves, with
// the same hash of all history. Prints "N passed, N failed".
import { execFile } from "node:child_process";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createChecks } from "../support/checks.mjs";
import { connect } from "../support/etcd-client.mjs";
import { freePorts, startEtcd, startPortal } from "../support/servers.mjs";
import { binary } from "./binaries.mjs";
import { putLoad, putUsers } from "./support/snapshot-load.mjs";

const project = join(dirname(fileURLToPath(import.meta.url)), "../..");
const root = mkdtempSync(join(tmpdir(), "portal-snapshot-"));
const checks = createChecks("snapshot");
const etcdctl = (...args) => run(binary("etcdctl"), args);
const etcdutl = (...args) => run(binary("etcdutl"), args);
const portal = (...args) => run(process.execPath, [join(project, "dist/src/main.js"), ...args]);
/** The two servers: how each is started, which tools save and restore for it. */
const sides = {
  etcd: {
    start: (options) => startEtcd({ ...options, binary: binary("etcd") }),
    save: (endpoint, file) => etcdctl("snapshot", "save", file, `--endpoints=${endpoint}`),
    restore: (file, ...flags) => etcdutl("snapshot", "restore", file, ...flags),
  },
  portal: {
    start: (options) => startPortal({ ...options, command: [join(project, "bin/etcd")] }),
    save: (endpoint, file) => portal("snapshot", "save", file, `--endpoints=${endpoint}`),
    restore: (file, ...flags) => portal("snapshot", "restore", file, ...flags),
  },
};
/** gRPC's status UNAVAILABLE. */
const unavailable = 14;
let files = 0;

try {
  for (const [from, source] of Object.entries(sides)) await restoreEverywhere(from, source);
  await roundTrip();
  await refusals();
} finally {
  rmSync(root, { recursive: true, force: true });
}
checks.finish();

/** One server's data, saved by both tools, looked at by both, restored by both, served by both. */
async function restoreEverywhere(from, source) {
  const server = await source.start({});
  try {
    await load(server.endpoint, from);
    const wanted = await factsOf(server.endpoint);
    const saved = {};
    for (const [tool, { save }] of Object.entries(sides)) {
      await checks.check(`${tool}'s tool saves what ${from} holds`, async () => {
        const file = newPath("db");
        await save(server.endpoint, file);
        await sameStatus(file, wanted.revision);
        saved[tool] = file;
      });
    }
    for (const [to, { restore, start }] of Object.entries(sides)) {
      const file = saved.etcd ?? saved.portal;
      if (file === undefined) return checks.skip(`${to} restores`, "nothing was saved");
      await checks.check(`${to} serves what ${from} held`, async () => {
        const dataDir = newPath("data");
        await restore(file, `--data-dir=${dataDir}`);
        await onServer(start, dataDir, async (endpoint) => {
          same(await factsOf(endpoint), wanted);
          await refusesCompacted(endpoint, wanted);
          await writesOn(endpoint, wanted);
        });
        await onServer(start, dataDir, (endpoint) => goneOn(endpoint, wanted));
      });
      await checks.check(`${to} serves what ${from} held, its revision raised`, async () => {
        const dataDir = newPath("data");
        await restore(file, `--data-dir=${dataDir}`, "--bump-revision=1000", "--mark-compacted");
        await onServer(start, dataDir, async (endpoint) => {
          const revision = wanted.revision + 1000;
          await refusesCompacted(endpoint, { revision, compactRevision: revision });
          const facts = await factsOf(endpoint);
          same({ ...facts, hash: 0 }, { ...wanted, revision, compactRevision: revision, hash: 0 });
          await writesOn(endpoint, facts);
        });
      });
    }
    await onlyPortal(from, saved.portal, wanted);
    if (from === "etcd") await copiedFile(server, wanted);
  } finally {
    await server.stop();
  }
}

async function onlyPortal(from, file, wanted) {
  if (file === undefined) return;
  await checks.check(`Portal puts the log of ${from}'s data elsewhere`, async () => {
    const dataDir = newPath("data");
    const walDir = newPath("wal");
    await portal("snapshot", "restore", file, `--data-dir=${dataDir}`, `--wal-dir=${walDir}`);
    await onServer(sides.portal.start, dataDir, async (endpoint) => {
      same(await factsOf(endpoint), wanted);
    });
  });
  await checks.check(`three members of Portal begin with ${from}'s data`, () =>
    onCluster(file, wanted),
  );
}

/** A copy of a database that no server has open: no hash follows it. */
async function copiedFile(server, wanted) {
  await checks.check("Portal restores a copy of etcd's own file", async () => {
    await server.terminate();
    const file = newPath("db");
    copyFileSync(join(server.dataDir, "member/snap/db"), file);
    const dataDir = newPath("data");
    await fails(sides.portal.restore(file, `--data-dir=${dataDir}`), "missing hash");
    await sides.portal.restore(file, `--data-dir=${dataDir}`, "--skip-hash-check");
    await onServer(sides.portal.start, dataDir, async (endpoint) => {
      same(await factsOf(endpoint), wanted);
    });
  });
}

/** etcd, Portal, etcd: nothing is lost on the way, users included. */
async function roundTrip() {
  await checks.check("etcd's data come back from Portal as they were", async () => {
    const [first, second] = [newPath("db"), newPath("db")];
    let wanted;
    await onServer(sides.etcd.start, undefined, async (endpoint) => {
      await load(endpoint, "etcd");
      wanted = { ...(await factsOf(endpoint)), users: await usersOf(endpoint) };
      await sides.etcd.save(endpoint, first);
    });
    const there = newPath("data");
    await sides.portal.restore(first, `--data-dir=${there}`);
    await onServer(sides.portal.start, there, (endpoint) => sides.portal.save(endpoint, second));
    const back = newPath("data");
    await sides.etcd.restore(second, `--data-dir=${back}`);
    await onServer(sides.etcd.start, back, async (endpoint) => {
      same({ ...(await factsOf(endpoint)), users: await usersOf(endpoint) }, wanted);
    });
  });
}

async function refusals() {
  const file = newPath("db");
  await onServer(sides.etcd.start, undefined, async (endpoint) => {
    await load(endpoint, "etcd", { keys: 200 });
    await sides.etcd.save(endpoint, file);
  });
  const bytes = readFileSync(file);
  for (const [tool, { restore }] of Object.entries(sides)) {
    const dataDir = newPath("data");
    const damaged = newPath("db");
    await checks.check(`${tool}'s tool refuses a damaged file`, async () => {
      const copy = Buffer.from(bytes);
      copy[copy.length >> 1] ^= 0xff;
      writeFileSync(damaged, copy);
      await fails(restore(damaged, `--data-dir=${dataDir}`), "expected sha256");
    });
    await checks.check(`${tool}'s tool refuses a directory in use`, () =>
      fails(restore(file, `--data-dir=${project}`), "not empty or could not be read"),
    );
    await checks.check(`${tool}'s tool refuses a cluster without this member`, async () => {
      const flags = ["--name=m1", "--initial-cluster=m2=http://127.0.0.1:1"];
      const unused = newPath("data");
      await fails(restore(file, `--data-dir=${unused}`, ...flags), "couldn't find local name");
    });
    await checks.check(`${tool}'s tool refuses to raise a revision only`, async () => {
      const unused = newPath("data");
      await fails(restore(file, `--data-dir=${unused}`, "--bump-revision=5"), "--mark-compacted");
    });
  }
  await checks.check("Portal refuses a file that is cut", async () => {
    const cut = newPath("db");
    writeFileSync(cut, bytes);
    truncateSync(cut, 3 * 4096 + 32);
    await fails(portal("snapshot", "status", cut), "not an intact database file");
    const dataDir = newPath("data");
    const restored = portal(
      "snapshot",
      "restore",
      cut,
      `--data-dir=${dataDir}`,
      "--skip-hash-check",
    );
    await fails(restored, "not an intact database file");
  });
}

/** Puts data on a server; users where they can be. */
async function load(endpoint, from, options = {}) {
  const client = connect(endpoint);
  try {
    await putLoad(client, options);
  } finally {
    client.close();
  }
  if (from === "etcd") putUsers(binary("etcdctl"), endpoint);
}

/** All that both must agree on. */
async function factsOf(endpoint) {
  const client = connect(endpoint);
  try {
    const { hash, compactRevision, hashRevision } = await client.call("hashKV", { revision: 0 });
    const everything = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]), countOnly: true };
    const { count } = await client.call("range", everything);
    const { leases } = await client.call("leaseLeases", {});
    const ids = leases.map(({ ID }) => ID).sort();
    const attached = [];
    for (const ID of ids) {
      const { grantedTTL, keys } = await client.call("leaseTimeToLive", { ID, keys: true });
      attached.push(`${ID} ${grantedTTL} ${keys.map((key) => Buffer.from(key).toString())}`);
    }
    return { hash, compactRevision, revision: hashRevision, count, leases: attached.join("; ") };
  } finally {
    client.close();
  }
}

/** As soon as the members of a young cluster have settled on a leader. */
async function settledFacts(endpoint) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await factsOf(endpoint);
    } catch (error) {
      if (error.code !== unavailable || attempt === 50) throw error;
      await sleep(100);
    }
  }
}

async function usersOf(endpoint) {
  const at = `--endpoints=${endpoint}`;
  const said = [await etcdctl("user", "list", at), await etcdctl("role", "get", "reader", at)];
  for (const name of ["root", "alice"]) said.push(await etcdctl("user", "get", name, at));
  return said.join("");
}

/** Both tools read the same out of the file. */
async function sameStatus(file, revision) {
  const wanted = await etcdutl("snapshot", "status", file, "-w", "json");
  same(JSON.parse(await portal("snapshot", "status", file, "-w", "json")), JSON.parse(wanted));
  same(JSON.parse(wanted).revision, revision);
  for (const format of ["simple", "fields"]) {
    const [ours, theirs] = await Promise.all(
      [portal, etcdutl].map((tool) => tool("snapshot", "status", file, "-w", format)),
    );
    same(ours, theirs);
  }
}

async function refusesCompacted(endpoint, { compactRevision }) {
  const client = connect(endpoint);
  try {
    const key = Buffer.from("key/000000");
    const read = client.call("range", { key, revision: compactRevision - 1 });
    await fails(read, "required revision has been compacted");
    await client.call("range", { key, revision: compactRevision });
  } finally {
    client.close();
  }
}

/** A write gets the next revision, and a revoked lease takes its key along. */
async function writesOn(endpoint, { revision }) {
  const client = connect(endpoint);
  try {
    const put = { key: Buffer.from("after"), value: Buffer.from("restored") };
    same(Number((await client.call("put", put)).header.revision), revision + 1);
    await client.call("leaseRevoke", { ID: 501n });
    const { count } = await client.call("range", { key: Buffer.from("leased/501") });
    same(count, 0);
    await client.call("compact", { revision: revision + 1, physical: true });
  } finally {
    client.close();
  }
}

/** After another start: what was written is there, and what was deleted is not. */
async function goneOn(endpoint, { count }) {
  const facts = await factsOf(endpoint);
  same(facts.count, count);
  if (facts.leases.startsWith("501 ")) throw new Error("the lease is back");
}

async function onServer(start, dataDir, use) {
  const [port, peerPort] = await freePorts(2);
  const server = await start(dataDir ? { dataDir, port, peerPort } : {});
  try {
    await use(server.endpoint);
  } finally {
    await server.stop();
  }
}

/** Every member is restored from the same file, and they found a cluster together. */
async function onCluster(file, wanted) {
  const ports = await freePorts(6);
  const members = [0, 1, 2].map((i) => ({
    name: `m${i}`,
    port: ports[i],
    peerPort: ports[i + 3],
    dataDir: newPath("data"),
    url: `http://127.0.0.1:${ports[i + 3]}`,
  }));
  const cluster = members.map(({ name, url }) => `${name}=${url}`).join(",");
  const flagsOf = ({ name }) => [`--name=${name}`, `--initial-cluster=${cluster}`];
  for (const member of members) {
    const { dataDir, url } = member;
    const where = [`--data-dir=${dataDir}`, `--initial-advertise-peer-urls=${url}`];
    await portal("snapshot", "restore", file, ...where, ...flagsOf(member));
  }
  const starts = members.map((member) => {
    const { dataDir, port, peerPort } = member;
    return sides.portal.start({ dataDir, port, peerPort, args: flagsOf(member) });
  });
  const results = await Promise.allSettled(starts);
  const servers = results.flatMap(({ value }) => (value ? [value] : []));
  try {
    for (const { reason } of results) if (reason) throw reason;
    for (const { endpoint } of servers) same(await settledFacts(endpoint), wanted);
    await writesOn(servers[1].endpoint, wanted);
    for (const { endpoint } of servers) same((await settledFacts(endpoint)).count, wanted.count);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

function newPath(ending) {
  files += 1;
  return join(root, `${files}.${ending}`);
}

/** Resolves to standard output; rejects with what was said on standard error. */
function run(program, args) {
  return new Promise((resolve, reject) => {
    execFile(program, args, { maxBuffer: 1 << 26 }, (error, out, err) => {
      if (error) reject(new Error(`${args.slice(0, 2).join(" ")}: ${err || error.message}`));
      else resolve(out);
    });
  });
}

async function fails(promise, reason) {
  const said = await promise.then(
    () => "nothing",
    (error) => error.message,
  );
  if (!said.includes(reason)) throw new Error(`expected a refusal with "${reason}", got: ${said}`);
}

function same(found, wanted) {
  const [ours, theirs] = [found, wanted].map((value) => JSON.stringify(value));
  if (ours !== theirs) throw new Error(`${ours}, expected ${theirs}`);
}
