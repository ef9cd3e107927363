// What a snapshot has to carry, put on a server by etcdctl and etcd's client: many keys, large values, old
// versions, deleted keys, a compaction, leases with keys, users and roles.
import { execFileSync } from "node:child_process";

/** Runs etcdctl against a server that has no users yet. */
export function ctl(etcdctl, endpoint, ...args) {
  const options = { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "pipe"] };
  return execFileSync(etcdctl, [`--endpoints=${endpoint}`, ...args], options);
}

/** Puts all but the users. `client` is of ../../support/etcd-client.mjs. */
export async function putLoad(
  client,
  { keys = 3_000, largeBytes = 900_000, firstLease = 501n } = {},
) {
  const put = (key, value, lease = 0n) =>
    client.call("put", { key: Buffer.from(key), value, lease });
  for (let from = 0; from < keys; from += 100) {
    const success = [];
    for (let i = from; i < Math.min(from + 100, keys); i++) {
      const value = Buffer.alloc((i * 37) % 700, i);
      const key = Buffer.from(`key/${String(i).padStart(6, "0")}`);
      success.push({ request: { $case: "requestPut", value: { key, value } } });
    }
    await client.call("txn", { compare: [], success, failure: [] });
  }
  for (let i = 0; i < 4; i++) await put(`large/${i}`, Buffer.alloc(largeBytes - i * 100_000, i));
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 20; i++) await put(`often/${i}`, Buffer.from(`${round}`));
  }
  const key = Buffer.from("key/0001");
  const removed = await client.call("deleteRange", { key, rangeEnd: Buffer.from("key/0002") });
  const revision = Number(removed.header.revision);
  await client.call("compact", { revision: revision - 60, physical: true });
  await client.call("deleteRange", { key: Buffer.from("often/3") });
  for (const id of [firstLease, firstLease + 1n]) {
    await client.call("leaseGrant", { ID: id, TTL: 36_000 });
    await put(`leased/${id}`, Buffer.from("x"), id);
  }
}

/** A root user and another with a role; passwords are the names. Authentication stays off. */
export function putUsers(etcdctl, endpoint) {
  const run = (...args) => ctl(etcdctl, endpoint, ...args);
  run("role", "add", "reader");
  run("role", "grant-permission", "reader", "--prefix=true", "read", "key/");
  for (const name of ["root", "alice"]) run("user", "add", `${name}:${name}`);
  run("user", "grant-role", "root", "root");
  run("user", "grant-role", "alice", "reader");
}
