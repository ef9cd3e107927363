// Three members in one process, as a program's test might want them; in production each has its own machine. One
// client knows all three. The leader is stopped, and the client notices nothing.
//
//   node examples/cluster.mjs
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Portal } from "portal-kv";

const folder = mkdtempSync(join(tmpdir(), "portal-example-"));
const names = ["m1", "m2", "m3"];
const peerUrls = await Promise.all(names.map(async () => `http://127.0.0.1:${await freePort()}`));
const initialCluster = names.map((name, at) => `${name}=${peerUrls[at]}`).join(",");

const members = await Promise.all(
  names.map((name, at) =>
    Portal.start({
      name,
      dataDir: join(folder, name),
      flags: {
        "initial-cluster": initialCluster,
        "listen-peer-urls": peerUrls[at],
        "initial-advertise-peer-urls": peerUrls[at],
      },
    }),
  ),
);
const client = new Client({ endpoints: members.flatMap(({ endpoints }) => endpoints) });
try {
  await client.put("greeting", "hello");
  const { members: listed } = await client.cluster.memberList();
  console.log(`members: ${listed.map(({ name }) => name).sort()}`);

  const statuses = await Promise.all(members.map((one) => one.client.maintenance.status()));
  const leads = ({ leader, header }) => leader === header.memberId;
  const [leader] = members.splice(statuses.findIndex(leads), 1);
  await leader.close();
  await client.put("greeting", "still here");

  for (const { client: each } of members) console.log((await each.get("greeting")).text);
} finally {
  await client.close();
  await Promise.all(members.map((member) => member.close()));
  rmSync(folder, { recursive: true, force: true });
}

/** A port that was free a moment ago: the members must know each other's addresses before they start. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
