// A member inside this process: no other server, the same API. Writes are on the disk when `put` resolves, and
// other processes may connect to `portal.endpoints` meanwhile. Run it twice to see that the data is still there.
//
//   node examples/embed.mjs [data folder]      without a folder: in memory
import { Portal } from "portal-kv";

const dataDir = process.argv[2];
const portal = await Portal.start(dataDir ? { dataDir } : { memory: true });
try {
  const { client } = portal;
  const before = await client.get("visits");
  const visits = Number(before?.text ?? "0") + 1;
  const { revision } = await client.put("visits", String(visits));
  console.log(`visit ${visits}, stored at revision ${revision}`);

  const { count } = await client.getAll({ all: true });
  console.log(`keys: ${count}`);
} finally {
  await portal.close();
}
