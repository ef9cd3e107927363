import http, { type IncomingMessage, type ServerResponse } from "node:http";
import net from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Message, MessageType } from "../raft/message.ts";
import type { PeerLimits } from "./index.ts";
import { aMessage, plain } from "./testing/any-message.ts";
import { isConnected, startMember, startMembers, type TestMember, until } from "./testing/rig.ts";

const hasty: Partial<PeerLimits> = {
  silenceMs: 300,
  dialTimeoutMs: 200,
  redialMinMs: 10,
  redialMaxMs: 40,
};

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

async function start(count: number, options = {}): Promise<TestMember[]> {
  const members = await startMembers(count, options);
  for (const member of members) closers.push(() => member.close());
  return members;
}

async function startOne(id: bigint, options = {}): Promise<TestMember> {
  const member = await startMember(id, options);
  closers.push(() => member.close());
  return member;
}

/** A peer that does what it is told; resolves to its URL. */
async function fakePeer(
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = http.createServer(onRequest);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

const heartbeat = (from: bigint, to: bigint, commit = 0): Message =>
  aMessage({ type: MessageType.heartbeat, from, to, term: 3, commit });

function append(from: bigint, to: bigint, index: number, data: Buffer): Message {
  const entries = [{ term: 3, index: index + 1, type: 0, data }];
  return aMessage({ type: MessageType.app, from, to, term: 3, logTerm: 3, index, entries });
}

const healthOf = (member: TestMember, id: bigint) =>
  member.transport.health().find((peer) => peer.id === id);

test("messages go both ways, in order, over the streams", async () => {
  const [one, two] = (await start(2)) as [TestMember, TestMember];
  const beats = Array.from({ length: 50 }, (_, i) => heartbeat(1n, 2n, i));
  const appends = Array.from({ length: 50 }, (_, i) => append(1n, 2n, i, Buffer.alloc(i, i)));
  one.transport.send([...beats, ...appends]);
  two.transport.send([aMessage({ type: MessageType.voteResp, from: 2n, to: 1n, term: 9 })]);
  await until(() => two.handler.messages.length === 100 && one.handler.messages.length === 1);
  const got = (type: number) => two.handler.messages.filter((one) => one.type === type).map(plain);
  expect(got(MessageType.heartbeat)).toEqual(beats.map(plain));
  expect(got(MessageType.app)).toEqual(appends.map(plain));
  expect(one.handler.messages[0]?.term).toBe(9);
  expect(two.handler.batches.length).toBeLessThan(5);
  expect(one.transport.metrics.of(2n).sentBytes.value).toBeGreaterThan(0);
  expect(two.transport.metrics.of(1n).receivedBytes.value).toBeGreaterThan(0);
});

test("streams stay up while nobody says anything", async () => {
  const [one, two] = (await start(2, { limits: hasty })) as [TestMember, TestMember];
  const since = healthOf(one, 2n)?.activeSinceMs;
  await new Promise((resolve) => setTimeout(resolve, 1200));
  expect(healthOf(one, 2n)?.activeSinceMs).toBe(since);
  expect(isConnected(one) && isConnected(two)).toBe(true);
  expect(one.transport.metrics.of(2n).disconnects.value).toBe(0);
});

test("round trips and clock differences are measured", async () => {
  const [one] = (await start(2, { limits: { ...hasty, probeIntervalMs: 40 } })) as [TestMember];
  await until(() => healthOf(one, 2n)?.roundTripMs !== undefined);
  expect(healthOf(one, 2n)?.roundTripMs).toBeLessThan(1000);
  expect(Math.abs(healthOf(one, 2n)?.clockDriftMs ?? 9999)).toBeLessThan(1000);
  expect(one.transport.metrics.of(2n).roundTripSeconds.count).toBeGreaterThan(0);
});

test("without streams messages are posted", async () => {
  const bodies: number[] = [];
  const url = await fakePeer((request, response) => {
    let bytes = 0;
    request.on("data", (part) => (bytes += part.length));
    request.on("end", () => {
      if (request.url === "/raft") bodies.push(bytes);
      response.writeHead(request.url === "/raft" ? 204 : 404).end();
    });
  });
  const one = await startOne(1n, { limits: hasty });
  one.transport.addPeer(2n, [url]);
  one.transport.send([heartbeat(1n, 2n), append(1n, 2n, 0, Buffer.alloc(1 << 20))]);
  await until(() => bodies.length === 2);
  expect(Math.max(...bodies)).toBeGreaterThan(1 << 20);
  expect(one.handler.unreachable).toEqual([]);
});

test("posts wait for each other, 64 at most; the rest is reported", async () => {
  let open = 0;
  let openMax = 0;
  const url = await fakePeer((request, response) => {
    if (request.url !== "/raft") return response.writeHead(404).end();
    openMax = Math.max(openMax, ++open);
    setTimeout(() => {
      open--;
      response.writeHead(204).end();
    }, 20);
  });
  const one = await startOne(1n, { limits: hasty });
  one.transport.addPeer(2n, [url]);
  one.transport.send(Array.from({ length: 100 }, (_, i) => heartbeat(1n, 2n, i)));
  await until(() => one.handler.unreachable.length > 0);
  expect(one.transport.metrics.of(2n).sendFailures.value).toBe(100 - 68);
  await until(() => one.transport.metrics.of(2n).sentBytes.value > 0 && open === 0);
  expect(openMax).toBe(4);
});

test("a peer that reads nothing loses messages, is cut off, and delays nobody else", async () => {
  const limits = { ...hasty, queuedBytesMax: 4 << 20 };
  const [one, two] = (await start(2, { limits })) as [TestMember, TestMember];
  const url = await fakePeer((_, response) => response.writeHead(404).end());
  one.transport.addPeer(9n, [url]);
  const slow = net.connect(one.listener.port, "127.0.0.1");
  closers.push(() => slow.destroy());
  slow.write(
    [
      "GET /raft/stream/msgapp/9 HTTP/1.1",
      "Host: x",
      "X-Server-Version: 3.7.3",
      "X-Min-Cluster-Version: 3.0.0",
      "X-Etcd-Cluster-ID: c1",
      "X-Raft-To: 1",
      "\r\n",
    ].join("\r\n"),
  );
  slow.pause();
  await until(() => one.transport.streamsWith(9n) === 1);
  for (let i = 0; i < 40; i++) one.transport.send([append(1n, 9n, i, Buffer.alloc(1 << 20))]);
  one.transport.send([heartbeat(1n, 2n)]);
  await until(() => two.handler.messages.length === 1);
  await until(() => one.handler.unreachable.includes(9n));
  await until(() => one.transport.streamsWith(9n) === 0);
  expect(one.transport.metrics.of(9n).sendFailures.value).toBeGreaterThan(10);
  expect(isConnected(two)).toBe(true);
});

test("a peer that falls silent becomes inactive, and active again when it is back", async () => {
  let isMute = false;
  const sockets = new Set<net.Socket>();
  const [one, two] = (await start(2, { limits: hasty })) as [TestMember, TestMember];
  // Between them: it can stop passing bytes on without closing anything.
  const relay = net.createServer((socket) => {
    const onward = net.connect(two.listener.port, "127.0.0.1");
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(from);
      from.on("error", () => undefined);
      from.on("data", (chunk) => isMute || to.write(chunk));
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const three = await startOne(3n, { limits: hasty });
  const { port } = relay.address() as net.AddressInfo;
  three.transport.addPeer(2n, [`http://127.0.0.1:${port}`]);
  two.transport.addPeer(3n, [three.url]);
  await until(() => three.transport.streamsWith(2n) === 4);
  isMute = true;
  await until(() => healthOf(three, 2n)?.activeSinceMs === undefined);
  isMute = false;
  await until(() => healthOf(three, 2n)?.activeSinceMs !== undefined);
  await until(() => three.transport.streamsWith(2n) === 4);
  expect(three.transport.metrics.of(2n).disconnects.value).toBeGreaterThan(0);
  expect(isConnected(one)).toBe(true);
});

test("a peer that sends garbage is dialled again and harms nobody", async () => {
  let dials = 0;
  const url = await fakePeer((request, response) => {
    if (!request.url?.startsWith("/raft/stream/")) return response.writeHead(404).end();
    dials++;
    response.writeHead(200, { "X-Server-Version": "3.7.3" });
    response.write(Buffer.from("this is no message, whatever one may think of it"));
  });
  const [one, two] = (await start(2, { limits: hasty })) as [TestMember, TestMember];
  one.transport.addPeer(9n, [url]);
  await until(() => dials > 4);
  expect(one.transport.metrics.of(9n).receiveFailures.value).toBeGreaterThan(1);
  two.transport.send([heartbeat(2n, 1n)]);
  await until(() => one.handler.messages.length === 1);
});

test("messages for others, of removed members, and local ones are not handed over", async () => {
  const [one, two] = (await start(2)) as [TestMember, TestMember];
  two.handler.removed.add(7n);
  one.transport.send([
    aMessage({ type: MessageType.hup, from: 1n, to: 2n }),
    aMessage({ type: MessageType.storageAppend, from: 1n, to: 2n }),
    heartbeat(7n, 2n),
    heartbeat(1n, 2n, 5),
  ]);
  await until(() => two.handler.messages.length === 1);
  expect(two.handler.messages[0]?.commit).toBe(5);
  expect(two.transport.metrics.of(1n).receiveFailures.value).toBe(3);
});

test("a member of another cluster, or of another version, is not let in", async () => {
  const one = await startOne(1n, { limits: hasty });
  const stranger = await startOne(2n, { limits: hasty, clusterId: 0xbadn });
  const ancient = await startOne(3n, { limits: hasty, serverVersion: "2.3.0" });
  for (const other of [stranger, ancient]) {
    one.transport.addPeer(other.id, [other.url]);
    other.transport.addPeer(1n, [one.url]);
    other.transport.send([heartbeat(other.id, 1n)]);
  }
  await until(
    () => stranger.handler.unreachable.length > 0 && ancient.handler.unreachable.length > 0,
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(one.transport.streamsWith(2n) + one.transport.streamsWith(3n)).toBe(0);
  expect(one.handler.messages).toEqual([]);
});

test("a removed member is told so, by a stream and by a post", async () => {
  const one = await startOne(1n, { limits: hasty });
  one.handler.removed.add(2n);
  const two = await startOne(2n, { limits: hasty });
  two.transport.addPeer(1n, [one.url]);
  await until(() => two.handler.removedNotices > 0);
  const before = two.handler.removedNotices;
  two.transport.send([heartbeat(2n, 1n)]);
  await until(() => two.handler.removedNotices > before && two.handler.unreachable.length > 0);
  expect(one.handler.messages).toEqual([]);
});

test("a new address replaces an old one; removed peers are left alone", async () => {
  const one = await startOne(1n, { limits: hasty });
  const old = await startOne(2n, { limits: hasty });
  one.transport.addPeer(2n, [old.url]);
  old.transport.addPeer(1n, [one.url]);
  await until(() => isConnected(one) && isConnected(old));
  await old.close();
  await until(() => healthOf(one, 2n)?.activeSinceMs === undefined);
  const moved = await startOne(2n, { limits: hasty });
  moved.transport.addPeer(1n, [one.url]);
  one.transport.updatePeer(2n, ["nonsense", moved.url]);
  await until(() => isConnected(one) && isConnected(moved));
  one.transport.removePeer(2n);
  expect(one.transport.health()).toEqual([]);
  one.transport.send([heartbeat(1n, 2n)]);
  await until(() => moved.transport.streamsWith(1n) === 0);
  expect(moved.handler.messages).toEqual([]);
});

test("that a peer's process has ended is said, that it refuses us is not", async () => {
  const [one, two] = (await start(2, { limits: hasty })) as [TestMember, TestMember];
  const refusing = await fakePeer((_, response) => response.writeHead(404).end());
  one.transport.addPeer(9n, [refusing]);
  await until(() => one.transport.streamsWith(2n) === 4);
  expect(one.handler.gone).toEqual([]);
  await two.close();
  await until(() => one.handler.gone.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(new Set(one.handler.gone)).toEqual(new Set([2n]));
  expect(one.handler.gone.length).toBeLessThanOrEqual(2); // once for each of its streams
});

test("of several addresses the one that answers is found", async () => {
  const two = await startOne(2n);
  const one = await startOne(1n, { limits: hasty });
  two.transport.addPeer(1n, [one.url]);
  one.transport.addPeer(2n, ["http://127.0.0.1:1", "unix:///nowhere/at/all", two.url]);
  await until(() => isConnected(one));
});

test("a member not known yet can be answered where it says", async () => {
  const one = await startOne(1n, { limits: hasty });
  const late = await startOne(5n, { limits: hasty });
  late.transport.addPeer(1n, [one.url]);
  await until(() => healthOf(late, 1n)?.activeSinceMs === undefined);
  late.transport.send([aMessage({ type: MessageType.appResp, from: 5n, to: 1n, index: 3 })]);
  await until(() => one.handler.messages.length === 1);
  one.transport.send([heartbeat(1n, 5n, 77)]);
  await until(() => late.handler.messages.length === 1);
  expect(late.handler.messages[0]?.commit).toBe(77);
});

test("closing is quick and leaves nothing that fails", async () => {
  const [one, two, three] = (await start(3)) as [TestMember, TestMember, TestMember];
  one.transport.send([append(1n, 2n, 0, Buffer.alloc(9 << 20)), heartbeat(1n, 3n)]);
  const started = performance.now();
  await Promise.all([one, two, three].map((member) => member.close()));
  expect(performance.now() - started).toBeLessThan(2000);
  one.transport.send([heartbeat(1n, 2n)]);
  expect(one.transport.health()).toEqual([]);
});
