// For tests: the world of a command line, in memory.

import type { CliIo } from "./cli-io.ts";

export function testIo(options: { stdin?: string; env?: CliIo["env"]; isTTY?: boolean } = {}) {
  const written = { out: [] as Uint8Array[], err: [] as Uint8Array[] };
  const stream = (into: Uint8Array[]) => ({
    write: (chunk: string | Uint8Array) => {
      into.push(Buffer.from(chunk));
      return true;
    },
    once: () => {},
    ...(options.isTTY && { isTTY: true }),
  });
  async function* stdin() {
    if (options.stdin !== undefined) yield options.stdin;
  }
  const io: CliIo = {
    env: options.env ?? {},
    stdin: stdin(),
    stdout: stream(written.out),
    stderr: stream(written.err),
  };
  return {
    io,
    out: () => Buffer.concat(written.out).toString(),
    err: () => Buffer.concat(written.err).toString(),
  };
}
