// /metrics beside etcd: the same things happen to three Portals and three etcds, and every family that Portal
// shows must be one of etcd's, of the same type, with the same labels and buckets.
import { setTimeout as sleep } from "node:timers/promises";
import { createChecks } from "../support/checks.mjs";
import { retry, startCluster } from "../support/cluster.mjs";
import { binary } from "./binaries.mjs";

/** Of a program in Node: etcd has go_* in their place. */
const ours = /^nodejs_/;
/** What dashboards and alerts for clusters look at. */
const expected = [
  "etcd_server_has_leader",
  "etcd_server_is_leader",
  "etcd_server_is_learner",
  "etcd_server_leader_changes_seen_total",
  "etcd_server_heartbeat_send_failures_total",
  "etcd_server_slow_read_indexes_total",
  "etcd_server_read_indexes_failed_total",
  "etcd_server_learner_promote_successes",
  "etcd_server_learner_promote_failures",
  "etcd_server_apply_duration_seconds",
  "etcd_server_slow_apply_total",
  "etcd_server_snapshot_apply_in_progress_total",
  "etcd_server_proposals_pending",
  "etcd_server_proposals_failed_total",
  "etcd_network_known_peers",
  "etcd_network_active_peers",
  "etcd_network_disconnected_peers_total",
  "etcd_network_peer_sent_bytes_total",
  "etcd_network_peer_received_bytes_total",
  "etcd_network_peer_sent_failures_total",
  "etcd_network_peer_round_trip_time_seconds",
  "etcd_network_snapshot_send_success",
  "etcd_network_snapshot_receive_success",
  "etcd_network_snapshot_send_inflights_total",
  "etcd_network_snapshot_receive_inflights_total",
  "etcd_network_snapshot_send_total_duration_seconds",
  "etcd_network_snapshot_receive_total_duration_seconds",
  "etcd_snap_db_save_total_duration_seconds",
  "etcd_snap_db_fsync_duration_seconds",
  "etcd_disk_wal_fsync_duration_seconds",
  "etcd_disk_backend_commit_duration_seconds",
  "etcd_disk_backend_snapshot_duration_seconds",
];
const snapshotArgs = ["--snapshot-count=100", "--snapshot-catchup-entries=50"];
const checks = createChecks("metrics");
const key = Buffer.from("key");

const pages = {};
for (const kind of ["etcd", "portal"]) {
  await checks.check(`three of ${kind} go through the same`, async () => {
    pages[kind] = await familiesOfCluster(kind);
  });
}
if (pages.etcd && pages.portal) {
  for (const name of expected) {
    await checks.check(`${name} is there`, () => {
      if (!pages.etcd.has(name)) throw new Error("etcd does not show it: the check is wrong");
      if (!pages.portal.has(name)) throw new Error("Portal does not show it");
    });
  }
  for (const [name, family] of pages.portal) {
    if (!ours.test(name)) await checks.check(`${name} is etcd's`, () => compare(name, family));
  }
}
checks.finish();

function compare(name, family) {
  const known = pages.etcd.get(name);
  if (!known) throw new Error("etcd has no such family");
  for (const fact of ["type", "labels", "buckets"]) {
    const [found, wanted] = [family[fact], known[fact]].map((value) =>
      typeof value === "string" ? value : [...value].join(" | "),
    );
    if (found !== wanted) throw new Error(`${fact}: ${found}; etcd has ${wanted}`);
  }
}

/** Writes, a leader that is lost, a member that falls behind, a learner; then what the pages of all show. */
async function familiesOfCluster(kind) {
  const kinds = [kind, kind, kind];
  const options = { kinds, etcdBinary: binary("etcd"), args: snapshotArgs, hasProxies: false };
  const cluster = await startCluster(options);
  try {
    for (const { client } of cluster.members) await writeAll(client);
    const leader = await cluster.leader();
    await leader.kill();
    const { client } = await cluster.leader();
    for (let i = 0; i < 400; i++) await client.call("put", { key, value: key });
    await leader.start();
    await retry(async () => {
      const families = await familiesOf(cluster);
      const last = "etcd_network_peer_round_trip_time_seconds";
      if (!families.has(last)) throw new Error(`no ${last} yet`);
      if (!families.has("etcd_network_snapshot_send_success")) throw new Error("no snapshot yet");
    });
    await retry(() => refusePromotion(cluster));
    await sleep(500);
    return await familiesOf(cluster);
  } finally {
    await cluster.stop();
  }
}

async function writeAll(client) {
  const { header } = await client.call("put", { key, value: key });
  await client.call("range", { key });
  const { ID } = await client.call("leaseGrant", { TTL: 60 });
  await client.call("leaseRevoke", { ID });
  await client.call("deleteRange", { key });
  await client.call("compact", { revision: header.revision, physical: true });
}

async function refusePromotion(cluster) {
  const { client } = await cluster.leader();
  const added = await client.call("memberAdd", {
    peerURLs: ["http://127.0.0.1:1"],
    isLearner: true,
  });
  const { ID } = added.member;
  await client.call("memberPromote", { ID }).catch(() => {});
  await client.call("memberRemove", { ID });
}

/** name -> { type, labels, buckets } of all members together. */
async function familiesOf(cluster) {
  const families = new Map();
  for (const { endpoint } of cluster.members) {
    const reply = await fetch(`http://${endpoint}/metrics`);
    readPage(await reply.text(), families);
  }
  for (const family of families.values()) family.labels = new Set([...family.labels].sort());
  return families;
}

function readPage(text, families) {
  let family;
  for (const line of text.split("\n")) {
    const [, name, type] = /^# TYPE (\S+) (\S+)/.exec(line) ?? [];
    if (name) {
      family = families.get(name) ?? { type, labels: new Set(), buckets: new Set() };
      families.set(name, family);
    }
    if (line === "" || line.startsWith("#")) continue;
    const labels = [...line.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    const names = labels.map(([, label]) => label).filter((label) => label !== "le");
    family.labels.add(`{${names.sort().join(",")}}`);
    const bound = labels.find(([, label]) => label === "le")?.[2];
    if (bound !== undefined) family.buckets.add(Number(bound.replace("+Inf", "Infinity")));
  }
}
