// Portal's peer network as one of three members, the other two real etcds: streams both ways, votes,
// entries, proposals, reads, probes, snapshots, removal, mutual TLS. The third member has no raft core, only fixed
// answers (support/scripted-member.mjs), so what is judged here is the network alone.
// Prints "N passed, M failed".

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { clusterIdOf, memberIdOf } from "../../dist/src/node/members/identity.js";
import { MessageType } from "../../dist/src/raft/message.js";
import { InternalRaftRequest } from "../../dist/src/wire/generated/raft_internal.js";
import { createChecks } from "../support/checks.mjs";
import { freePorts, isHealthy, spawnServer } from "../support/servers.mjs";
import { binary } from "./support/etcd-process.mjs";
import { ScriptedMember } from "./support/scripted-member.mjs";

const run = promisify(execFile);
const { check, finish } = createChecks("peer");
const verbose = process.argv.includes("--log");
const token = "peer-interop";

await plainCluster();
await tlsCluster();
finish();
process.exit();

async function plainCluster() {
  const cluster = await startCluster("http");
  const { members } = cluster;
  await check("two etcds elect a leader and keep it", () => cluster.healthy());
  await check("all four streams with each etcd come up", () => allStreams(cluster));
  await check("entries arrive, in order and whole", () => replicates(cluster));
  await check("streams stay up, also when nothing is said", () => staysUp(cluster));
  await check("round trips and clocks are measured, by both", () => probes(cluster));
  await check("a proposal of ours is committed", () => proposes(cluster));
  await check("a leader answers our read index", () => readsIndex(cluster));
  await check("a large value (1 MiB) passes", () => largeValue(cluster));
  await check("another cluster is refused with 412", () => otherCluster(cluster));
  await check("etcd posts its messages while it has no stream to us", () => posted(cluster));
  await check("a leader sends us a snapshot when we are far behind", () => takesSnapshot(cluster));
  await check("etcd takes a snapshot file from us", () => givesSnapshot(cluster));
  await check("a stopped etcd becomes inactive and comes back", () => comesBack(cluster));
  await check("the leader is killed: our vote makes the other leader", () => failsOver(cluster));
  await check("etcd tells us when we are removed", () => isRemoved(cluster));
  await cluster.scripted.stop();
  for (const member of members) await member.server.kill();
  cluster.remove();
}

async function tlsCluster() {
  const cluster = await startCluster("https");
  await check("mutual TLS: a cluster forms", () => cluster.healthy());
  await check("mutual TLS: all streams come up", () => allStreams(cluster));
  await check("mutual TLS: entries arrive", () => replicates(cluster));
  await cluster.scripted.stop();
  for (const member of cluster.members) await member.server.kill();
  cluster.remove();
}

// ---- the checks

async function allStreams({ members, scripted }) {
  await eventually("four streams with each", () =>
    members.every(({ id }) => scripted.transport.streamsWith(id) === 4),
  );
  for (const member of members) {
    await eventually("etcd counts us as active", async () =>
      (await metricsOf(member)).includes(
        `etcd_network_active_peers{Local="${hex(member.id)}",Remote="${hex(scripted.id)}"} 1`,
      ),
    );
  }
}

async function replicates({ members, scripted, put }) {
  for (let i = 0; i < 40; i++) await put(members[i % 2], `key-${i}`, `value-${i}`);
  const has = (text) => [...scripted.log.values()].some(({ data }) => data?.includes(text));
  await eventually("the last entry", () => has("value-39"));
  for (let i = 0; i < 40; i++) if (!has(`value-${i}`)) throw new Error(`value-${i} is missing`);
  for (let i = 1; i <= scripted.lastIndex; i++) {
    if (scripted.log.get(i)?.index !== i) throw new Error(`entry ${i} is missing`);
  }
}

async function staysUp({ members, scripted }) {
  const before = scripted.transport.health();
  const lost = await Promise.all(members.map(disconnects));
  // A follower sends nothing to another follower: only heartbeats of the link keep that stream.
  await sleep(12_000);
  const after = scripted.transport.health();
  same(
    after.map((peer) => peer.activeSinceMs),
    before.map((peer) => peer.activeSinceMs),
  );
  same(await Promise.all(members.map(disconnects)), lost);
  for (const { id } of members) same(scripted.transport.streamsWith(id), 4);
}

async function probes({ members, scripted }) {
  for (const { id, roundTripMs, clockDriftMs } of scripted.transport.health()) {
    if (!(roundTripMs > 0 && roundTripMs < 1000))
      throw new Error(`round trip of ${id} is ${roundTripMs}`);
    if (!(Math.abs(clockDriftMs) < 500)) throw new Error(`clock drift of ${id} is ${clockDriftMs}`);
  }
  for (const member of members) {
    await eventually("etcd has measured us", async () => {
      const name = `etcd_network_peer_round_trip_time_seconds_count{To="${hex(scripted.id)}"}`;
      return numberOf(await metricsOf(member), name) > 0;
    });
  }
}

async function proposes({ members, scripted, get }) {
  const put = { key: Buffer.from("proposed"), value: Buffer.from("by us"), lease: 0n };
  const data = InternalRaftRequest.encode(
    InternalRaftRequest.fromPartial({ header: { ID: 77n }, put }),
  ).finish();
  const entries = [{ term: 0, index: 0, type: 0, data }];
  scripted.send({ type: MessageType.prop, to: scripted.leader, term: 0, entries });
  await eventually("the key", async () => (await get(members[0], "proposed")) === "by us");
}

async function readsIndex({ scripted }) {
  const context = Buffer.from("read-1");
  const entries = [{ term: 0, index: 0, type: 0, data: context }];
  scripted.send({ type: MessageType.readIndex, to: scripted.leader, term: 0, entries });
  await eventually("the answer", () =>
    scripted.received.some(
      ({ type, entries: [entry], index }) =>
        type === MessageType.readIndexResp && index > 0 && entry?.data.equals(context),
    ),
  );
}

async function largeValue({ members, scripted }) {
  const before = scripted.lastIndex;
  const child = run(binary("etcdctl"), [`--endpoints=${members[0].client}`, "put", "large"]);
  child.child.stdin.end("x".repeat(1_048_000));
  await child;
  await eventually("the entry", () =>
    [...scripted.log.values()].some(({ index, data }) => index > before && data.length > 1_048_000),
  );
}

async function otherCluster({ members: [member] }) {
  const answer = await get(member.url, "/raft/stream/message/1", {
    "X-Server-From": "1",
    "X-Server-Version": "3.7.3",
    "X-Min-Cluster-Version": "3.0.0",
    "X-Etcd-Cluster-ID": "1",
    "X-Raft-To": hex(member.id),
  });
  same([answer.status, answer.body], [412, "cluster ID mismatch\n"]);
}

async function posted(cluster) {
  await cluster.scripted.stop();
  // We do not find the etcds; they find us. So their messages have no stream, and ours have.
  const scripted = await cluster.startScripted({ othersUrl: "http://127.0.0.1:1" });
  await eventually("the etcds' dials", () =>
    cluster.members.every(({ id }) => scripted.transport.streamsWith(id) === 2),
  );
  const before = scripted.countOf(MessageType.heartbeat);
  await eventually("posted heartbeats", () => scripted.countOf(MessageType.heartbeat) > before + 3);
  await cluster.put(cluster.members[0], "posted", "yes");
  await scripted.stop();
  await cluster.startScripted();
}

async function takesSnapshot(cluster) {
  const { members, put } = cluster;
  await cluster.scripted.stop();
  for (let i = 0; i < 60; i++) await put(members[0], `more-${i}`, "x".repeat(1000));
  const scripted = await cluster.startScripted(); // it has forgotten everything
  await eventually("a snapshot", () => scripted.snapshots.length > 0, 20_000);
  const [{ message, path, sizeBytes }] = scripted.snapshots;
  same(statSync(path).size, sizeBytes);
  same(message.snapshot.metadata.confState.voters.length, 3);
  same(boltMagic(path), 0xed0cdaed);
  await put(members[0], "after-snapshot", "1");
  await eventually("entries after it", () => scripted.log.size > 1);
}

async function givesSnapshot({ members, scripted }) {
  const [{ message, path, sizeBytes }] = scripted.snapshots;
  const follower = members.find(({ id }) => id !== scripted.leader);
  // Of an old term: etcd keeps the file and does not install it.
  const sent = { ...message, from: scripted.id, to: follower.id, term: message.term - 1 || 1 };
  scripted.transport.sendSnapshot(sent, { path, sizeBytes });
  await eventually("the outcome", () => scripted.snapshotsSent.length > 0);
  same(scripted.snapshotsSent, [{ id: follower.id, ok: true }]);
  const name = `etcd_network_snapshot_receive_success{From="${hex(scripted.id)}"}`;
  same(numberOf(await metricsOf(follower), name), 1);
}

async function comesBack({ members, scripted }) {
  const follower = members.find(({ id }) => id !== scripted.leader);
  const since = () =>
    scripted.transport.health().find(({ id }) => id === follower.id).activeSinceMs;
  follower.server.signal("SIGSTOP");
  await eventually("silence noticed", () => since() === undefined, 15_000);
  follower.server.signal("SIGCONT");
  await eventually(
    "streams again",
    () => scripted.transport.streamsWith(follower.id) === 4,
    15_000,
  );
  if (since() === undefined) throw new Error("not active again");
}

async function failsOver({ members, scripted, put }) {
  await eventually("a leader", () => members.some(({ id }) => id === scripted.leader));
  const leader = members.find(({ id }) => id === scripted.leader);
  const other = members.find(({ id }) => id !== scripted.leader);
  await leader.server.kill();
  await eventually("its end noticed", () => scripted.gone.includes(leader.id));
  await eventually("the other leads", () => scripted.leader === other.id, 20_000);
  await put(other, "survived", "yes");
  await eventually("the entry", () =>
    [...scripted.log.values()].some(({ data }) => data?.includes("survived")),
  );
  leader.server = leader.start();
  await eventually("it is back", () => scripted.transport.streamsWith(leader.id) === 4, 20_000);
}

async function isRemoved({ members, scripted }) {
  const endpoints = `--endpoints=${members.map(({ client }) => client).join(",")}`;
  await eventually(
    "etcds that agree to remove us",
    () =>
      run(binary("etcdctl"), [endpoints, "member", "remove", hex(scripted.id)]).then(
        () => true,
        (error) => {
          if (`${error.stderr}`.includes("not found")) return true;
          return false;
        },
      ),
    20_000,
  );
  await eventually("the notice", () => scripted.removedNotices > 0, 15_000);
}

// ---- the cluster

async function startCluster(scheme) {
  const folder = mkdtempSync(join(tmpdir(), "portal-peer-interop-"));
  const ports = await freePorts(5);
  const urls = ports.slice(0, 3).map((port) => `${scheme}://127.0.0.1:${port}`);
  const ids = urls.map((url) => memberIdOf([url], token));
  const clusterId = clusterIdOf(ids);
  const names = ["a", "b", "portal"];
  const files = scheme === "https" ? makeCertificates(folder) : undefined;
  const initial = names.map((name, i) => `${name}=${urls[i]}`).join(",");
  const members = [0, 1].map((i) => {
    const client = `127.0.0.1:${ports[3 + i]}`;
    const command = [binary("etcd"), `--name=${names[i]}`, `--data-dir=${join(folder, names[i])}`];
    command.push(
      `--listen-client-urls=http://${client}`,
      `--advertise-client-urls=http://${client}`,
    );
    command.push(`--listen-peer-urls=${urls[i]}`, `--initial-advertise-peer-urls=${urls[i]}`);
    command.push(`--initial-cluster=${initial}`, `--initial-cluster-token=${token}`);
    command.push("--snapshot-count=20", "--snapshot-catchup-entries=10", "--log-level=warn");
    if (files) command.push(...peerFlags(files));
    const start = () => spawnServer({ name: names[i], command, port: ports[3 + i] });
    const server = start();
    return { id: ids[i], url: urls[i], client, port: ports[3 + i], server, start };
  });
  const cluster = {
    folder,
    members,
    scripted: undefined,
    async startScripted({ othersUrl } = {}) {
      cluster.scripted = await ScriptedMember.start({
        id: ids[2],
        clusterId,
        url: urls[2],
        others: members.map(({ id, url }) => ({ id, url: othersUrl ?? url })),
        tls: files?.options,
        verbose,
      });
      return cluster.scripted;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
    async healthy() {
      await eventually(
        "healthy etcds",
        async () => (await Promise.all(members.map(({ port }) => isHealthy(port)))).every(Boolean),
        30_000,
      ).catch((error) => {
        throw new Error(
          `${error.message}\n${members.map(({ server }) => server.output).join("\n")}`,
        );
      });
    },
    async put(member, key, value) {
      await run(binary("etcdctl"), [`--endpoints=${member.client}`, "put", key, value]);
    },
    async get(member, key) {
      const args = [`--endpoints=${member.client}`, "get", key, "--print-value-only"];
      return (await run(binary("etcdctl"), args)).stdout.trim();
    },
  };
  await cluster.startScripted();
  return cluster;
}

function makeCertificates(folder) {
  const at = (name) => join(folder, name);
  const openssl = (...args) => execFileSync("openssl", args, { stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const ca = ["-keyout", at("ca.key"), "-out", at("ca.crt"), "-subj", "/CN=ca", "-days", "2"];
  openssl("req", "-x509", ...key, ...ca);
  openssl("req", ...key, "-keyout", at("m.key"), "-out", at("m.csr"), "-subj", "/CN=member");
  writeFileSync(at("m.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  const sign = ["-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2"];
  openssl(
    "x509",
    "-req",
    "-in",
    at("m.csr"),
    ...sign,
    "-extfile",
    at("m.ext"),
    "-out",
    at("m.crt"),
  );
  const [caBytes, cert, keyBytes] = ["ca.crt", "m.crt", "m.key"].map((name) => readText(at(name)));
  const both = { ca: caBytes, cert, key: keyBytes };
  return {
    ca: at("ca.crt"),
    cert: at("m.crt"),
    key: at("m.key"),
    options: {
      dial: both,
      listen: { options: { ...both, requestCert: true, rejectUnauthorized: true } },
    },
  };
}

function peerFlags({ ca, cert, key }) {
  return [
    `--peer-cert-file=${cert}`,
    `--peer-key-file=${key}`,
    `--peer-trusted-ca-file=${ca}`,
    "--peer-client-cert-auth",
  ];
}

// ---- small things

function readText(path) {
  const buffer = Buffer.alloc(statSync(path).size);
  readSync(openSync(path, "r"), buffer);
  return buffer.toString();
}

function boltMagic(path) {
  const page = Buffer.alloc(32);
  readSync(openSync(path, "r"), page);
  return page.readUInt32LE(16);
}

async function metricsOf(member) {
  return (await get(`http://${member.client}`, "/metrics")).body;
}

async function disconnects(member) {
  const lines = (await metricsOf(member)).split("\n");
  return lines.filter((line) => line.startsWith("etcd_network_disconnected_peers_total"));
}

function numberOf(metrics, name) {
  const line = metrics.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length));
}

function get(base, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(path, base), { headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (body += part));
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
    request.on("error", reject);
    request.end();
  });
}

function hex(id) {
  return id.toString(16);
}

async function eventually(what, condition, timeoutMs = 15_000) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await condition()) return;
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await sleep(50);
  }
}

function same(actual, expected) {
  const text = (value) =>
    JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}n` : one));
  if (text(actual) !== text(expected)) throw new Error(`${text(actual)} is not ${text(expected)}`);
}
