// h2spec, all 145 cases, against a whole member: over cleartext and over TLS.
//
//   node test/interop/h2spec.mjs

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, judgeBinary, runProgram, waitForPort } from "./programs/judge.mjs";

const main = join(dirname(fileURLToPath(import.meta.url)), "../../dist/src/main.js");

let passed = 0;
let failed = 0;
for (const scheme of ["http", "https"]) {
  const data = await mkdtemp(join(tmpdir(), "portal-h2spec-"));
  const port = await freePort();
  const url = `${scheme}://127.0.0.1:${port}`;
  // A finite limit: h2spec opens one stream more than that and wants to see it refused.
  const flags = [
    "--data-dir",
    data,
    "--listen-client-urls",
    url,
    "--max-concurrent-streams",
    "100",
  ];
  if (scheme === "https") flags.push("--auto-tls");
  const server = spawn(process.execPath, [main, "server", ...flags], { stdio: "ignore" });
  try {
    await waitForPort(port);
    const args = ["-h", "127.0.0.1", "-p", String(port), "-P", "/version", "-o", "5"];
    if (scheme === "https") args.push("-t", "-k");
    const { output } = await runProgram(judgeBinary("h2spec"), args, 180_000);
    const counts = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output);
    const good = Number(counts?.[2] ?? 0);
    const all = Number(counts?.[1] ?? 145);
    console.log(`h2spec ${scheme}: ${good} of ${all}`);
    if (good !== all) console.log(output.trimEnd());
    passed += good;
    failed += all - good;
  } finally {
    server.kill("SIGKILL");
    await rm(data, { recursive: true, force: true });
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed === 290 ? 0 : 1;
