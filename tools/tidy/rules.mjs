// The tidy rules, each a pure function of one file's path and text. A problem is
// `{ path, line, message }`, and every message says what to do next.
import { posix } from "node:path";
import {
  fileExceptions,
  impureNames,
  layers,
  nodeModuleOwners,
  openToAll,
  packageOwners,
  pureFolders,
  reachable,
  typeExceptions,
} from "./layers.mjs";
import { codeOnly, importsOf, lineAt } from "./source-text.mjs";

export const maxLines = 500;

// Spelt in two halves, so that this file passes its own check.
const unfinishedMarks = new RegExp(
  `\\b(?:${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`,
);
const machinePaths = new RegExp(
  `(?:^|[\\s"'\`(=:])/(?:${["wo" + "rk", "ro" + "ot", "ho" + "me"].join("|")})/[\\w.]`,
  "m",
);

/** "src/rpc/http2/hpack.ts" -> "rpc"; "src/main.ts" -> ""; outside src/ undefined. */
export function folderOf(path) {
  const parts = path.split("/");
  if (parts[0] !== "src") return undefined;
  return parts.length > 2 ? parts[1] : "";
}

const isTest = (path) =>
  /\.(?:test|bench)\.(?:ts|mjs)$/.test(path) || /(?:^|\/)(?:testing|fixtures)\//.test(path);
const isCode = (path) => /\.(?:ts|mts|mjs|js)$/.test(path);
const isGenerated = (path) => path.startsWith("src/wire/generated/");

/** All problems of one file. `allowance` is its line limit when it has an exception. */
export function checkFile(path, text, allowance) {
  if (isGenerated(path)) return [];
  const problems = [...checkMarks(path, text), ...checkMachinePaths(path, text)];
  if (!isCode(path)) return problems;
  problems.push(...checkLength(path, text, allowance));
  // A test beside its source needs no header: its name says what it is about.
  if (isTest(path)) return problems;
  problems.push(...checkHeader(path, text));
  const folder = folderOf(path);
  if (folder === undefined) return problems;
  if (layers[folder] === undefined) {
    const message = `the folder src/${folder} is not in the import table; add it to tools/tidy/layers.mjs and to ARCHITECTURE.md`;
    return [...problems, { path, line: 1, message }];
  }
  problems.push(...checkImports(path, text, folder));
  if (pureFolders.includes(folder)) problems.push(...checkPurity(path, text, folder));
  return problems;
}

function checkMarks(path, text) {
  const match = unfinishedMarks.exec(text);
  if (!match) return [];
  const message = `"${match[0]}" marks unfinished work; finish it, or open an issue and remove the mark`;
  return [{ path, line: lineAt(text, match.index), message }];
}

function checkMachinePaths(path, text) {
  const match = machinePaths.exec(text);
  if (!match) return [];
  const message = `"${match[0].trim()}..." is a path of one machine; write it relative to the repository or a temporary folder`;
  return [{ path, line: lineAt(text, match.index + 1), message }];
}

function checkHeader(path, text) {
  const body = text.replace(/^#![^\n]*\n/, "").trimStart();
  if (body.startsWith("//") || body.startsWith("/*")) return [];
  const message =
    "the file has no header; begin it with 2 to 6 comment lines: what it owns, what it refuses, its invariant";
  return [{ path, line: 1, message }];
}

function checkLength(path, text, allowance) {
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  const limit = allowance ?? maxLines;
  if (lines > limit) {
    const message = `${lines} lines, and the limit is ${limit}; split the file by what its parts own`;
    return [{ path, line: limit + 1, message }];
  }
  if (allowance !== undefined && lines < allowance) {
    const next = lines <= maxLines ? "remove its line" : `lower its limit to ${lines}`;
    return [
      { path, line: 1, message: `now ${lines} lines: ${next} in tools/tidy/exceptions.json` },
    ];
  }
  return [];
}

function checkImports(path, text, folder) {
  const problems = [];
  for (const { specifier, line, typeOnly } of importsOf(text)) {
    const message = specifier.startsWith(".")
      ? folderProblem(path, folder, specifier, typeOnly)
      : specifier.startsWith("node:")
        ? nodeProblem(folder, specifier, typeOnly)
        : packageProblem(folder, specifier, typeOnly);
    if (message) problems.push({ path, line, message });
  }
  return problems;
}

function folderProblem(path, folder, specifier, typeOnly) {
  const target = posix.join(posix.dirname(path), specifier);
  const other = folderOf(target);
  if (other === undefined)
    return `imports ${target}, which is outside src/; move what is needed into src/`;
  const allowed = layers[folder];
  if (other === folder || allowed === "*" || (openToAll.includes(other) && folder !== "base"))
    return undefined;
  if (allowed.includes(other)) return undefined;
  if (fileExceptions[folder]?.includes(target)) return undefined;
  if (typeOnly && (reachable(folder).has(other) || typeExceptions[folder]?.includes(other)))
    return undefined;
  const may = allowed.length === 0 ? "only base and wire" : `base, wire, ${allowed.join(", ")}`;
  return (
    `src/${folder} may not import src/${other || "*.ts"} (${specifier}); it may import ${may}. ` +
    "Move the shared part down, pass it in as an argument, or import only its type where the table reaches it"
  );
}

function nodeProblem(folder, specifier, typeOnly) {
  if (typeOnly) return undefined;
  if (pureFolders.includes(folder)) {
    return `src/${folder} is pure and may not import ${specifier}; take what it gives as an argument`;
  }
  for (const [pattern, owners, advice] of nodeModuleOwners) {
    if (pattern.test(specifier) && !owners.includes(folder)) {
      return `src/${folder} may not import ${specifier}: ${advice}`;
    }
  }
  return undefined;
}

function packageProblem(folder, specifier, typeOnly) {
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const owners = packageOwners[name];
  if (owners === undefined) {
    return `the package ${name} is not one that src/ may use; see packageOwners in tools/tidy/layers.mjs`;
  }
  if (typeOnly || owners.includes(folder)) return undefined;
  return `src/${folder} may not import ${name}; it belongs to src/${owners.join(", src/")}`;
}

function checkPurity(path, text, folder) {
  const problems = [];
  const code = codeOnly(text);
  for (const [pattern, name, advice] of impureNames) {
    const match = pattern.exec(code);
    if (!match) continue;
    const message = `src/${folder} is pure and may not use ${name}; ${advice}`;
    problems.push({ path, line: lineAt(text, match.index), message });
  }
  return problems;
}
