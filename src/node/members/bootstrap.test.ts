import { expect, test } from "vitest";
import type { PeerClient, RemoteCluster, RemoteVersions } from "../../peer/peer-client.ts";
import { EntryType } from "../../raft/types.ts";
import { ConfChangeKind, encodeConfChange } from "../../wire/conf-change.ts";
import { ConfChange } from "../../wire/generated/raft.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import { noPeerClient } from "../no-peers.ts";
import { type BootstrapOptions, beginMember } from "./bootstrap.ts";
import { forceNewCluster } from "./force-new-cluster.ts";
import { sameUrls } from "./same-urls.ts";

const three = [
  { name: "m1", peerUrls: ["http://10.0.0.1:2380"] },
  { name: "m2", peerUrls: ["http://10.0.0.2:2380"] },
  { name: "m3", peerUrls: ["http://10.0.0.3:2380"] },
];

function begin(
  options: Partial<BootstrapOptions> = {},
  client: Partial<PeerClient> = {},
  names: Record<string, string> = {},
) {
  return beginMember(
    {
      name: "m1",
      peerUrls: ["http://10.0.0.1:2380"],
      initialCluster: three,
      clusterState: "new",
      clusterToken: "etcd-cluster",
      maxLearners: 1,
      requestTimeoutMs: 1000,
      version: "3.7.3",
      ...options,
    },
    {
      peerClient: { ...noPeerClient, ...client },
      lookUpHost: async (name) => {
        const address = names[name];
        if (address === undefined) throw new Error("no such host");
        return address;
      },
    },
  );
}

function member(id: bigint, url: string, more: Partial<Member> = {}): Member {
  return { ID: id, name: "", peerURLs: [url], clientURLs: [], isLearner: false, ...more };
}

function remote(members: readonly Member[], versions: RemoteVersions): Partial<PeerClient> {
  const cluster: RemoteCluster = { clusterId: 0xabcn, members };
  return {
    members: async () => cluster,
    versions: async () => versions,
    downgradeEnabled: async () => false,
  };
}

test("a lone member has the ids that etcd gives it", async () => {
  const lone = { name: "default", peerUrls: ["http://localhost:2380"] };
  const beginning = await begin({ ...lone, initialCluster: [lone] });
  expect(beginning.memberId).toBe(10276657743932975437n);
  expect(beginning.clusterId).toBe(14841639068965178418n);
  expect(String(beginning.founders[0]?.context)).toBe(
    '{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default"}',
  );
});

test("founders are the same at every member, in the order of their ids", async () => {
  const [one, two] = await Promise.all([
    begin(),
    begin({
      name: "m2",
      peerUrls: ["http://10.0.0.2:2380"],
      initialCluster: [...three].reverse(),
    }),
  ]);
  expect(one?.founders).toEqual(two?.founders);
  expect(one?.clusterId).toBe(two?.clusterId);
  expect(one?.memberId).not.toBe(two?.memberId);
  const ids = one?.founders.map((founder) => founder.id) ?? [];
  expect(ids).toEqual([...ids].sort((a, b) => (a < b ? -1 : 1)));
});

test("settings that do not fit together are refused in etcd's words", async () => {
  await expect(begin({ name: "m9" })).rejects.toThrow(
    `couldn't find local name "m9" in the initial cluster configuration`,
  );
  await expect(begin({ peerUrls: ["http://10.0.0.9:2380"] })).rejects.toThrow(
    '--initial-cluster has m1=http://10.0.0.1:2380 but missing from --initial-advertise-peer-urls=http://10.0.0.9:2380 (resolved urls: "http://10.0.0.9:2380" != "http://10.0.0.1:2380")',
  );
  await expect(begin({ peerUrls: ["http://10.0.0.1:2380", "http://b:1"] })).rejects.toThrow(
    "--initial-advertise-peer-urls has http://b:1 but missing from --initial-cluster=m1=http://10.0.0.1:2380,m1=http://b:1",
  );
  const twice = [...three, { name: "m4", peerUrls: ["http://10.0.0.3:2380"] }];
  await expect(begin({ initialCluster: twice })).rejects.toThrow("has duplicate url");
});

test("names and addresses that lead to the same place are equal", async () => {
  const lookUp = async (name: string) => {
    if (name === "host") return "10.0.0.1";
    if (name === "six") return "fd00::1";
    throw new Error("unknown");
  };
  const equal = (a: string, b: string) => sameUrls([a], [b], lookUp);
  expect(await equal("http://HOST:1", "http://host:1")).toBe(true);
  expect(await equal("http://host:1", "http://10.0.0.1:1")).toBe(true);
  expect(await equal("http://six:1", "http://[fd00::1]:1")).toBe(true);
  expect(await equal("http://host:1", "http://host:2")).toBe(false);
  expect(await equal("http://host:1", "https://host:1")).toBe(false);
  expect(await equal("http://nobody:1", "http://10.0.0.1:1")).toBe(false);
  expect(await sameUrls(["http://a:1"], [], lookUp)).toBe(false);
});

test("a member whose data are lost does not found its cluster again", async () => {
  const { memberId } = await begin();
  const known = member(memberId, "http://10.0.0.1:2380", { clientURLs: ["http://c:1"] });
  const versions = { server: "3.7.3", cluster: "3.7.0" };
  await expect(begin({}, remote([known], versions))).rejects.toThrow(
    `member ${memberId.toString(16)} has already been bootstrapped`,
  );
  const unpublished = { ...known, clientURLs: [] };
  expect((await begin({}, remote([unpublished], versions))).founders).toHaveLength(3);
});

const joining = {
  clusterState: "existing",
  name: "m3",
  peerUrls: three[2]?.peerUrls ?? [],
} as const;
const running = [
  member(11n, "http://10.0.0.1:2380"),
  member(22n, "http://10.0.0.2:2380"),
  member(33n, "http://ten-three:2380"),
];
const names = { "ten-three": "10.0.0.3" };

test("who joins takes its id and the cluster's from the others", async () => {
  const client = remote(running, { server: "3.7.3", cluster: "3.7.0" });
  const beginning = await begin(joining, client, names);
  expect(beginning).toMatchObject({ memberId: 33n, clusterId: 0xabcn, founders: [] });
  expect(beginning.members).toEqual(running);
});

test("who can not join is told why", async () => {
  const join = (members: readonly Member[], cluster = "3.7.0") =>
    begin(joining, remote(members, { server: "3.7.3", cluster }), names);
  await expect(begin(joining)).rejects.toThrow(
    "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs",
  );
  await expect(join([])).rejects.toThrow("failed to get raft cluster member(s)");
  await expect(join(running.slice(1))).rejects.toThrow("member count is unequal");
  const other = [...running.slice(0, 2), member(44n, "http://10.0.0.4:2380")];
  await expect(join(other)).rejects.toThrow(
    "PeerURLs: no match found for existing member (2c, [http://10.0.0.4:2380])",
  );
  const incompatible = "incompatible with current running cluster";
  await expect(join(running, "3.8.0")).rejects.toThrow(incompatible);
  await expect(join(running, "not_decided")).rejects.toThrow(incompatible);
  const learners = running.map((one) => ({ ...one, isLearner: true }));
  await expect(join(learners)).rejects.toThrow("too many learner members in cluster");
});

function entry(index: number, change?: { type: ConfChangeKind; nodeId: bigint }) {
  return change
    ? { term: 2, index, type: EntryType.confChange, data: encodeConfChange(change) }
    : { term: 2, index, type: EntryType.normal, data: new Uint8Array() };
}

test("what is left of a cluster goes on alone: the tail is dropped, the others are removed", () => {
  const forced = forceNewCluster({
    memberId: 2n,
    applied: { index: 10, term: 2 },
    memberIds: [1n, 2n, 3n],
    hardState: { term: 5, vote: 1n, commit: 9 },
    entries: [entry(11, { type: ConfChangeKind.addNode, nodeId: 4n }), entry(12)],
  });
  // The commit was not written, but what was applied had one.
  expect([forced.dropped, forced.entries.length, forced.hardState.commit]).toEqual([2, 2, 12]);
  expect(forced.added.map((one) => [one.index, one.term])).toEqual([
    [11, 5],
    [12, 5],
  ]);
  const changes = forced.added.map((one) => ConfChange.decode(one.data));
  expect(changes.map(({ type, nodeId }) => [type, nodeId])).toEqual([
    [ConfChangeKind.removeNode, 1n],
    [ConfChangeKind.removeNode, 3n],
  ]);
});

test("changes in the kept part of the log count, and the member itself is never missing", () => {
  const forced = forceNewCluster({
    memberId: 2n,
    applied: { index: 10, term: 2 },
    memberIds: [2n, 3n],
    hardState: { term: 5, vote: 1n, commit: 12 },
    entries: [
      entry(11, { type: ConfChangeKind.addLearnerNode, nodeId: 9n }),
      entry(12, { type: ConfChangeKind.removeNode, nodeId: 2n }),
      entry(13, { type: ConfChangeKind.addNode, nodeId: 7n }),
    ],
  });
  const changes = forced.added.map((one) => ConfChange.decode(one.data));
  expect(changes.map(({ type, nodeId }) => [type, nodeId])).toEqual([
    [ConfChangeKind.addNode, 2n],
    [ConfChangeKind.removeNode, 3n],
    [ConfChangeKind.removeNode, 9n],
  ]);
  expect(String(Buffer.from(changes[0]?.context ?? []))).toBe(
    '{"id":2,"peerURLs":["http://localhost:2380"]}',
  );
  expect(forced.entries.map((one) => one.index)).toEqual([11, 12, 13, 14, 15]);
});
