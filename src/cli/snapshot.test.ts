import { createHash } from "node:crypto";
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryDisk } from "../io/disk-memory.ts";
import { Portal } from "../portal.ts";
import { runCommandLine } from "./cli.ts";
import { Download } from "./snapshot-save.ts";
import { testIo } from "./test-io.ts";

let folder: string;
let saved: string;
let hash: number;
let revision: number;

async function run(...argv: string[]) {
  const { io, out, err } = testIo();
  const exitCode = await runCommandLine(["snapshot", ...argv], io);
  return { exitCode, out: out(), err: err() };
}

async function open(dataDir: string): Promise<Portal> {
  return Portal.start({ dataDir, flags: { "listen-peer-urls": "http://127.0.0.1:0" } });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portal-snapshot-"));
  saved = join(folder, "saved.db");
  const portal = await open(join(folder, "first"));
  const { client } = portal;
  for (let i = 0; i < 300; i++) await client.put(`key/${i % 200}`, `value ${i}`);
  const { revision: last } = await client.delete("key/7");
  await client.kv.compact(last - 50);
  const hashed = await client.maintenance.hashKv();
  hash = hashed.hash;
  revision = hashed.hashRevision;
  const endpoint = portal.endpoints[0] as string;
  const { exitCode, out, err } = await run("save", saved, `--endpoints=${endpoint}`);
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
  expect(out).toBe(`Snapshot saved at ${saved}\nServer version 3.7.0\n`);
  const several = await run("save", saved, `--endpoints=${endpoint},${endpoint}`);
  expect(several.err).toContain("must be requested to one selected node");
  expect(several.exitCode).toBe(5);
  const nowhere = await run("save", join(folder, "none/a"), `--endpoints=${endpoint}`);
  expect(nowhere.err).toContain("can not save to");
  await portal.close();
}, 30_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("a snapshot is whole, and nothing else is left", async () => {
  const bytes = await readFile(saved);
  const end = bytes.length - 32;
  expect(createHash("sha256").update(bytes.subarray(0, end)).digest()).toEqual(bytes.subarray(end));
  expect((await stat(saved)).mode & 0o777).toBe(0o600);
  expect((await readdir(folder)).filter((name) => name.includes(".part"))).toEqual([]);
});

test("status says what is in it, in every format", async () => {
  const json = JSON.parse((await run("status", saved, "-w", "json")).out);
  const sizeBytes = (await stat(saved)).size - 32;
  expect(json).toMatchObject({ revision, totalKey: 199, totalSize: sizeBytes, version: "3.7.0" });
  const hex = json.hash.toString(16);
  const simple = await run("status", saved);
  expect(simple.out).toMatch(new RegExp(`^${hex}, ${revision}, 199, \\d+ kB, 3\\.7\\.0\n$`));
  const fields = await run("status", saved, "-w", "fields");
  expect(fields.out).toBe(
    `"Hash" : ${json.hash}\n"Revision" : ${revision}\n"Keys" : 199\n"Size" : ${sizeBytes}\n"Version" : 3.7.0\n`,
  );
  expect((await run("status", saved, "-w", "table")).out).toContain("TOTAL KEYS");
});

describe("restore", () => {
  test("gives a member with the same history", async () => {
    const dataDir = join(folder, "same");
    const { exitCode, out, err } = await run("restore", saved, `--data-dir=${dataDir}`);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
    expect(out).toMatch(/^Snapshot restored to .*\nMember [0-9a-f]+ of cluster [0-9a-f]+\n$/);
    const portal = await open(dataDir);
    const { client } = portal;
    expect(await client.maintenance.hashKv()).toMatchObject({ hash, hashRevision: revision });
    expect((await client.get("key/8"))?.value.toString()).toBe("value 208");
    expect(await client.get("key/7")).toBeUndefined();
    expect((await client.put("key/7", "again")).revision).toBe(revision + 1);
    await portal.close();
  });

  test("raises the revision, with history marked as compacted", async () => {
    const dataDir = join(folder, "raised");
    const flags = [`--data-dir=${dataDir}`, "--bump-revision=1000", "--mark-compacted"];
    expect((await run("restore", saved, ...flags)).exitCode).toBe(0);
    const portal = await open(dataDir);
    const { client } = portal;
    const old = client.get("key/8", { revision: revision + 999 });
    await expect(old).rejects.toThrow("compacted");
    expect((await client.get("key/8"))?.value.toString()).toBe("value 208");
    expect((await client.put("a", "b")).revision).toBe(revision + 1001);
    await portal.close();
  });

  test.each([
    [["restore"], 128, "requires exactly one argument"],
    [["restore", "a", "--bump-revision=1"], 128, "--mark-compacted required"],
    [["restore", "a", "--mark-compacted"], 128, "--mark-compacted required"],
    [["restore", "a", "--initial-advertise-peer-urls=x"], 128, "URL scheme must be"],
    [["restore", "a", "--initial-cluster=m1"], 128, "error setting up initial cluster"],
    [["restore", "a", "--name=m2", "--initial-cluster=m1=http://a:1"], 1, "find local name"],
    [["restore", "/nowhere/a", "--data-dir=/nowhere/b"], 1, "no such file"],
    [["status"], 128, "requires exactly one argument"],
    [["status", "/nowhere/a"], 1, "can not open the database file"],
    [["save"], 128, "expects one argument"],
  ])("%j ends with %d", async (argv, exitCode, message) => {
    const result = await run(...argv);
    expect(result.err).toContain(message);
    expect(result.exitCode).toBe(exitCode);
  });

  test("refuses what is damaged or in use, and leaves nothing", async () => {
    const dataDir = join(folder, "refused");
    const bytes = await readFile(saved);
    const damaged = join(folder, "damaged.db");
    // In the middle of the largest bucket's pages.
    bytes.fill(0xa5, 5 * 4096 + 8, 5 * 4096 + 24);
    await writeFile(damaged, bytes);
    const refused = await run("restore", damaged, `--data-dir=${dataDir}`);
    expect(refused).toMatchObject({ exitCode: 1, out: "" });
    expect(refused.err).toContain("expected sha256");
    const skipped = await run("restore", damaged, `--data-dir=${dataDir}`, "--skip-hash-check");
    expect(skipped.exitCode).toBe(1);
    expect(skipped.err).toMatch(/damaged at page \d+/);
    expect((await run("status", damaged)).err).toMatch(/damaged at page \d+/);
    await appendFile(damaged, "x");
    const odd = await run("restore", damaged, `--data-dir=${dataDir}`);
    expect(odd.err).toContain("snapshot missing hash");
    expect(await readdir(dataDir).catch(() => [])).toEqual([]);
    const inUse = await run("restore", saved, `--data-dir=${folder}`);
    expect(inUse.err).toContain("not empty or could not be read");
    const walInUse = await run("restore", saved, `--data-dir=${dataDir}`, `--wal-dir=${folder}`);
    expect(walInUse.err).toContain(`wal-dir "${folder}" exists`);
  });
});

describe("a download", () => {
  async function download(content: Buffer, partBytes: number): Promise<Buffer> {
    const disk = new MemoryDisk(1);
    const file = await disk.open("/a", "create-exclusive");
    const received = new Download(file);
    for (let at = 0; at < content.length; at += partBytes) {
      const bytes = content.subarray(at, at + partBytes);
      await received.add({ bytes, remainingBytes: 0, version: "" });
    }
    await received.finish();
    const written = Buffer.alloc(await file.size());
    await file.read(written, 0);
    return written;
  }

  const data = Buffer.alloc(5 * 512, 3);
  const whole = Buffer.concat([data, createHash("sha256").update(data).digest()]);

  test.each([1, 7, 32, 33, 512, 10_000])("in parts of %d bytes", async (partBytes) => {
    expect((await download(whole, partBytes)).equals(whole)).toBe(true);
  });

  test("that is cut or damaged is refused", async () => {
    const cut = download(whole.subarray(0, whole.length - 1), 100);
    await expect(cut).rejects.toThrow("sha256 checksum not found [bytes: 2591]");
    const changed = Buffer.from(whole);
    changed[100] = 4;
    await expect(download(changed, 100)).rejects.toThrow("does not match");
    await expect(download(Buffer.alloc(0), 100)).rejects.toThrow("[bytes: 0]");
  });
});
