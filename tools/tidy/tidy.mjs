// Checks every source file against the rules in rules.mjs and fails with one line for each problem.
//
//   node tools/tidy/tidy.mjs [path ...]      only files whose path begins so
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "../support.mjs";
import { checkFile } from "./rules.mjs";

const topFolders = ["src", "sim", "test", "bench", "examples", "tools", "bin", "proto", ".ci"];
const skippedFolders = new Set(["node_modules", "dist", ".cache", "generated", "testdata"]);
const checkedNames = /\.(?:ts|mts|mjs|js|md|json|proto|go|sh|ya?ml)$|^[^.]+$/;

const wanted = process.argv.slice(2);
const exceptions = JSON.parse(readFileSync(join(root, "tools/tidy/exceptions.json"), "utf8"));
const files = listFiles().filter(
  (path) => wanted.length === 0 || wanted.some((prefix) => path.startsWith(prefix)),
);
const problems = files.flatMap((path) =>
  checkFile(path, readFileSync(join(root, path), "utf8"), exceptions.maxLines[path]),
);
for (const path of Object.keys(exceptions.maxLines)) {
  if (!existsSync(join(root, path))) {
    problems.push({
      path,
      line: 1,
      message: "is gone; remove its line in tools/tidy/exceptions.json",
    });
  }
}
for (const { path, line, message } of problems) console.error(`${path}:${line}: ${message}`);
if (problems.length > 0) {
  console.error(`tidy: ${problems.length} problem${problems.length === 1 ? "" : "s"}`);
  process.exit(1);
}
console.log(`tidy: ${files.length} files are in order`);

function listFiles() {
  const found = [];
  const walk = (folder) => {
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!skippedFolders.has(entry.name)) walk(path);
      } else if (checkedNames.test(entry.name)) {
        found.push(relative(root, path));
      }
    }
  };
  for (const folder of topFolders) walk(join(root, folder));
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (entry.isFile() && /\.(?:md|ts)$/.test(entry.name)) found.push(entry.name);
  }
  return found.sort();
}
