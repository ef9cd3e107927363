// portal compact

import type { Command } from "commander";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import { parseInteger } from "./parse-number.ts";
import { withSpinner } from "./progress-bar.ts";

interface CompactFlags {
  readonly physical?: boolean;
}

export function compactCommand(cli: Cli, program: Command): Command {
  return clientCommand<CompactFlags>(
    cli,
    program,
    {
      usage: "compact <revision>",
      summary: "Drop history before a revision",
      details: "Current values stay. Reads and watches from before the revision fail afterwards.",
      examples: ["portal compact 1000", "portal compact 1000 --physical"],
      aliases: ["compaction"],
    },
    compact,
  ).option("--physical", "wait until the space is free for reuse");
}

async function compact(run: CommandRun, words: string[], flags: CompactFlags): Promise<void> {
  const [text] = words;
  if (text === undefined || words.length > 1) {
    throw badArguments("compaction command needs 1 argument", "the revision to keep from");
  }
  const revision = parseInteger("revision", text);
  const physical = flags.physical ?? false;
  await run.withClient(async (client) => {
    const limit = physical ? run.longCallOptions : run.callOptions;
    const compacted = client.kv.compact(revision, { physical, ...limit });
    await withSpinner(run.cli, "compacting", compacted);
    await run.cli.print(`compacted revision ${revision}\n`);
  });
}
