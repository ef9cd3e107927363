// Where the server's log goes: standard error, standard output, files, as --log-outputs says.

import { openSync, writeSync } from "node:fs";
import { createLogger, type Logger } from "../base/log.ts";
import { ConfigError } from "../config/config-error.ts";
import type { LogSettings } from "../config/server-config.ts";

export interface LogStreams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/**
 * The log of a server. A person at `portal server` gets warnings and errors only, since the banner
 * says the rest; whoever asked for a log, and everyone who runs it as etcd, gets all of it.
 */
export function openServerLog(settings: LogSettings, streams: LogStreams): Logger {
  const writers = settings.outputs.map((output) => writerTo(output, streams));
  const write = (line: string) => {
    for (const writer of writers) writer(line);
  };
  const now = () => performance.timeOrigin + performance.now();
  if (!settings.isExplicit) {
    return createLogger({ level: "warn", format: "console", write, now }, "portal");
  }
  return createLogger({ level: settings.level, format: settings.format, write, now }, "portal");
}

function writerTo(output: string, { stdout, stderr }: LogStreams): (line: string) => void {
  if (output === "stdout") return (line) => stdout.write(line);
  if (["stderr", "default", "systemd/journal"].includes(output))
    return (line) => stderr.write(line);
  try {
    const file = openSync(output, "a", 0o600);
    return (line) => {
      writeSync(file, line);
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`--log-outputs: ${output} can not be opened: ${reason}`);
  }
}
