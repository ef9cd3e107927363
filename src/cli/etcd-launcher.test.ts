import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { versionText } from "./server-help.ts";

const launcher = resolve(import.meta.dirname, "../../bin/etcd");

test("bin/etcd tells its version without Node, also through a link, and as the server tells it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "portal-launcher-"));
  try {
    const link = join(folder, "etcd");
    await symlink(launcher, link);
    // Only the shell's own tools: starting Node would fail.
    const options = { env: { PATH: "/usr/bin:/bin", NODE_OPTIONS: "--no-such-option" } };
    const { stdout } = await promisify(execFile)(link, ["--version"], options);
    expect(stdout).toMatch(/^etcd Version: 3\.7\.3\n/);
    expect(stdout).toBe(versionText());
  } finally {
    await rm(folder, { recursive: true });
  }
});
