// What the pages say about the code holds: the import table of ARCHITECTURE.md is the one that tidy
// enforces, its map names every folder, and every source file that a page mentions is there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

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

test("every file and link of the pages is there", () => {
  for (const page of pages) {
    const text = read(page);
    const files = [...text.matchAll(/`((?:src|test|tools|examples|bench)\/[\w./-]+\.\w+)`/g)];
    for (const [, file] of files) expect(existsSync(join(root, file as string)), file).toBe(true);
    for (const [, link] of text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
      expect(existsSync(join(root, page, "..", link as string)), `${page}: ${link}`).toBe(true);
    }
  }
});
