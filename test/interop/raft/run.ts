// Runs every transcript of a copy of etcd's raft module, and counts each command as one case.
//
//   node run.js <module folder> [part of a file's name]

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfChangeHarness } from "./conf-change-harness.ts";
import { InteractionHarness } from "./interaction-harness.ts";
import { QuorumHarness } from "./quorum-harness.ts";
import { type Harness, runCommand } from "./run-command.ts";
import { type Command, readTranscript } from "./transcript.ts";

const suites = [
  { folder: "quorum/testdata", harness: () => new QuorumHarness() },
  { folder: "confchange/testdata", harness: () => new ConfChangeHarness() },
  { folder: "testdata", harness: () => new InteractionHarness() },
];

const [moduleFolder = "", wanted = ""] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const { folder, harness } of suites) {
  const before = { passed, failed };
  for (const name of readdirSync(join(moduleFolder, folder)).sort()) {
    if (!name.endsWith(".txt") || !name.includes(wanted)) continue;
    const text = readFileSync(join(moduleFolder, folder, name), "utf8");
    runFile(`${folder}/${name}`, readTranscript(text), harness());
  }
  const count = passed - before.passed;
  console.log(`${folder}: ${count} of ${count + failed - before.failed}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function runFile(file: string, commands: readonly Command[], harness: Harness): void {
  for (const command of commands) {
    if (runCommand(file, command, harness)) passed++;
    else failed++;
  }
}
