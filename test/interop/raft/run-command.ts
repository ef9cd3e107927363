// Runs one command of a transcript and compares what it prints with what it should.

import type { Command } from "./transcript.ts";

export interface Harness {
  /** Carries a command out and returns what it prints. */
  run(command: Command): string;
}

/** Whether it printed what it should; if not, says what it did. */
export function runCommand(file: string, command: Command, harness: Harness): boolean {
  const found = withoutLogLines(outputOf(harness, command));
  const expected = withoutLogLines(command.expected);
  if (found === expected) return true;
  console.log(`FAIL ${file}:${command.line} ${command.name}`);
  console.log(`--- expected\n${expected}\n--- found\n${found}\n---`);
  return false;
}

function outputOf(harness: Harness, command: Command): string {
  try {
    return harness.run(command);
  } catch (error) {
    return String(error instanceof Error ? error.stack : error);
  }
}

/** What the Go library logs is not a part of what it does. A command that only logged counts as "ok". */
function withoutLogLines(text: string): string {
  const lines = text.trimEnd().split("\n");
  const kept = lines.filter((line) => !/^ *(DEBUG|INFO|WARN|ERROR) /.test(line));
  return kept.join("\n") || "ok";
}
