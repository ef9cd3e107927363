// etcd's own raft transcripts (data-driven tests) against our raft core. They are read from the Go
// module that go/etcd is pinned to. Every command is one case. Prints "N passed, N failed".
//
//   node test/interop/raft-transcripts.mjs [part of a file's name]

import { execFileSync, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { goModuleFolder } from "./programs/build.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

build();
const program = join(here, ".cache/raft/test/interop/raft/run.js");
const args = [program, goModuleFolder("go.etcd.io/raft/v3", "etcd"), ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;

function build() {
  execFileSync(process.execPath, [join(root, "tools/codegen.mjs")], { stdio: "inherit" });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options = ["-p", join(here, "raft/tsconfig.json"), "--noEmitOnError", "false"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, ...options], {
    encoding: "utf8",
  });
  if (status !== 0) {
    console.log(`${stdout}${stderr}0 passed, 1 failed`);
    process.exit(1);
  }
}
