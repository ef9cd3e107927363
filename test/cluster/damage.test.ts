// A damaged log on a real member: a torn last write is repaired, a flipped byte and a shortened segment in
// the middle refuse to start and say which file and where.
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../support/etcd-client.mjs";
import { ServerStartError, startPortal } from "../support/servers.mjs";

const root = mkdtempSync(join(tmpdir(), "portal-damage-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const sectorBytes = 512;
const valueBytes = 4_000;
const everyKey = { key: Buffer.of(0), rangeEnd: Buffer.of(0), countOnly: true };

interface RangeResponse {
  readonly count: number;
  readonly kvs: readonly { readonly value: Uint8Array }[];
}

test("a torn last write is cut off and everything before it is there", async () => {
  const dataDir = join(root, "torn");
  await fill(dataDir, 20, valueBytes);
  const [segment] = segmentsOf(dataDir);
  const bytes = readFileSync(segment!);
  const end = endOfRecords(bytes);
  const tornFrom = (Math.floor(end / sectorBytes) - 2) * sectorBytes;
  bytes.fill(0, tornFrom);
  writeFileSync(segment!, bytes);

  const server = await startPortal({ dataDir });
  const client = connect(server.endpoint);
  const { count } = await client.call<RangeResponse>("range", everyKey);
  expect(Number(count)).toBe(19);
  await client.call("put", { key: Buffer.from("after"), value: Buffer.from("repair") });
  client.close();
  await server.kill();

  const again = await startPortal({ dataDir });
  const other = connect(again.endpoint);
  expect(Number((await other.call<RangeResponse>("range", everyKey)).count)).toBe(20);
  other.close();
  await again.terminate();
});

test("a flipped byte in the middle of the log refuses to start, naming the file and the place", async () => {
  const dataDir = join(root, "flipped");
  await fill(dataDir, 20, valueBytes);
  const [segment] = segmentsOf(dataDir);
  const bytes = readFileSync(segment!);
  const place = Math.floor(endOfRecords(bytes) / 2);
  bytes[place]! ^= 0x40;
  writeFileSync(segment!, bytes);
  await expectRefusal(dataDir, segment!);
});

test("a segment cut short before the last one refuses to start, naming the file and the place", async () => {
  const dataDir = join(root, "short");
  // Values that together need more than one segment of 64 MB.
  await fill(dataDir, 66, 1_000_000);
  const segments = segmentsOf(dataDir);
  expect(segments.length).toBeGreaterThan(1);
  const [first] = segments;
  truncateSync(first!, 40_000_000);
  await expectRefusal(dataDir, first!);
}, 60_000);

/** Writes `count` keys one after another and kills the member at once, so that they are only in the log. */
async function fill(dataDir: string, count: number, bytes: number) {
  const server = await startPortal({ dataDir });
  const client = connect(server.endpoint);
  for (let index = 0; index < count; index += 1) {
    await client.call("put", {
      key: Buffer.from(`key-${index}`),
      value: Buffer.alloc(bytes, 1 + index),
    });
  }
  client.close();
  await server.kill();
}

function segmentsOf(dataDir: string): string[] {
  const folder = join(dataDir, "member/wal");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".wal"))
    .sort()
    .map((name) => join(folder, name));
}

/** The offset just past the last byte that is not part of the zeros laid ahead. */
function endOfRecords(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

async function expectRefusal(dataDir: string, segment: string) {
  const failure = await startPortal({ dataDir }).then(
    async (server) => {
      await server.kill();
      return undefined;
    },
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(ServerStartError);
  const { status, output } = failure as ServerStartError;
  expect(status).not.toBe(0);
  expect(output).toContain(segment.split("/").at(-1));
  expect(output).toMatch(/damaged at byte \d+/);
}
