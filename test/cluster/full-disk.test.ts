// A disk that fills up: writes are refused with a clear error and nothing acknowledged is lost; when space
// returns, writing goes on in the same process, and a kill and restart find everything. Uses a small file
// system in memory, which only root may mount; elsewhere wal/ and storage/ test the same on a made-up disk.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect, type EtcdClient } from "../support/etcd-client.mjs";
import { startPortal } from "../support/servers.mjs";

const diskBytes = 320 * 1024 * 1024;
const leftBytes = 24 * 1024 * 1024;
const valueBytes = 500_000;
const resourceExhausted = 8;

const root = mkdtempSync(join(tmpdir(), "portal-full-"));
const canMount = mountSmallDisk(root);
afterAll(() => {
  if (canMount) spawnSync("umount", ["-l", root]);
  rmSync(root, { recursive: true, force: true });
});

test.skipIf(!canMount)(
  "a full disk refuses writes, loses nothing, and recovers",
  async () => {
    const dataDir = join(root, "data");
    const filler = join(root, "filler");
    let server = await startPortal({ dataDir });
    let client = connect(server.endpoint);
    await put(client, 0);
    // What the member lays ahead may still be on its way to the disk.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    fillDisk(filler);

    const { acknowledged, refusal } = await putUntilRefused(client);
    // A member that died of the full disk says more than its broken connection does.
    const death = await Promise.race([server.exited, new Promise((done) => setTimeout(done, 200))]);
    expect(death, server.output).toBeUndefined();
    expect(refusal).toMatchObject({
      code: resourceExhausted,
      details: "etcdserver: mvcc: database space exceeded",
    });
    expect(await missing(client, acknowledged)).toEqual([]);

    unlinkSync(filler);
    await recover(client);
    await put(client, 100_000);
    client.close();
    await server.kill();

    server = await startPortal({ dataDir });
    client = connect(server.endpoint);
    expect(await missing(client, [...acknowledged, 100_000])).toEqual([]);
    await put(client, 100_001);
    client.close();
    await server.terminate();
  },
  60_000,
);

function mountSmallDisk(folder: string): boolean {
  const size = `size=${diskBytes}`;
  return spawnSync("mount", ["-t", "tmpfs", "-o", size, "tmpfs", folder]).status === 0;
}

/** Takes all space but a little. */
function fillDisk(file: string) {
  const { bavail, bsize } = statfsSync(root);
  const free = bavail * bsize;
  expect(free).toBeLessThan(diskBytes);
  writeFileSync(file, Buffer.alloc(Math.max(0, free - leftBytes), 1));
}

async function putUntilRefused(client: EtcdClient) {
  const acknowledged = [0];
  for (let index = 1; index < 2_000; index += 1) {
    try {
      await put(client, index);
      acknowledged.push(index);
    } catch (refusal) {
      return { acknowledged, refusal };
    }
  }
  return { acknowledged, refusal: undefined };
}

function put(client: EtcdClient, index: number) {
  const value = Buffer.alloc(valueBytes, index % 251);
  return client.call("put", { key: Buffer.from(`key-${index}`), value });
}

/** Clears the alarm, as the error tells the operator to; the disk may need a moment. */
async function recover(client: EtcdClient) {
  const { alarms } = await client.call<{ alarms: object[] }>("alarm", { action: 0 });
  for (const alarm of alarms) await client.call("alarm", { action: 2, ...alarm });
}

/** The keys that are not there as they were written. */
async function missing(client: EtcdClient, indexes: readonly number[]) {
  const absent: number[] = [];
  for (const index of indexes) {
    const { kvs } = await client.call<{ kvs: { value: Uint8Array }[] }>("range", {
      key: Buffer.from(`key-${index}`),
    });
    const value = kvs[0]?.value;
    if (value?.length !== valueBytes || value[0] !== index % 251) absent.push(index);
  }
  return absent;
}
