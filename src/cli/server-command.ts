// `portal server`, and the same server in etcd's clothes: reads the settings, starts the member, says
// when it is ready, waits for a signal and stops it in order. The server itself is handed in, so that
// nothing of it is loaded for --help or a typing error.

import type { Command } from "commander";
import type { Logger } from "../base/log.ts";
import { ConfigError } from "../config/config-error.ts";
import {
  type ParsedConfig,
  type Program,
  parseServerConfig,
  type ServerConfig,
} from "../config/server-config.ts";
import { MemberRemovedError } from "../server/member-removed.ts";
import type { RunningServer } from "../server/start-server.ts";
import { openServerLog } from "./server-log.ts";

export type StartServer = (
  config: ServerConfig,
  log: Logger,
  options: { readonly signal: AbortSignal },
) => Promise<RunningServer>;

/** A cluster that starts together is there sooner. */
const waitingNoteMs = 3000;

type Signal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** The world as the server command sees it. */
export interface ServerIo {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  /** How the command line tool is called from here: "portal", "bin/portal". */
  readonly tool: string;
  onSignal(signal: Signal, listener: () => void): void;
  /** Milliseconds since the process started. */
  uptimeMs(): number;
}

export type ServerEnd = { readonly exitCode: number } | { readonly signal: Signal };

/** Lists `server` among the commands of `portal`; its flags are read by `runServer`. */
export function serverCommand(program: Command, run: (argv: string[]) => Promise<void>): Command {
  return program
    .command("server")
    .summary("run one member")
    .description("Starts one member; `portal server --help` lists its flags.")
    .usage("[flags]")
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .argument("[flags...]")
    .action((flags: string[]) => run(flags));
}

/** Runs until a signal or a failure ends it. Never rejects for what the world did wrong. */
export async function runServer(
  program: Program,
  argv: readonly string[],
  start: StartServer,
  io: ServerIo,
): Promise<ServerEnd> {
  const stopped = signalled(io);
  let parsed: ParsedConfig | "help" | "version";
  let log: Logger;
  try {
    parsed = await parseServerConfig(program, argv, io.environment);
    if (typeof parsed === "string") return await printWords(parsed, program, io);
    log = openServerLog(parsed.config.log, io);
  } catch (error) {
    return refuse(error, program, io);
  }
  const { config, warnings } = parsed;
  if (config.log.isExplicit)
    log.named("cli/server").info("Running: ", { args: [program, ...argv] });
  for (const warning of warnings) log.named("config").warn(warning);
  let server: RunningServer;
  const starting = new AbortController();
  let endsEarly: Signal | undefined;
  void stopped.then((signal) => {
    endsEarly = signal;
    starting.abort();
  });
  const stopWaiting = sayWaiting(config, log, io);
  try {
    server = await start(config, log, { signal: starting.signal });
  } catch (error) {
    if (endsEarly) return end(endsEarly, config, log, io);
    if (error instanceof MemberRemovedError) return reportRemoval(error, config, log, io);
    return await reportFailure("failed to start", error, config, log, io);
  } finally {
    stopWaiting();
  }
  announce(server, config, log, io);
  const ended = await Promise.race([
    stopped,
    server.failure.catch((error: unknown) => ({ failure: error })),
  ]);
  if (typeof ended !== "object") return stop(server, ended, config, log, io);
  if (ended.failure instanceof MemberRemovedError) {
    await server.close().catch(() => undefined);
    return reportRemoval(ended.failure, config, log, io);
  }
  return await reportFailure("the member can not go on", ended.failure, config, log, io);
}

/** One of several members is ready when enough of them run: whoever looks on is told whom it waits for. */
function sayWaiting(config: ServerConfig, log: Logger, io: ServerIo): () => void {
  const others = config.initialCluster.filter((member) => member.name !== config.name);
  if (others.length === 0) return () => undefined;
  const timer = setTimeout(() => {
    const places = others.map(({ name, peerUrls }) => `${name} at ${peerUrls.join(" or ")}`);
    if (config.log.isExplicit) {
      log.named("cli/server").info("waiting for a quorum of the members", { others: places });
    } else {
      io.stdout.write(`waiting for a quorum: looking for ${places.join(", ")} ...\n`);
    }
  }, waitingNoteMs);
  return () => clearTimeout(timer);
}

function signalled(io: ServerIo): Promise<Signal> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      io.onSignal(signal, () => resolve(signal));
    }
  });
}

async function printWords(
  words: "help" | "version",
  program: Program,
  io: ServerIo,
): Promise<ServerEnd> {
  const { helpText, versionText } = await import("./server-help.ts");
  io.stdout.write(words === "help" ? helpText(program) : versionText());
  return { exitCode: 0 };
}

/** Settings that can not be used: told as a person reads it, and as etcd does in etcd's clothes. */
async function refuse(error: unknown, program: Program, io: ServerIo): Promise<ServerEnd> {
  if (!(error instanceof ConfigError)) throw error;
  const { message, hint, exitCode } = error;
  if (program === "etcd" && exitCode === 1) {
    const outputs = ["default"];
    const settings = { level: "info", format: "json", outputs, isExplicit: true } as const;
    const fields = hint === "" ? { error: message } : { error: message, hint };
    openServerLog(settings, io).named("cli/server").error("failed to verify flags", fields);
    return { exitCode };
  }
  const name = program === "portal" ? "portal server: " : "";
  io.stderr.write(`${name}${message}${hint === "" ? "" : `\n${hint}`}\n`);
  if (program === "etcd") {
    const { usageText } = await import("./server-help.ts");
    io.stderr.write(usageText(program));
  } else if (!hint.includes("--help")) {
    io.stderr.write("See `portal server --help`.\n");
  }
  return { exitCode };
}

function announce(server: RunningServer, config: ServerConfig, log: Logger, io: ServerIo): void {
  if (!config.log.isExplicit) {
    void printBanner(server, config, io);
    return;
  }
  const serverLog = log.named("cli/server");
  serverLog.info("ready to serve client requests", { "start-ms": Math.round(io.uptimeMs()) });
  const traffic = config.listenClientHttpUrls.length > 0 ? "grpc" : "grpc+http";
  for (const url of server.clientUrls) {
    const isSecure = /^(https|unixs):/.test(url);
    const address = url.replace(/^\w+:\/\//, "");
    const message = isSecure
      ? "serving client traffic securely"
      : "serving client traffic insecurely; this is strongly discouraged!";
    serverLog.info(message, { traffic, address });
  }
}

async function printBanner(
  server: RunningServer,
  config: ServerConfig,
  io: ServerIo,
): Promise<void> {
  const startMs = io.uptimeMs();
  const { bannerText } = await import("./server-banner.ts");
  const colors = io.stdout.isTTY === true && !io.environment.NO_COLOR;
  const { clientUrls } = server;
  io.stdout.write(bannerText({ config, clientUrls, startMs, tool: io.tool, colors }));
}

async function stop(
  server: RunningServer,
  signal: Signal,
  config: ServerConfig,
  log: Logger,
  io: ServerIo,
): Promise<ServerEnd> {
  const serverLog = log.named("cli/server");
  serverLog.info("received signal; shutting down", { signal });
  try {
    await server.close();
  } catch (error) {
    return reportFailure("failed to stop in order", error, config, log, io);
  }
  return end(signal, config, log, io);
}

/** In order, and as whoever sent the signal expects it. */
function end(signal: Signal, config: ServerConfig, log: Logger, io: ServerIo): ServerEnd {
  const { name, dataDir } = config;
  log.named("cli/server").info("closed the member", { name, "data-dir": dataDir });
  if (!config.log.isExplicit) io.stdout.write("\nPortal has stopped; all data is on disk.\n");
  return config.program === "etcd" ? { signal } : { exitCode: 0 };
}

/** Nothing went wrong: somebody asked the cluster to go on without this member. */
function reportRemoval(
  { message }: MemberRemovedError,
  config: ServerConfig,
  log: Logger,
  io: ServerIo,
): ServerEnd {
  const { name, dataDir } = config;
  const advice = "its data are left where they are; remove the data directory to join anew";
  if (config.log.isExplicit) {
    log.named("cli/server").warn(message, { name, "data-dir": dataDir, advice });
  } else {
    io.stdout.write(`\n${message}\n${advice}: ${dataDir}\n`);
  }
  return { exitCode: 0 };
}

async function reportFailure(
  what: string,
  error: unknown,
  config: ServerConfig,
  log: Logger,
  io: ServerIo,
): Promise<ServerEnd> {
  const { explainServerFailure } = await import("./server-failure.ts");
  const { message, hint, stack } = explainServerFailure(error, config.dataDir);
  if (config.log.isExplicit) {
    const more = { ...(hint === "" ? {} : { hint }), ...(stack === undefined ? {} : { stack }) };
    log.named("cli/server").fatal(what, { error: message, ...more });
  } else {
    if (stack !== undefined) io.stderr.write(`${stack}\n`);
    io.stderr.write(`portal server: ${message}\n${hint === "" ? "" : `${hint}\n`}`);
  }
  return { exitCode: 1 };
}
