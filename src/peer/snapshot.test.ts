import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeUint64 } from "../base/bytes.ts";
import { Random } from "../base/random.ts";
import { systemDisk } from "../io/disk.ts";
import { type Message, MessageType } from "../raft/message.ts";
import { messageSize, writeMessage } from "./message-codec.ts";
import { aMessage } from "./testing/any-message.ts";
import { startMember, startMembers, type TestMember, until } from "./testing/rig.ts";

const hasty = {
  silenceMs: 300,
  snapshotSilenceMs: 300,
  dialTimeoutMs: 200,
  redialMinMs: 10,
  redialMaxMs: 40,
};
let folder: string;
const closers: (() => Promise<unknown> | unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portal-snapshot-"));
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  await rm(folder, { recursive: true });
});

async function startTwo(options = {}): Promise<[TestMember, TestMember]> {
  const members = await startMembers(2, { limits: hasty, ...options });
  for (const member of members) {
    member.handler.snapshotFolder = join(folder, `${member.id}`);
    closers.push(() => member.close());
  }
  return members as [TestMember, TestMember];
}

function snapshotMessage(fields: Partial<Message> = {}): Message {
  const confState = { voters: [1n, 2n], learners: [], votersOutgoing: [], learnersNext: [] };
  const metadata = { index: 500, term: 4, confState: { ...confState, autoLeave: false } };
  const snapshot = { data: Buffer.alloc(0), metadata };
  return aMessage({ type: MessageType.snap, from: 1n, to: 2n, term: 4, snapshot, ...fields });
}

async function databaseFile(sizeBytes: number): Promise<{ path: string; sizeBytes: number }> {
  const path = join(folder, "db");
  await writeFile(path, new Random(1).bytes(sizeBytes));
  return { path, sizeBytes };
}

const digest = async (path: string) =>
  createHash("sha1")
    .update(await readFile(path))
    .digest("hex");

/** What lies in the receiver's folder. */
const received = (member: TestMember) => systemDisk.list(join(folder, `${member.id}`));

test("a snapshot goes from disk to disk and is reported when it was taken over", async () => {
  const [one, two] = await startTwo();
  let release = (): void => undefined;
  two.handler.onSnapshotHook = () => new Promise((resolve) => (release = resolve));
  const file = await databaseFile((3 << 20) + 17);
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => two.transport.metrics.of(1n).snapshotReceiveDoneBytes === file.sizeBytes);
  await new Promise((resolve) => setTimeout(resolve, 400)); // longer than silence is allowed
  expect(one.handler.snapshotsSent).toEqual([]);
  release();
  await until(() => one.handler.snapshotsSent.length === 1);
  expect(one.handler.snapshotsSent).toEqual([[2n, true]]);
  const [taken] = two.handler.snapshots;
  expect(taken?.message.snapshot?.metadata).toEqual(snapshotMessage().snapshot?.metadata);
  expect(taken?.sizeBytes).toBe(file.sizeBytes);
  expect(await digest(taken?.path ?? "")).toBe(await digest(file.path));
  expect(await received(two)).toEqual(["500.snap.db"]);
  const sent = one.transport.metrics.of(2n);
  expect([sent.snapshotsSent.value, sent.snapshotSendDoneBytes]).toEqual([1, file.sizeBytes]);
  expect(sent.snapshotSendSeconds.count).toBe(1);
  expect(two.transport.metrics.of(1n).snapshotsReceived.value).toBe(1);
});

test("an empty file passes; one at a time to the same peer", async () => {
  const [one, two] = await startTwo();
  const file = await databaseFile(0);
  one.transport.sendSnapshot(snapshotMessage(), file);
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 2);
  expect(one.handler.snapshotsSent).toEqual([
    [2n, false],
    [2n, true],
  ]);
  expect(two.handler.snapshots.length).toBe(1);
});

test("nobody to send to, no file, a file of another size: it failed, and is said once", async () => {
  const [one] = await startTwo();
  const file = await databaseFile(1000);
  one.transport.sendSnapshot(snapshotMessage({ to: 8n }), file);
  await until(() => one.handler.snapshotsSent.length === 1);
  one.transport.sendSnapshot(snapshotMessage(), { path: join(folder, "none"), sizeBytes: 1 });
  await until(() => one.handler.snapshotsSent.length === 2);
  await truncate(file.path, 500);
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 3);
  one.transport.send([snapshotMessage()]);
  await until(() => one.handler.snapshotsSent.length === 4);
  expect(one.handler.snapshotsSent.every(([, ok]) => !ok)).toBe(true);
});

test("a receiver that refuses, or fails to take it over, is heard", async () => {
  const [one, two] = await startTwo();
  const file = await databaseFile(1 << 20);
  two.handler.snapshotFolder = undefined;
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 1);
  two.handler.snapshotFolder = join(folder, "2");
  two.handler.onSnapshotHook = () => Promise.reject(new Error("not now"));
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 2);
  expect(one.handler.snapshotsSent.every(([, ok]) => !ok)).toBe(true);
  expect(two.transport.metrics.of(1n).snapshotReceiveFailures.value).toBe(1);
  two.handler.removed.add(1n);
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 3);
  expect(one.handler.removedNotices).toBeGreaterThan(0);
});

test("a disk that fails leaves nothing behind", async () => {
  let failing = true;
  const disk = {
    ...systemDisk,
    rename: (from: string, to: string) =>
      failing ? Promise.reject(new Error("EIO")) : systemDisk.rename(from, to),
  };
  const [one, two] = await startTwo({ disk });
  const file = await databaseFile(200_000);
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 1);
  expect(await received(two)).toEqual([]);
  failing = false;
  one.transport.sendSnapshot(snapshotMessage(), file);
  await until(() => one.handler.snapshotsSent.length === 2);
  expect(one.handler.snapshotsSent[1]).toEqual([2n, true]);
  expect(await received(two)).toEqual(["500.snap.db"]);
});

test("a file beyond the bound is refused", async () => {
  const [one, two] = await startTwo({ limits: { ...hasty, snapshotBytesMax: 100_000 } });
  one.transport.sendSnapshot(snapshotMessage(), await databaseFile(3 << 20));
  await until(() => one.handler.snapshotsSent.length === 1);
  expect(one.handler.snapshotsSent).toEqual([[2n, false]]);
  expect(await received(two)).toEqual([]);
});

/** Begins a snapshot by hand; what is sent after the head is up to the test. */
function beginByHand(member: TestMember, announcedBytes: number): net.Socket {
  const message = snapshotMessage();
  const head = Buffer.alloc(8 + messageSize(message));
  writeUint64(head, 0, head.length - 8);
  writeMessage(head, 8, message);
  const socket = net.connect(member.listener.port, "127.0.0.1");
  socket.on("error", () => undefined);
  closers.push(() => socket.destroy());
  socket.write(
    [
      "POST /raft/snapshot HTTP/1.1",
      "Host: x",
      "X-Server-From: 1",
      "X-Server-Version: 3.7.3",
      "X-Min-Cluster-Version: 3.0.0",
      "X-Etcd-Cluster-ID: c1",
      `Content-Length: ${head.length + announcedBytes}`,
      "\r\n",
    ].join("\r\n"),
  );
  socket.write(head);
  return socket;
}

test("a transfer that is cut, or stalls, leaves nothing behind", async () => {
  const [, two] = await startTwo();
  const failures = two.transport.metrics.of(1n).snapshotReceiveFailures;
  const cut = beginByHand(two, 1_000_000);
  cut.write(Buffer.alloc(500_000));
  await until(() => two.transport.metrics.of(1n).snapshotReceiveDoneBytes === 500_000);
  expect((await received(two)).length).toBe(1);
  cut.destroy();
  await until(() => failures.value === 1);
  const stalled = beginByHand(two, 1_000_000);
  stalled.write(Buffer.alloc(300_000));
  await until(() => failures.value === 2);
  expect(await received(two)).toEqual([]);
  expect(two.handler.snapshots).toEqual([]);
});

test("a receiver that stops reading does not hold the sender for ever", async () => {
  const [one] = await startTwo();
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pause();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  one.transport.addPeer(7n, [`http://127.0.0.1:${port}`]);
  one.transport.sendSnapshot(snapshotMessage({ to: 7n }), await databaseFile(20 << 20));
  await until(() => one.handler.snapshotsSent.length === 1);
  expect(one.handler.snapshotsSent).toEqual([[7n, false]]);
  expect(one.handler.unreachable).toContain(7n);
  expect(one.transport.metrics.of(7n).snapshotSendDoneBytes).toBeLessThan(20 << 20);
});

test("only a snapshot is taken for one, and its length is looked at first", async () => {
  const two = await startMember(2n, { limits: hasty });
  closers.push(() => two.close());
  two.handler.snapshotFolder = folder;
  const post = (body: Buffer): Promise<[number, string]> =>
    new Promise((resolve, reject) => {
      const headers = { "X-Server-Version": "3.7.3", "X-Min-Cluster-Version": "3.0.0" };
      const all = { ...headers, "X-Etcd-Cluster-ID": "c1" };
      const options = { method: "POST", headers: all, agent: false };
      const request = http.request(`${two.url}/raft/snapshot`, options, (response) => {
        let text = "";
        response.on("data", (part) => (text += part));
        response.on("end", () => resolve([response.statusCode ?? 0, text]));
      });
      request.on("error", reject);
      request.end(body);
    });
  const framed = (message: Message): Buffer => {
    const bytes = Buffer.alloc(8 + messageSize(message));
    writeUint64(bytes, 0, bytes.length - 8);
    writeMessage(bytes, 8, message);
    return bytes;
  };
  const heartbeat = aMessage({ type: MessageType.heartbeat, from: 1n, to: 2n });
  expect(await post(framed(heartbeat))).toEqual([400, "wrong raft message type\n"]);
  const huge = Buffer.alloc(8);
  writeUint64(huge, 0, 2 ** 40);
  expect((await post(huge))[0]).toBe(400);
  expect(await post(Buffer.alloc(3))).toEqual([
    400,
    "failed to decode raft message (unexpected EOF)\n",
  ]);
  expect((await post(framed(snapshotMessage({ to: 3n }))))[0]).toBe(412);
  expect(await readdir(folder)).toEqual([]);
});

test("closing ends a transfer under way", async () => {
  const [one, two] = await startTwo();
  two.handler.onSnapshotHook = () => new Promise(() => undefined);
  one.transport.sendSnapshot(snapshotMessage(), await databaseFile(1 << 20));
  await until(() => two.transport.metrics.of(1n).snapshotReceiveDoneBytes === 1 << 20);
  await one.close();
  expect(one.transport.metrics.of(2n).snapshotSendsUnderWay).toBe(0);
});
