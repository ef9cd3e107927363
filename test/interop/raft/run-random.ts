// Runs transcripts that were made at random, and counts each command as one case. Behind a command that
// differs everything would, so its transcript ends there; the first few are shown.
//
//   node run-random.js <folder of transcripts>

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InteractionHarness } from "./interaction-harness.ts";
import { runCommand } from "./run-command.ts";
import { readTranscript } from "./transcript.ts";

const mostShown = 3;

const [folder = ""] = process.argv.slice(2);
let passed = 0;
const differing: string[] = [];
for (const name of readdirSync(folder).sort()) {
  const path = join(folder, name);
  const harness = new InteractionHarness();
  for (const command of readTranscript(readFileSync(path, "utf8"))) {
    if (runCommand(path, command, harness)) {
      passed++;
      continue;
    }
    differing.push(name);
    break;
  }
  if (differing.length === mostShown) break;
}
if (differing.length > 0)
  console.log(`seeds: ${differing.map((name) => Number.parseInt(name, 10)).join(" ")}`);
console.log(`${passed} passed, ${differing.length} failed`);
process.exitCode = differing.length === 0 && passed > 0 ? 0 : 1;
