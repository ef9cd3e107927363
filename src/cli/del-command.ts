// portal del

import type { Command } from "commander";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { goQuote } from "./go-quote.ts";
import { withSpinner } from "./progress-bar.ts";
import { keySelector } from "./range-flags.ts";

export interface DelFlags {
  readonly prefix?: boolean;
  readonly fromKey?: boolean;
  readonly prevKv?: boolean;
  readonly range?: boolean;
}

/** Time to think again before a range goes. */
const SECOND_THOUGHTS_MS = 2_000;

export function addDelFlags(command: Command): Command {
  return command
    .option("--prefix", "all keys that begin with the key")
    .option("--from-key", "all keys from the key on")
    .option("--prev-kv", "print what was deleted")
    .option("--range", "do not wait before deleting from key to range-end");
}

export function delCommand(cli: Cli, program: Command): Command {
  const command = clientCommand<DelFlags>(
    cli,
    program,
    {
      usage: "del <key> [range-end]",
      summary: "Delete a key or a range of keys [key, range-end)",
      examples: ["portal del greeting", "portal del --prefix users/ --prev-kv"],
      aliases: ["delete"],
    },
    del,
  );
  return addDelFlags(command);
}

async function del(run: CommandRun, words: string[], flags: DelFlags): Promise<void> {
  const selector = keySelector("del", words, flags);
  const printer = await run.printer();
  if (words.length > 1 && !flags.range) await waitBeforeRange(run.cli, words);
  await run.withClient(async (client) => {
    const options = { prevKv: flags.prevKv ?? false, ...run.callOptions };
    const result = await withSpinner(run.cli, "deleting", client.delete(selector, options));
    await run.cli.print(printer.delete(result));
  });
}

async function waitBeforeRange(cli: Cli, [from = "", to = ""]: readonly string[]): Promise<void> {
  cli.note(
    `Warning: Keys between ${goQuote(from)} and ${goQuote(to)} will be deleted. ` +
      "Please interrupt the command within next 2 seconds to cancel. " +
      "You can provide `--range` flag to avoid the delay.",
  );
  await new Promise((resolve) => setTimeout(resolve, SECOND_THOUGHTS_MS));
}
