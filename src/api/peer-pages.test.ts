// The pages that members have for each other, asked by the client that members use, over real sockets.

import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import { StatusError } from "../base/status.ts";
import { systemClock } from "../io/clock.ts";
import type { Replica } from "../node/replica-types.ts";
import { PeerDialer, PeerListener } from "../peer/index.ts";
import { HttpPeerClient } from "../peer/peer-client.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../wire/errors.ts";
import { PeerPages } from "./peer-pages.ts";

const members = [
  { ID: 5n, name: "a", peerURLs: ["http://a:1"], clientURLs: ["http://c:1"], isLearner: false },
  { ID: 0xffff_ffff_ffff_fff0n, name: "", peerURLs: [], clientURLs: [], isLearner: true },
];

const state = {
  isPrimary: true,
  isDowngrading: false,
  promoteError: undefined as EtcdError | undefined,
  leaseError: undefined as EtcdError | undefined,
};

const replica = {
  clusterId: 0xabcn,
  members: () => members,
  promoteMember: async () => {
    if (state.promoteError) throw toStatusError(state.promoteError);
    return members;
  },
  lessor: {
    get isPrimary() {
      return state.isPrimary;
    },
  },
  renewLease: async () => {
    if (state.leaseError) throw toStatusError(state.leaseError);
    return 60;
  },
  leaseTimes: async (id: bigint, withKeys: boolean) =>
    id === 7n ? { ttl: 9, grantedTtl: 10, keys: withKeys ? [Buffer.from("k")] : [] } : undefined,
  readIndexAsync: async () => {},
  store: {
    currentRevision: 20,
    hashKv: (revision: number) => {
      if (revision === 1) return { error: "compacted" };
      if (revision > 20) return { error: "future" };
      return { hash: 4_000_000_000, revision: revision || 20, compactRevision: -1 };
    },
  },
} as unknown as Replica;

let listener: PeerListener;
let url: string;
const dialer = new PeerDialer(systemClock, 2000, undefined);
const client = new HttpPeerClient(dialer);
const soonMs = 3000;

beforeAll(async () => {
  const pages = new PeerPages({
    replica,
    versions: () => ({ server: "3.7.3", cluster: "3.7.0", storage: "3.7.0" }),
    isDowngrading: () => state.isDowngrading,
  });
  listener = await PeerListener.open({
    host: "127.0.0.1",
    server: undefined,
    page: pages.answer,
    log: silentLogger,
  });
  url = `http://127.0.0.1:${listener.port}`;
});

afterAll(async () => {
  dialer.close();
  await listener.close();
});

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof StatusError)) throw new Error(`expected a refusal, got ${error}`);
  return error.message;
}

test("who the members are, and what they run", async () => {
  expect(await client.members(url, soonMs)).toEqual({ clusterId: 0xabcn, members });
  expect(await client.versions(url, soonMs)).toEqual({ server: "3.7.3", cluster: "3.7.0" });
  const page = await fetch(`${url}/members`);
  expect([page.headers.get("x-etcd-cluster-id"), await page.text()]).toEqual([
    "abc",
    '[{"id":5,"peerURLs":["http://a:1"],"name":"a","clientURLs":["http://c:1"]},{"id":18446744073709551600,"peerURLs":null,"isLearner":true}]\n',
  ]);
});

test("promotions answer with the members, or why not", async () => {
  expect(await client.promote(url, 5n, soonMs)).toEqual(members);
  const cases: [EtcdError, number, string][] = [
    [EtcdErrors.memberNotFound, 404, "membership: ID not found\n"],
    [EtcdErrors.memberNotLearner, 412, "membership: can only promote a learner member\n"],
    [EtcdErrors.learnerNotReady, 412, `${EtcdErrors.learnerNotReady.message}\n`],
  ];
  for (const [error, status, text] of cases) {
    state.promoteError = error;
    const page = await fetch(`${url}/members/promote/5`, { method: "POST" });
    expect([page.status, await page.text()]).toEqual([status, text]);
    expect(await refusal(client.promote(url, 5n, soonMs))).toBe(error.message);
  }
  state.promoteError = EtcdErrors.unhealthy;
  expect(await refusal(client.promote(url, 5n, soonMs))).toContain("Internal Server Error");
  state.promoteError = undefined;
  const odd = await fetch(`${url}/members/promote/x`, { method: "POST" });
  expect([odd.status, await odd.text()]).toEqual([404, "member x not found in cluster\n"]);
});

test("leases are asked of the leader, which does not pass them on", async () => {
  expect(await client.renewLease(url, 7n, soonMs)).toBe(60);
  const times = await client.leaseTimeToLive(url, 7n, true, soonMs);
  expect([times.TTL, times.grantedTTL, times.keys.map(String)]).toEqual([9, 10, ["k"]]);
  // Without one, an etcd that asked would end itself.
  expect(times.header).toBeDefined();
  expect(await refusal(client.leaseTimeToLive(url, 8n, false, soonMs))).toBe(
    EtcdErrors.leaseNotFound.message,
  );
  state.leaseError = EtcdErrors.leaseNotFound;
  expect(await refusal(client.renewLease(url, 7n, soonMs))).toBe(EtcdErrors.leaseNotFound.message);
  state.leaseError = EtcdErrors.timeout;
  expect(await refusal(client.renewLease(url, 7n, soonMs))).toBe(EtcdErrors.timeout.message);
  state.leaseError = undefined;
  state.isPrimary = false;
  expect(await refusal(client.renewLease(url, 7n, soonMs))).toContain("not a primary lessor");
  state.isPrimary = true;
  const large = await fetch(`${url}/leases`, { method: "POST", body: Buffer.alloc(70_000) });
  expect(large.status).toBe(413);
  const junk = await fetch(`${url}/leases`, { method: "POST", body: Buffer.from([0xff]) });
  expect([junk.status, await junk.text()]).toEqual([400, "error unmarshalling request\n"]);
});

test("hashes are compared within a cluster", async () => {
  expect(await client.hashKv(url, 0xabcn, 0, soonMs)).toEqual({
    hash: 4_000_000_000,
    hashRevision: 20,
    compactRevision: -1,
    currentRevision: 20,
  });
  expect((await client.hashKv(url, 0xabcn, 5, soonMs)).hashRevision).toBe(5);
  expect(await refusal(client.hashKv(url, 0xabcn, 1, soonMs))).toBe(EtcdErrors.compacted.message);
  expect(await refusal(client.hashKv(url, 0xabcn, 21, soonMs))).toBe(
    EtcdErrors.futureRevision.message,
  );
  expect(await refusal(client.hashKv(url, 1n, 0, soonMs))).toBe(
    EtcdErrors.clusterIdMismatch.message,
  );
});

test("downgrades, other methods and other paths", async () => {
  expect(await client.downgradeEnabled(url, soonMs)).toBe(false);
  state.isDowngrading = true;
  expect(await client.downgradeEnabled(url, soonMs)).toBe(true);
  const wrong = ["/members", "/members/hashkv", "/version", "/downgrade/enabled"];
  for (const path of wrong) {
    const page = await fetch(`${url}${path}`, { method: "PUT" });
    expect([path, page.status, page.headers.get("allow")]).toEqual([path, 405, "GET"]);
  }
  expect((await fetch(`${url}/leases`)).status).toBe(405);
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
  // Nobody answers there: an error, in time.
  await expect(client.members("http://127.0.0.1:1", soonMs)).rejects.toThrow();
  await expect(client.members("nonsense", soonMs)).rejects.toThrow("is no peer URL");
});
