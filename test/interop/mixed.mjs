// Portal and real etcd 3.7.3 members in one cluster: one Portal and two etcd write, lead, crash, lag and catch up
// together, and must hold the same at every revision. Then a cluster of etcd turns into one of Portal, a member
// at a time, without a stop, and back.
//
//   node test/interop/mixed.mjs [--etcd] [--verbose]     --etcd tries the suite with etcd in Portal's place
import { setTimeout as sleep } from "node:timers/promises";
import { createChecks } from "../support/checks.mjs";
import { retry, startCluster } from "../support/cluster.mjs";
import { disasters, sufferDisasters } from "../support/disasters.mjs";
import { RecordedLoad, readChanges } from "../support/recorded-load.mjs";
import { Seeded } from "../support/seeded.mjs";
import { binary } from "./binaries.mjs";

const portal = process.argv.includes("--etcd") ? "etcd" : "portal";
const checks = createChecks("mixed");
const bytes = (text) => Buffer.from(text);
const everything = { key: Buffer.of(0), rangeEnd: Buffer.of(0) };
/** More entries than the leader keeps for members that are behind. */
const snapshotEntries = 100;
const entriesToLag = 600;
const args = [`--snapshot-count=${snapshotEntries}`, "--snapshot-catchup-entries=50"];
let written = 0;

await oneOfThree();
await migration();
checks.finish();

async function oneOfThree() {
  const cluster = await startOrReport([portal, "etcd", "etcd"]);
  if (!cluster) return;
  const [ours, ...theirs] = cluster.members;
  const check = (name, body) => checks.check(name, body, 120_000);
  try {
    await check("all list the same members", () => sameMemberLists(cluster));
    await check("what is written through each is read through each", () => writeAndRead(cluster));
    await check("a watch on each sees what is written through the others", () =>
      watchAcross(cluster),
    );
    for (const leader of [ours, ...theirs]) {
      const who = leader === ours ? "Portal" : leader.name;
      await check(`${who} leads: writes through each, equal hashes`, async () => {
        await moveLeader(cluster, leader);
        await writeAndRead(cluster);
        await equalHashes(cluster);
      });
      await check(`${who} leads: a lease lives by keepalives and ends without`, async () => {
        await moveLeader(cluster, leader);
        for (const member of cluster.members) await leaseLives(cluster, member);
      });
      await check(`${who} leads: compaction leaves equal hashes`, async () => {
        await moveLeader(cluster, leader);
        await compact(cluster);
        await equalHashes(cluster);
      });
    }
    for (const member of cluster.members) {
      await check(`${member.name} (${member.kind}) is killed and comes back`, async () => {
        await member.kill();
        try {
          for (const other of cluster.running) await put(other, "while-away", member.name);
        } finally {
          await member.start();
        }
        await writeAndRead(cluster);
        await equalHashes(cluster);
      });
    }
    await check("Portal was away for long and gets a snapshot from etcd", () =>
      lagAndReturn(cluster, ours, theirs[0]),
    );
    for (const member of theirs) {
      await check(`${member.name} (etcd) was away for long and gets a snapshot from Portal`, () =>
        lagAndReturn(cluster, member, ours),
      );
    }
    await check("through every disaster no acknowledged write is lost, and all hold the same", () =>
      disastersTogether(cluster),
    );
  } finally {
    await cluster.stop();
  }
}

/** A running etcd cluster becomes one of Portal and turns back, under writes. */
async function migration() {
  const cluster = await startOrReport(["etcd", "etcd", "etcd"]);
  if (!cluster) return;
  try {
    for (const [from, to] of [
      ["etcd", portal],
      [portal, "etcd"],
    ]) {
      const title = from === "etcd" ? "etcd becomes Portal" : "Portal becomes etcd";
      await checks.check(
        `${title}, a member at a time, as learners, under writes`,
        () => exchangeAll(cluster, to),
        180_000,
      );
    }
  } finally {
    await cluster.stop();
  }
}

async function startOrReport(kinds) {
  let cluster;
  await checks.check(`${kinds.join(", ")} found a cluster`, async () => {
    cluster = await startCluster({ kinds, etcdBinary: binary("etcd"), args });
  });
  return cluster;
}

function put(member, key, value) {
  return retry(
    () => member.client.call("put", { key: bytes(key), value: bytes(value) }, { timeoutMs: 2_000 }),
    15_000,
  );
}

async function get(member, key) {
  const { kvs } = await member.client.call("range", { key: bytes(key) });
  return kvs[0] && Buffer.from(kvs[0].value).toString();
}

function same(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`);
}

async function sameMemberLists(cluster) {
  const lists = await Promise.all(
    cluster.members.map(async ({ client }) => {
      const { header, members } = await client.call("memberList", { linearizable: true });
      const sorted = members.map(({ ID, name, peerURLs, clientURLs, isLearner }) => [
        ...[String(ID), name, peerURLs, clientURLs, isLearner],
      ]);
      return [String(header.clusterId), sorted.sort()];
    }),
  );
  for (const list of lists) same(list, lists[0], "members");
}

async function writeAndRead(cluster) {
  for (const writer of cluster.members) {
    written += 1;
    const key = `written-${written}`;
    await put(writer, key, writer.name);
    for (const reader of cluster.members) {
      same(await get(reader, key), writer.name, `${key} through ${reader.name}`);
    }
  }
}

async function watchAcross(cluster) {
  for (const watcher of cluster.members) {
    const watch = watcher.client.open("watch");
    const key = bytes("watched");
    watch.send({ requestUnion: { $case: "createRequest", value: { key } } });
    await watch.next();
    for (const writer of cluster.members) {
      await put(writer, "watched", writer.name);
      const { events } = await watch.next();
      same(Buffer.from(events[0].kv.value).toString(), writer.name, `seen at ${watcher.name}`);
    }
    watch.cancel();
  }
}

async function moveLeader(cluster, target) {
  const leader = await cluster.leader();
  if (leader === target) return;
  await retry(() => leader.client.call("moveLeader", { targetID: target.id }));
  await retry(async () => same((await cluster.leader()).name, target.name, "the leader"));
}

async function equalHashes(cluster) {
  const hashes = await cluster.hashes();
  for (const hash of hashes) same(hash, hashes[0], "hash");
}

/** Granted here, kept alive through each member, then left to end: the key is gone everywhere. */
async function leaseLives(cluster, member) {
  const { ID } = await member.client.call("leaseGrant", { TTL: 2 });
  const key = bytes(`leased-${ID}`);
  await member.client.call("put", { key, value: bytes("1"), lease: ID });
  for (const keeper of cluster.members) {
    await sleep(800);
    const stream = keeper.client.open("leaseKeepAlive");
    stream.send({ ID });
    const { TTL } = await stream.next();
    stream.end();
    same(String(TTL), "2", `the TTL that ${keeper.name} tells`);
  }
  const asked = await member.client.call("leaseTimeToLive", { ID, keys: true });
  same(asked.keys.length, 1, "keys of the lease");
  await retry(async () => {
    for (const reader of cluster.members) {
      same(await get(reader, `leased-${ID}`), undefined, `the key at ${reader.name}`);
    }
  }, 10_000);
}

async function compact(cluster) {
  const [member] = cluster.members;
  for (let count = 0; count < 30; count += 1)
    await put(member, `compacted-${count % 3}`, `${count}`);
  const { header } = await member.client.call("range", { key: bytes("x") });
  await member.client.call("compact", { revision: Number(header.revision) - 5, physical: true });
  // The others compact in their own time; a hash meanwhile is of another range.
  await retry(() => equalHashes(cluster));
}

/** `member` is gone while more is written than the log keeps; `leader` leads when it returns. */
async function lagAndReturn(cluster, member, leader) {
  await moveLeader(cluster, leader);
  await member.kill();
  const writer = cluster.running.find((other) => other !== leader) ?? leader;
  for (let count = 0; count < entriesToLag; count += 20) {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => put(writer, `lag-${index}`, `${count}`)),
    );
  }
  same((await cluster.leader()).name, leader.name, "the leader");
  await member.start();
  await writeAndRead(cluster);
  await equalHashes(cluster);
  const { kvs } = await member.client.call("range", { ...everything, serializable: true });
  const other = await leader.client.call("range", everything);
  same(kvs.length, other.kvs.length, `keys at ${member.name}`);
}

async function disastersTogether(cluster) {
  const random = new Seeded(23);
  const load = new RecordedLoad({ members: () => cluster.members, random, clients: 8, pauseMs: 8 });
  const names = random.shuffled(Object.keys(disasters).filter((name) => name !== "replaceMember"));
  try {
    await sufferDisasters(cluster, names, random, { lastsMs: 1_000 });
  } finally {
    await load.stop();
  }
  await lost(cluster, load.calls);
  await equalHashes(cluster);
}

/** Every acknowledged write is in the history that each member keeps, at the revision that was told. */
async function lost(cluster, calls) {
  for (const member of cluster.members) {
    const { changes } = await readChangesSinceCompaction(member);
    const oldest = Math.min(...changes.keys());
    for (const { action, outcome } of calls) {
      const [step] = action.kind === "write" ? action.success : [];
      if (step?.kind !== "put" || outcome.kind !== "ok" || !outcome.succeeded) continue;
      if (outcome.revision < oldest) continue;
      const [event] = changes.get(outcome.revision) ?? [];
      same(event?.kv?.value, step.value, `revision ${outcome.revision} at ${member.name}`);
    }
  }
}

async function readChangesSinceCompaction(member) {
  const { compactRevision } = await member.client.call("hashKV", {});
  return readChanges(member, Math.max(2, compactRevision + 1));
}

async function exchangeAll(cluster, kind) {
  let isOver = false;
  let acknowledged = 0;
  const writing = (async () => {
    while (!isOver) {
      const value = bytes(String(acknowledged + 1));
      // Whoever is there: members go away meanwhile.
      await retry(() =>
        cluster.running[0].client.call(
          "put",
          { key: bytes("under-way"), value },
          { timeoutMs: 2_000 },
        ),
      );
      acknowledged += 1;
      await sleep(5);
    }
  })();
  for (const old of [...cluster.members]) {
    const fresh = await cluster.grow(kind, { isLearner: true });
    const leader = await cluster.leader();
    await retry(() => leader.client.call("memberPromote", { ID: fresh.id }));
    await fresh.waitUntilHealthy();
    if ((await cluster.leader()) === old) await moveLeader(cluster, fresh);
    await cluster.shrink(old);
    await cluster.leader();
  }
  isOver = true;
  await writing;
  same(cluster.members.map((member) => member.kind).join(), `${kind},${kind},${kind}`, "kinds");
  for (const reader of cluster.members) {
    same(await get(reader, "under-way"), String(acknowledged), `the last write at ${reader.name}`);
  }
  await equalHashes(cluster);
}
