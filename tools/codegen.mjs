// Generates src/wire/generated from proto/. The output is never committed; it is rebuilt when a
// .proto file or this file is newer than the stamp.
//
//   node tools/codegen.mjs [--force]
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const protoFolder = join(root, "proto");
const output = join(root, "src/wire/generated");
const stamp = join(output, ".stamp");
const inputs = [
  fileURLToPath(import.meta.url),
  join(root, "package-lock.json"),
  ...readdirSync(protoFolder).map((name) => join(protoFolder, name)),
];

const newest = Math.max(...inputs.map((file) => statSync(file).mtimeMs));
const isFresh = existsSync(stamp) && statSync(stamp).mtimeMs >= newest;
if (!isFresh || process.argv.includes("--force")) generate();

function generate() {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const require = createRequire(import.meta.url);
  const plugin = join(dirname(require.resolve("ts-proto/package.json")), "protoc-gen-ts_proto");
  const template = {
    version: "v2",
    inputs: [{ directory: protoFolder }],
    plugins: [
      {
        local: [process.execPath, plugin],
        out: output,
        opt: [
          // Ids are bigint; revisions, terms and indexes carry jstype = JS_NUMBER and are checked
          // safe integers.
          "forceLong=bigint",
          "useJsTypeOverride=true",
          "esModuleInterop=true",
          "importSuffix=.ts",
          "enumsAsLiterals=true",
          "oneof=unions-value",
          "snakeToCamel=true",
          "outputServices=generic-definitions",
          "outputJsonMethods=false",
          "outputPartialMethods=true",
          "useExactTypes=false",
          "removeEnumPrefix=false",
          "useAbortSignal=false",
          "typePrefix=",
        ],
        strategy: "all",
      },
    ],
  };
  const buf = join(root, "node_modules/.bin/buf");
  execFileSync(buf, ["generate", "--template", JSON.stringify(template), "--include-imports"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, BUF_CACHE_DIR: join(root, "node_modules/.cache/buf") },
  });
  for (const file of readdirSync(output, { recursive: true })) {
    if (file.endsWith(".ts")) adjustDecoders(join(output, file));
  }
  writeFileSync(stamp, "");
}

/**
 * An int64 beyond the safe integers becomes the nearest one instead of an error: a limit or a revision of 2^63 - 1
 * is a legal way to say "as much as there is", and every comparison still comes out right. Messages may nest as
 * deeply as a transaction of 128 operations can.
 */
function adjustDecoders(path) {
  const source = readFileSync(path, "utf8");
  const adjusted = source
    .replaceAll(
      /throw new globalThis\.Error\("Value is (?:larger|smaller) than Number\.(M\w+)"\);/g,
      "return globalThis.Number.$1;",
    )
    .replaceAll("previousRecursionDepth >= 100", "previousRecursionDepth >= 300");
  if (adjusted !== source) writeFileSync(path, adjusted);
}
