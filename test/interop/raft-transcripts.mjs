// etcd's own raft transcripts (data-driven tests) against our raft core. They are read from the Go
// module that go/etcd is pinned to. Every command is one case. Prints "N passed, N failed".
//
//   node test/interop/raft-transcripts.mjs [part of a file's name]

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { goModuleFolder } from "./programs/build.mjs";
import { buildRaftHarness } from "./raft/build.mjs";

const program = join(buildRaftHarness(), "run.js");
const args = [program, goModuleFolder("go.etcd.io/raft/v3", "etcd"), ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
