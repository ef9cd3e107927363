// Asks for a password on the terminal without showing it.

import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { CliIo } from "./cli-io.ts";
import { badArguments } from "./exit-code.ts";

export async function askPassword(io: CliIo): Promise<string> {
  if (!io.stdin.isTTY) {
    throw badArguments("--user has no password", "give it as --user=name:password or --password");
  }
  io.stderr.write("Password: ");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await terminal.question("");
  } finally {
    terminal.close();
    io.stderr.write("\n");
  }
}
