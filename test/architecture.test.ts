// What the pages say about the code holds: the import table of ARCHITECTURE.md is the one that tidy
// enforces, its map names every folder, and every source file that a page mentions is there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { plantedClusterBugs } from "../sim/planted/cluster-bugs.ts";
import { plantedRaftBugs } from "../sim/planted/raft-bugs.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const pages = ["README.md", "ARCHITECTURE.md", "STYLE.md", "SECURITY.md"].concat(
  readdirSync(join(root, "docs")).map((name) => `docs/${name}`),
);

test("the import table is the one that is enforced", async () => {
  const layersFile = "../tools/tidy/layers.mjs";
  const { layers } = (await import(layersFile)) as { layers: Record<string, string | string[]> };
  const written: Record<string, string | string[]> = {};
  const [, table] = /may import what.*?^```\n(.*?)^```/ms.exec(read("ARCHITECTURE.md")) ?? [];
  for (const line of (table as string).trim().split("\n")) {
    const [left, right] = line.split(" → ") as [string, string];
    const targets =
      right === "everything" ? "*" : right === "nothing else" ? [] : right.split(" ").sort();
    for (const folder of left.split(" ")) written[folder] = targets;
  }
  const enforced = Object.entries(layers)
    .filter(([folder]) => folder !== "" && folder !== "base")
    .map(([folder, targets]) => [folder, targets === "*" ? "*" : [...targets].sort()]);
  expect(written).toEqual(Object.fromEntries(enforced));
});

test("the map names every folder", () => {
  const page = read("ARCHITECTURE.md");
  const folders = readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `src/${entry.name}/`);
  for (const folder of folders) expect(page).toContain(`\`${folder}`);
});

test("the list of planted bugs is the one that is looked for", () => {
  const listed = { cluster: new Map<string, number>(), raft: new Map<string, number>() };
  const rows = /^\| In a cluster .*?\n\n/ms.exec(read("docs/simulator.md"))?.[0] ?? "";
  for (const line of rows.split("\n").slice(2)) {
    const cells = line.split("|").map((cell) => cell.trim());
    for (const [kind, at] of [["cluster", 1] as const, ["raft", 3] as const]) {
      if (cells[at]) listed[kind].set(cells[at], Number(cells[at + 1]?.replace(",", "")));
    }
  }
  const planted = (bugs: readonly { name: string; seedsMax: number }[]) =>
    Object.fromEntries(bugs.map(({ name, seedsMax }) => [name, seedsMax]));
  expect(Object.fromEntries(listed.cluster)).toEqual(planted(plantedClusterBugs));
  expect(Object.fromEntries(listed.raft)).toEqual(planted(plantedRaftBugs));
});

test("every file and link of the pages is there", () => {
  for (const page of pages) {
    const text = read(page);
    const files = [...text.matchAll(/`((?:src|sim|test|tools|examples|bench)\/[\w./-]+\.\w+)`/g)];
    for (const [, file] of files) expect(existsSync(join(root, file as string)), file).toBe(true);
    for (const [, link] of text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
      expect(existsSync(join(root, page, "..", link as string)), `${page}: ${link}`).toBe(true);
    }
  }
});
