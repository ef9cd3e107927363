// The npm client etcd3 against Portal: what a Node program that was written for etcd does with it. etcd3 has
// a range of its own habits (its own retries, its own message code), none of which Portal knows.
import { Etcd3 } from "etcd3";
import { createChecks } from "../support/checks.mjs";
import { startPortal } from "../support/servers.mjs";

const server = await startPortal({});
const client = new Etcd3({ hosts: `http://${server.endpoint}` });
const checks = createChecks("etcd3");

await checks.check("put, get, numbers and missing keys", async () => {
  await client.put("app/name").value("portal");
  await client.put("app/port").value(2379);
  equal(await client.get("app/name").string(), "portal");
  equal(await client.get("app/port").number(), 2379);
  equal(await client.get("app/absent").string(), null);
});

await checks.check("prefix, sorting, limit, count, keys", async () => {
  for (const name of ["c", "a", "b"]) await client.put(`list/${name}`).value(name);
  equal(await client.getAll().prefix("list/").strings(), {
    "list/a": "a",
    "list/b": "b",
    "list/c": "c",
  });
  equal(await client.getAll().prefix("list/").sort("Key", "Descend").limit(2).keys(), [
    "list/c",
    "list/b",
  ]);
  equal(await client.getAll().prefix("list/").count(), 3);
});

await checks.check("delete with previous values", async () => {
  await client.put("gone").value("was here");
  const { deleted } = await client.delete().key("gone");
  equal(Number(deleted), 1);
  equal(await client.get("gone").exists(), false);
});

await checks.check("transactions", async () => {
  await client.put("stock").value("5");
  const act = (wanted) =>
    client
      .if("stock", "Value", "==", wanted)
      .then(client.put("stock").value("4"))
      .else(client.get("stock"))
      .commit();
  equal((await act("5")).succeeded, true);
  equal((await act("5")).succeeded, false);
  equal(await client.get("stock").string(), "4");
});

await checks.check("software transactional memory", async () => {
  await client.put("counter").value(0);
  const add = () =>
    client.stm({ retries: 100 }).transact(async (tx) => {
      const value = await tx.get("counter").number();
      await tx.put("counter").value(value + 1);
    });
  await Promise.all([add(), add(), add(), add()]);
  equal(await client.get("counter").number(), 4);
});

await checks.check("a watch sees puts and deletes", async () => {
  const seen = [];
  const watcher = await client.watch().prefix("watched/").create();
  watcher.on("put", (kv) => seen.push(`put ${kv.key.toString()} ${kv.value.toString()}`));
  watcher.on("delete", (kv) => seen.push(`delete ${kv.key.toString()}`));
  await client.put("watched/x").value("1");
  await client.delete().key("watched/x");
  await until(() => seen.length >= 2);
  await watcher.cancel();
  equal(seen, ["put watched/x 1", "delete watched/x"]);
});

await checks.check("a lease keeps its key, and takes it along", async () => {
  const lease = client.lease(10);
  await lease.put("leased").value("1");
  await lease.keepaliveOnce();
  equal(await client.get("leased").string(), "1");
  await lease.revoke();
  equal(await client.get("leased").exists(), false);
});

await checks.check("a lock lets one in at a time", async () => {
  let inside = 0;
  let most = 0;
  const enter = () =>
    client
      .lock("door")
      .ttl(10)
      .do(async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setTimeout(resolve, 20));
        inside -= 1;
      });
  const results = await Promise.allSettled([enter(), enter(), enter()]);
  if (!results.some((result) => result.status === "fulfilled")) throw results[0].reason;
  equal(most, 1);
});

await checks.check("an election has one leader", async () => {
  const election = client.election("role", 10);
  const campaign = election.campaign("first");
  await new Promise((resolve, reject) => {
    campaign.once("elected", resolve);
    campaign.once("error", reject);
  });
  equal(await election.leader(), "first");
  await campaign.resign();
});

await checks.check("members and status", async () => {
  const { members } = await client.cluster.memberList({});
  equal(members.length, 1);
  equal((await client.maintenance.status({})).version, "3.7.3");
});

client.close();
await server.stop();
checks.finish();

function equal(actual, expected) {
  const [ours, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (ours !== wanted) throw new Error(`is ${ours}, should be ${wanted}`);
}

async function until(condition) {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("did not happen within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
