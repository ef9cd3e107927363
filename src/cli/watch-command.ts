// portal watch: events as they happen, printed, or handed to a command

import type { Command } from "commander";
import type { Client } from "../client/client.ts";
import type { Watcher } from "../client/watcher.ts";
import { readLines } from "./cli-io.ts";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { CommandError, ExitCode } from "./exit-code.ts";
import type { Printer } from "./output/printer.ts";
import {
  addWatchFlags,
  parseWatchLine,
  type WatchCall,
  type WatchFlags,
  watchCall,
} from "./watch-arguments.ts";
import { runForEvent } from "./watch-exec.ts";

export function watchCommand(cli: Cli, program: Command): Command {
  const command = clientCommand<WatchFlags & { readonly interactive?: boolean }>(
    cli,
    program,
    {
      usage: "watch <key> [range-end] [-- command...]",
      summary: "Print changes of a key or a range as they happen",
      details: [
        "Survives the loss of a connection without losing or repeating an event.",
        "A command after '--' is run for every event, with PORTAL_WATCH_KEY, _VALUE,",
        "_EVENT_TYPE and _REVISION in its environment (and ETCD_WATCH_*, quoted).",
        "The key may come from PORTAL_WATCH_KEY or ETCDCTL_WATCH_KEY (and _RANGE_END).",
        "With --interactive, lines `watch <key> ...` and `progress` are read from standard input.",
      ].join("\n"),
      examples: [
        "portal watch greeting",
        "portal watch --prefix users/ --rev 1",
        "portal watch deploy -- sh -c 'echo \"$PORTAL_WATCH_VALUE\"'",
      ],
    },
    watch,
  );
  return addWatchFlags(command).option("-i, --interactive", "read requests from standard input");
}

async function watch(
  run: CommandRun,
  words: string[],
  flags: WatchFlags & { readonly interactive?: boolean },
): Promise<void> {
  const printer = await run.printer();
  if (flags.interactive) {
    await run.withClient((client) => watchLines(run, printer, client));
    return;
  }
  const { argv, io } = run.cli;
  const separator = argv.indexOf("--");
  const exec = separator < 0 ? undefined : argv.slice(separator + 1);
  const own = exec === undefined ? words : words.slice(0, words.length - exec.length);
  const call = watchCall({ words: own, exec }, flags, io.env);
  await run.withClient(async (client) => {
    await printEvents(run, printer, open(run, client, call), call);
    throw new CommandError(ExitCode.interrupted, "watch is canceled by the server");
  });
}

/** Each line may start another watch; all print to the same output. */
async function watchLines(run: CommandRun, printer: Printer, client: Client): Promise<void> {
  const { env, stdin } = run.cli.io;
  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  const reading = (async () => {
    for await (const line of readLines(stdin)) {
      const request = parseWatchLine(line, env);
      if (request === "progress") {
        client.requestWatchProgress();
      } else if (typeof request === "string") {
        run.cli.note(request);
      } else {
        const watcher = open(run, client, request);
        printEvents(run, printer, watcher, request).catch((error: Error) => {
          run.cli.note(`watch was canceled (${error.message})`);
          if (error instanceof CommandError) failed(error);
        });
      }
    }
    throw new CommandError(ExitCode.invalidInput, "error reading watch request line: EOF");
  })();
  await Promise.race([reading, failure]);
}

function open(run: CommandRun, client: Client, call: WatchCall): Watcher {
  let told = false;
  return client.watch(call.selector, {
    ...call.options,
    onInterrupted: (error) => {
      // Once is enough: trying goes on for as long as it takes.
      if (!told) run.cli.note(`connection lost, trying again: ${(error as Error).message}`);
      told = true;
    },
  });
}

async function printEvents(
  run: CommandRun,
  printer: Printer,
  watcher: Watcher,
  call: WatchCall,
): Promise<void> {
  for await (const batch of watcher.batches()) {
    await run.cli.print(printer.watch(batch));
    if (!call.exec) continue;
    for (const event of batch.events) await runForEvent(call.exec, event, batch, run.cli.io.env);
  }
}
