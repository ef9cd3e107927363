// Portal's reading and writing of etcd's database files, row by row: what a real etcd saved goes into a database of
// Portal's and out again, and every row of every bucket is the same, as is the hash of all history. Prints
// "N passed, N failed".
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../dist/src/base/random.js";
import { systemClock as clock } from "../../dist/src/io/clock.js";
import { systemDisk as disk } from "../../dist/src/io/disk.js";
import { Store } from "../../dist/src/mvcc/store.js";
import { buildDatabase } from "../../dist/src/node/snapshot/build-database.js";
import { writeDatabaseFile } from "../../dist/src/node/snapshot/write-database-file.js";
import { BboltFile } from "../../dist/src/storage/bbolt/bbolt-file.js";
import { LmdbFiles } from "../../dist/src/storage/database-files.js";
import { createChecks } from "../support/checks.mjs";
import { connect } from "../support/etcd-client.mjs";
import { startEtcd } from "../support/servers.mjs";
import { binary } from "./binaries.mjs";
import { ctl, putLoad, putUsers } from "./support/snapshot-load.mjs";

const etcdctl = binary("etcdctl");
const root = mkdtempSync(join(tmpdir(), "portal-rows-"));
const checks = createChecks("database-rows");
const histories = 12;

try {
  const server = await startEtcd({ binary: binary("etcd") });
  const client = await connect(server.endpoint);
  try {
    await check("a new server", client, server.endpoint);
    const random = new Random(20_261);
    for (let i = 1; i <= histories; i++) {
      await randomCommands(client, random);
      await check(`random history ${i}`, client, server.endpoint);
    }
    await putLoad(client, { firstLease: 5_001n });
    putUsers(etcdctl, server.endpoint);
    ctl(etcdctl, server.endpoint, "member", "add", "more", "--learner", "--peer-urls=http://h:1");
    await check("users, a learner, large values", client, server.endpoint);
    ctl(etcdctl, server.endpoint, "del", "", "--from-key");
    await check("no keys", client, server.endpoint);
  } finally {
    await client.close();
    await server.stop();
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
checks.finish();

/** Few keys, so that they are overwritten, deleted, and come back; compactions and leases among them. */
async function randomCommands(client, random) {
  const key = () => Buffer.from(`k${random.below(12)}`);
  const leases = [0n, 0n, 0n];
  for (let i = 0; i < 2; i++) {
    const { ID } = await client.call("leaseGrant", { ID: 0n, TTL: 36_000 });
    leases.push(ID);
  }
  const put = () => ({
    key: key(),
    value: Buffer.alloc(random.below(random.chance(0.1) ? 9000 : 20), "v"),
    lease: leases[random.below(leases.length)],
  });
  for (let i = 0; i < 60; i++) {
    const kind = random.below(10);
    if (kind < 5) await client.call("put", put());
    else if (kind < 7) await client.call("deleteRange", { key: key(), rangeEnd: key() });
    else if (kind < 9) {
      const success = [
        { request: { $case: "requestDeleteRange", value: { key: key(), rangeEnd: key() } } },
        ...Array.from({ length: 3 }, (_, n) => {
          const value = { ...put(), key: Buffer.from(`k${n * 4 + random.below(4)}`) };
          return { request: { $case: "requestPut", value } };
        }).slice(random.below(3)),
      ];
      // A key that is deleted and put in one transaction is refused; then nothing happens.
      await client.call("txn", { compare: [], success, failure: [] }).catch(() => {});
    } else {
      const { header } = await client.call("range", { key: Buffer.from("k") });
      const revision = Number(header.revision) - random.below(8);
      await client.call("compact", { revision, physical: true }).catch(() => {});
    }
  }
}

async function check(what, client, endpoint) {
  await checks.check(`every row comes back: ${what}`, async () => {
    const name = join(root, what.replaceAll(/\W/g, "-"));
    const [saved, written] = [`${name}.db`, `${name}.written.db`];
    ctl(etcdctl, endpoint, "snapshot", "save", saved);
    const wanted = await client.call("hashKV", { revision: 0 });
    const files = new LmdbFiles();
    const backend = await files.open(`${name}.portal`);
    try {
      await buildDatabase({ disk, path: saved, backend, clock });
      const { hash, revision } = Store.open({}, { backend }).hashKv(0);
      same({ hash, revision }, { hash: wanted.hash, revision: Number(wanted.hashRevision) });
      const snapshot = backend.snapshot();
      await writeDatabaseFile({ snapshot, disk, path: written, clock });
      snapshot.close();
    } finally {
      await backend.close();
    }
    same(await rowsOf(written), await rowsOf(saved));
  });
}

async function rowsOf(path) {
  const rows = {};
  const file = await BboltFile.open({ disk, path });
  for (const bucket of file.bucketNames()) {
    rows[bucket] = "bucket";
    for await (const batch of file.scan(bucket)) {
      for (let i = 0; i < batch.count; i++) {
        rows[`${bucket} ${batch.key(i).toString("hex")}`] = batch.value(i).toString("hex");
      }
    }
  }
  await file.close();
  return rows;
}

function same(actual, wanted) {
  const names = new Set([...Object.keys(actual), ...Object.keys(wanted)]);
  const wrong = [...names].filter((name) => actual[name] !== wanted[name]);
  if (wrong.length === 0) return;
  const [first] = wrong;
  throw new Error(`${wrong.length} differ; ${first}: ${actual[first]}, wanted ${wanted[first]}`);
}
