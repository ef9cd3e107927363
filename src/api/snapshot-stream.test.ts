// A member's database file over the wire: whole, hashed, at the reader's pace, and gone from the disk afterwards.

import { createHash } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import { Status } from "../base/status.ts";
import { readMarks } from "../mvcc/export.ts";
import { Store } from "../mvcc/store.ts";
import { buildDatabase } from "../node/snapshot/build-database.ts";
import { MemberWorld } from "../node/testing/member-world.ts";
import { Channel } from "../rpc/grpc/channel.ts";
import { createClient } from "../rpc/grpc/client.ts";
import { GrpcServer } from "../rpc/grpc/server.ts";
import type { Listener } from "../rpc/http2/listener.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { MaintenanceDefinition, type SnapshotResponse } from "../wire/generated/rpc.ts";
import { MaintenanceService } from "./maintenance.ts";

const folder = "/data/member/snap";

let world: MemberWorld;
let server: GrpcServer;
let listener: Listener;
let channel: Channel;
/** Bytes of snapshots that were read from the disk. */
let bytesRead = 0;

beforeEach(async () => {
  world = new MemberWorld();
  const replica = await world.open();
  const open = replica.openSnapshot.bind(replica);
  replica.openSnapshot = async (signal) => {
    const reader = await open(signal);
    const read: typeof reader.read = async (buffer, position) => {
      bytesRead += buffer.length;
      return reader.read(buffer, position);
    };
    return { ...reader, read };
  };
  bytesRead = 0;
  for (let i = 0; i < 200; i++) await world.put(`key${i}`, "v".repeat(40_000));
  await world.delete("key7");
  server = new GrpcServer({});
  server.addService(MaintenanceDefinition, new MaintenanceService(replica, silentLogger));
  listener = await server.listen({ host: "127.0.0.1", port: 0 });
  channel = new Channel(`127.0.0.1:${listener.port}`);
});

afterEach(async () => {
  await channel.close();
  await server.shutdown(0);
  await world.close();
});

function snapshot(signal?: AbortSignal): AsyncIterable<SnapshotResponse> {
  return createClient(MaintenanceDefinition, channel).snapshot({}, signal ? { signal } : {});
}

/** What has arrived comes first. */
async function readOn(pieces: AsyncIterator<SnapshotResponse>): Promise<void> {
  while (!(await pieces.next()).done);
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 10));

async function untilRemoved(): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if ((await world.disk.list(folder)).length === 0) return;
    await turn();
  }
  throw new Error("the temporary file is still there");
}

test("the pieces make up the file, and the last one is its hash", async () => {
  const pieces: SnapshotResponse[] = [];
  for await (const piece of snapshot()) pieces.push(piece);
  const hash = pieces.pop() as SnapshotResponse;
  const file = Buffer.concat(pieces.map(({ blob }) => blob));
  expect(createHash("sha256").update(file).digest().equals(hash.blob)).toBe(true);
  expect(file.length % 4096).toBe(0);
  expect(pieces[0]?.header?.revision).toBe(world.replica.store.currentRevision);
  let left = file.length;
  for (const { blob, remainingBytes, version } of pieces) {
    left -= blob.length;
    expect(remainingBytes).toBe(left);
    expect(version).toBe("3.7.0");
  }
  expect(hash.remainingBytes).toBe(0);
  await untilRemoved();
  // What came over is the member's state, also for another member.
  const path = "/data/received";
  const target = await world.disk.open(path, "create-exclusive");
  await target.write(file, 0, file.length, 0);
  const backend = new MemoryBackend();
  await buildDatabase({ disk: world.disk, path, backend, clock: world.clock });
  const copy = Store.open({}, { backend });
  expect(copy.hashKv(0)).toEqual(world.replica.store.hashKv(0));
  expect(readMarks(backend).consistentIndex).toBe(world.replica.appliedIndex);
});

test("a reader that stops reading holds up the reading, and leaves nothing when it goes", async () => {
  const abort = new AbortController();
  const pieces = snapshot(abort.signal)[Symbol.asyncIterator]();
  const first = await pieces.next();
  const sizeBytes = (first.value as SnapshotResponse).remainingBytes;
  expect(sizeBytes).toBeGreaterThan(7_000_000);
  for (let i = 0; i < 20; i++) await turn();
  expect(bytesRead).toBeLessThan(sizeBytes / 2);
  expect(await world.disk.list(folder)).toHaveLength(1);
  abort.abort();
  await expect(readOn(pieces)).rejects.toMatchObject({ code: Status.CANCELLED });
  await untilRemoved();
  expect(bytesRead).toBeLessThan(sizeBytes / 2);
});

test("a caller that goes while the file is made leaves nothing", async () => {
  const abort = new AbortController();
  const pieces = snapshot(abort.signal)[Symbol.asyncIterator]();
  const first = pieces.next();
  for (let i = 0; i < 50; i++) {
    if ((await world.disk.list(folder)).length > 0) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  abort.abort();
  await expect(first).rejects.toMatchObject({ code: Status.CANCELLED });
  await untilRemoved();
});
