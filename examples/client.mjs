// The client, against Portal or etcd: a write, a transaction, a lease and a watch.
//
//   node examples/client.mjs [endpoint]        default 127.0.0.1:2379
import { Client, compare, isUnavailable, op } from "portal-kv";

const client = new Client({ endpoints: process.argv[2] ?? "127.0.0.1:2379", timeoutMs: 2_000 });
try {
  await run(client.namespace("example/"));
} catch (error) {
  if (!isUnavailable(error)) throw error;
  console.error(`no server at ${client.endpoints}: start one with \`npm start\``);
  process.exitCode = 1;
} finally {
  await client.close();
}

async function run(keys) {
  await keys.delete({ all: true });
  const { revision } = await keys.put("config/colour", "green");
  console.log("colour:", (await keys.get("config/colour")).text);

  // Who comes first gets the job; the lease ends it when this process dies.
  const lease = await keys.lease(10);
  const claim = await keys
    .txn()
    .when(compare.missing("jobs/1"))
    .do(op.put("jobs/1", "me", { lease }))
    .otherwise(op.get("jobs/1"))
    .commit();
  console.log("claimed:", claim.succeeded);

  await keys.put("config/colour", "blue");
  await lease.revoke();

  // Everything since the first write; leaving the loop ends the watch.
  for await (const event of keys.watch({ all: true }, { startRevision: revision })) {
    console.log(event.type.padEnd(6), event.kv.keyText, event.kv.text);
    if (event.type === "delete") break;
  }
}
