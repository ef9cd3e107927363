// Runs a command for an event of a watch, and waits for it.

import { spawn } from "node:child_process";
import type { WatchBatch, WatchEvent } from "../client/watch-event.ts";
import { CommandError, ExitCode } from "./exit-code.ts";
import { goQuote } from "./go-quote.ts";

/** Throws a CommandError when the command fails, which ends the watch. */
export async function runForEvent(
  words: readonly string[],
  event: WatchEvent,
  batch: WatchBatch,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const [file = "", ...args] = words;
  const child = spawn(file, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...env, ...eventVariables(event, batch) },
  });
  const problem = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => {
      resolve(code === 0 ? "" : signal ? `killed by ${signal}` : `exit status ${code}`);
    });
  });
  if (problem !== "") {
    throw new CommandError(ExitCode.error, `command ${JSON.stringify(words)} error (${problem})`);
  }
}

function eventVariables(event: WatchEvent, batch: WatchBatch): Record<string, string> {
  const type = event.type === "put" ? "PUT" : "DELETE";
  return {
    PORTAL_WATCH_REVISION: String(event.revision),
    PORTAL_WATCH_EVENT_TYPE: type,
    // A variable ends at a zero byte.
    PORTAL_WATCH_KEY: event.kv.keyText.replaceAll("\0", ""),
    PORTAL_WATCH_VALUE: event.kv.text.replaceAll("\0", ""),
    // As etcdctl hands them over: in quotes.
    ETCD_WATCH_REVISION: String(batch.header.revision),
    ETCD_WATCH_EVENT_TYPE: goQuote(type),
    ETCD_WATCH_KEY: goQuote(event.kv.key),
    ETCD_WATCH_VALUE: goQuote(event.kv.value),
  };
}
