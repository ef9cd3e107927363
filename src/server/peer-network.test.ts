// Whole members that find each other over real sockets: in the clear, with mutual TLS, with certificates
// that each made for itself.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import { Client } from "../client/client.ts";
import type { FlagName } from "../config/flag-table.ts";
import { buildServerConfig } from "../config/server-config.ts";
import { makeCertificate } from "../peer/testing/certificates.ts";
import { MemberRemovedError } from "./member-removed.ts";
import { type RunningServer, startServer } from "./start-server.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portal-peers-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer();
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

interface Seat {
  readonly name: string;
  readonly peerUrl: string;
}

function start(
  seat: Seat,
  seats: readonly Seat[],
  state: "new" | "existing",
  flags: Partial<Record<FlagName, string>> = {},
  signal?: AbortSignal,
): Promise<RunningServer> {
  const texts = new Map(
    Object.entries({
      name: seat.name,
      "data-dir": join(folder, new URL(seat.peerUrl).port),
      "listen-client-urls": "http://127.0.0.1:0",
      "listen-peer-urls": seat.peerUrl,
      "initial-advertise-peer-urls": seat.peerUrl,
      "initial-cluster": seats.map((one) => `${one.name}=${one.peerUrl}`).join(","),
      "initial-cluster-state": state,
      "heartbeat-interval": "20",
      "election-timeout": "200",
      // Else members count only after 5 s.
      "strict-reconfig-check": "false",
      ...flags,
    }) as [FlagName, string][],
  );
  const { config } = buildServerConfig("portal", texts);
  return startServer(config, silentLogger, signal ? { signal } : {});
}

async function seatsOf(count: number, scheme: "http" | "https"): Promise<Seat[]> {
  const ports = await freePorts(count);
  return ports.map((port, i) => ({ name: `m${i}`, peerUrl: `${scheme}://127.0.0.1:${port}` }));
}

test("three found a cluster, one more joins and leaves again", async () => {
  const seats = await seatsOf(4, "http");
  const founders = seats.slice(0, 3);
  const servers = await Promise.all(founders.map((seat) => start(seat, founders, "new")));
  try {
    const client = new Client({ endpoints: servers.flatMap((server) => server.clientUrls) });
    await client.put("a", "1");
    const { members } = await client.cluster.memberList();
    expect(members.map((one) => one.name).sort()).toEqual(["m0", "m1", "m2"]);
    const peerUrl = seats[3]?.peerUrl as string;
    const { member } = await client.cluster.memberAdd([peerUrl], { learner: true });
    const late = await start(seats[3] as Seat, seats, "existing");
    servers.push(late);
    const own = new Client({ endpoints: late.clientUrls });
    await expect(own.put("b", "2")).rejects.toThrow("rpc not supported for learner");
    expect((await own.get("a", { serializable: true }))?.value.toString()).toBe("1");
    const promoted = await client.cluster.memberPromote(member.id);
    expect(promoted.members.every((one) => !one.isLearner)).toBe(true);
    await own.put("b", "2");
    const removed = late.failure.catch((error: unknown) => error);
    await client.cluster.memberRemove(member.id);
    expect(await removed).toBeInstanceOf(MemberRemovedError);
    expect((await client.get("b"))?.value.toString()).toBe("2");
    await own.close();
    await client.close();
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
}, 30_000);

async function worksWith(flags: Partial<Record<FlagName, string>>): Promise<void> {
  const seats = await seatsOf(2, "https");
  const servers = await Promise.all(seats.map((seat) => start(seat, seats, "new", flags)));
  try {
    const client = new Client({ endpoints: servers[0]?.clientUrls ?? [] });
    await client.put("a", "1");
    await client.close();
    const other = new Client({ endpoints: servers[1]?.clientUrls ?? [] });
    expect((await other.get("a"))?.value.toString()).toBe("1");
    await other.close();
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
}

test("members talk with certificates that each made for itself", async () => {
  await worksWith({ "peer-auto-tls": "true" });
}, 30_000);

test("members show certificates to each other, and others are not let in", async () => {
  const pair = await makeCertificate("a member");
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(certFile, pair.cert);
  await writeFile(keyFile, pair.key);
  const mutual = {
    "peer-cert-file": certFile,
    "peer-key-file": keyFile,
    "peer-trusted-ca-file": certFile,
    "peer-client-cert-auth": "true",
  };
  await worksWith(mutual);
  await worksWith({ ...mutual, "peer-cert-allowed-hostname": "127.0.0.1" });
  await worksWith({ ...mutual, "peer-cert-allowed-cn": "a member" });
  const strange = { ...mutual, "peer-cert-allowed-cn": "somebody else" };
  const seats = await seatsOf(2, "https");
  const signal = AbortSignal.timeout(1000);
  const starting = seats.map((seat) => start(seat, seats, "new", strange, signal));
  const ends = await Promise.allSettled(starting);
  expect(ends.map((end) => end.status)).toEqual(["rejected", "rejected"]);
}, 30_000);

test("a member that finds no quorum can be told to give up", async () => {
  const seats = await seatsOf(3, "http");
  const controller = new AbortController();
  const starting = start(seats[0] as Seat, seats, "new", {}, controller.signal);
  setTimeout(() => controller.abort(new Error("told to")), 300);
  await expect(starting).rejects.toThrow("told to");
}, 30_000);
