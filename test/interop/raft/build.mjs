// Builds the raft harness of this folder, and with it the raft core, into ../.cache/raft.

import { execFileSync, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");

/** The folder of the built programs. Ends the process with a failure when they do not compile. */
export function buildRaftHarness() {
  execFileSync(process.execPath, [join(root, "tools/codegen.mjs")], { stdio: "inherit" });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options = ["-p", join(here, "tsconfig.json"), "--noEmitOnError", "false"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, ...options], {
    encoding: "utf8",
  });
  if (status !== 0) {
    console.log(`${stdout}${stderr}0 passed, 1 failed`);
    process.exit(1);
  }
  return join(here, "../.cache/raft/test/interop/raft");
}
