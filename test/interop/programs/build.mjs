// Builds the TypeScript programs of this folder into ../.cache/build: generates the codecs that only
// they need (grpc.testing from ../proto, Connect's conformance messages from its Go module), then runs
// tsc. What is up to date is left alone.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");
const cache = join(here, "../.cache");

/** The folder of a Go module, in the version that one of the modules in ../go is pinned to. */
export function goModuleFolder(module, pinnedIn = "judges") {
  const folder = join(here, "../go", pinnedIn);
  const options = { cwd: folder, encoding: "utf8" };
  const find = () => execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", module], options).trim();
  if (find() === "") execFileSync("go", ["mod", "download", module], { cwd: folder });
  return find();
}

/** Builds a program; returns the path of its JavaScript. */
export function buildProgram(name, { conformance = false } = {}) {
  generate("testing", join(here, "../proto"), "");
  if (conformance) {
    const version = goModuleFolder("connectrpc.com/conformance");
    generate("conformance", join(version, "proto"), version);
  }
  execFileSync(process.execPath, [join(root, "tools/codegen.mjs")]);
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const built = spawnSync(
    process.execPath,
    [tsc, "-p", join(root, "tsconfig.interop.json"), "--noEmitOnError", "false"],
    { encoding: "utf8" },
  );
  const output = join(cache, `build/test/interop/programs/${name}.js`);
  // Programs of other suites may lack their generated messages; this one must be without errors.
  const errors = built.stdout
    .split("\n")
    .filter((line) => line.startsWith(`test/interop/programs/${name}`));
  if (errors.length > 0 || !existsSync(output)) {
    throw new Error(`cannot build ${name}:\n${built.stdout}${built.stderr}`);
  }
  return output;
}

function generate(name, protoFolder, source) {
  const output = join(cache, "generated", name);
  const stamp = join(output, ".stamp.json");
  const version = createRequire(import.meta.url)("ts-proto/package.json").version;
  const key = JSON.stringify({ version, source });
  if (name === "conformance" && existsSync(stamp)) return;
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const require = createRequire(import.meta.url);
  const plugin = join(dirname(require.resolve("ts-proto/package.json")), "protoc-gen-ts_proto");
  const options = [
    ...["forceLong=bigint", "esModuleInterop=true", "importSuffix=.ts", "enumsAsLiterals=true"],
    ...["oneof=unions-value", "snakeToCamel=true", "outputServices=generic-definitions"],
    ...["outputJsonMethods=false", "outputPartialMethods=true", "useExactTypes=false"],
  ];
  const template = {
    version: "v2",
    inputs: [{ directory: protoFolder }],
    plugins: [{ local: [process.execPath, plugin], out: output, opt: options, strategy: "all" }],
  };
  const buf = join(root, "node_modules/.bin/buf");
  execFileSync(buf, ["generate", "--template", JSON.stringify(template), "--include-imports"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, BUF_CACHE_DIR: join(cache, "buf") },
  });
  writeFileSync(stamp, key);
}
