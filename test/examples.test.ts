// What the documentation shows is run: the programs in examples/, and the JavaScript blocks of
// docs/client.md, whose comments `// -> ...` say what they print.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatWithOptions, promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import * as portalKv from "../src/index.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "portal-examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function runExample(name: string, ...args: string[]): Promise<string> {
  const file = join(root, "examples", name);
  const { stdout } = await promisify(execFile)(process.execPath, [file, ...args], { cwd: folder });
  return stdout;
}

test("examples/embed.mjs keeps its data", async () => {
  const data = join(folder, "data");
  expect(await runExample("embed.mjs")).toBe("visit 1, stored at revision 2\nkeys: 1\n");
  expect(await runExample("embed.mjs", data)).toContain("visit 1, stored at revision 2");
  expect(await runExample("embed.mjs", data)).toContain("visit 2, stored at revision 3");
});

test("examples/client.mjs writes, claims, watches", async () => {
  const portal = await portalKv.Portal.start({ memory: true });
  try {
    expect(await runExample("client.mjs", portal.endpoints[0] as string)).toBe(
      [
        "colour: green",
        "claimed: true",
        "put    config/colour green",
        "put    jobs/1 me",
        "put    config/colour blue",
        "delete jobs/1 ",
        "",
      ].join("\n"),
    );
  } finally {
    await portal.close();
  }
});

test("examples/cluster.mjs loses its leader and nothing else", async () => {
  expect(await runExample("cluster.mjs")).toBe("members: m1,m2,m3\nstill here\nstill here\n");
}, 30_000);

test("docs/client.md prints what it says", async () => {
  const portal = await portalKv.Portal.start({ memory: true });
  const page = readFileSync(join(root, "docs/client.md"), "utf8");
  try {
    const blocks = [...page.matchAll(/^```js\n(.*?)^```$/gms)];
    expect(blocks.length).toBeGreaterThan(5);
    for (const [, code] of blocks) {
      const promised = [...(code as string).matchAll(/\/\/ -> (.*)$/gm)].map((match) => match[1]);
      expect(await runBlock(code as string, portal.client), code).toEqual(promised);
    }
  } finally {
    await portal.close();
  }
});

/** Runs a block with `client` and the package's exports in scope; resolves to the lines that it prints. */
async function runBlock(code: string, client: portalKv.Client): Promise<string[]> {
  const lines: string[] = [];
  const log = (...args: unknown[]) => lines.push(formatWithOptions({ colors: false }, ...args));
  const scope = { ...portalKv, client, console: { log } };
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  const run = new AsyncFunction(...Object.keys(scope), code) as (...values: unknown[]) => unknown;
  await run(...Object.values(scope));
  return lines;
}
