// portal put

import type { Command } from "commander";
import type { Bytes } from "../client/bytes.ts";
import type { PutOptions } from "../client/put-request.ts";
import { readAll } from "./cli-io.ts";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import { parseHexId } from "./parse-number.ts";

export interface PutFlags {
  readonly lease: string;
  readonly prevKv?: boolean;
  readonly ignoreValue?: boolean;
  readonly ignoreLease?: boolean;
}

const NEEDS = "put command needs 1 argument and input from stdin or 2 arguments";

export function addPutFlags(command: Command): Command {
  return command
    .option("--lease <id>", "attach the key to this lease (hexadecimal)", "0")
    .option("--prev-kv", "print what the key held before")
    .option("--ignore-value", "keep the value, e.g. to change the lease")
    .option("--ignore-lease", "keep the lease");
}

export function putCommand(cli: Cli, program: Command): Command {
  const command = clientCommand<PutFlags>(
    cli,
    program,
    {
      usage: "put <key> [value]",
      summary: "Set a key to a value",
      details: [
        "Without a value, it is read from standard input.",
        "A value that begins with '-' is taken for a flag: put it after '--'.",
      ].join("\n"),
      examples: [
        "portal put greeting hello",
        "portal put config < config.json",
        "portal put session/42 alive --lease 694d5765fc71500b",
        "portal put -- greeting --hello",
      ],
    },
    put,
  );
  return addPutFlags(command);
}

async function put(run: CommandRun, words: string[], flags: PutFlags): Promise<void> {
  const [key, given] = words;
  if (key === undefined || words.length > 2) {
    throw badArguments(NEEDS, "quote a value with blanks: portal put greeting 'hello world'");
  }
  const options = putOptions(words, flags);
  const value = flags.ignoreValue ? "" : (given ?? (await valueFromStdin(run)));
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const result = await client.put(key, value, { ...options, ...run.callOptions });
    await run.cli.print(printer.put(result));
  });
}

/** What the flags say; `words` are the key and perhaps the value. */
export function putOptions(words: readonly Bytes[], flags: PutFlags): PutOptions {
  if (flags.ignoreValue && words.length > 1) {
    throw badArguments("put command needs only 1 argument when 'ignore-value' is set");
  }
  return {
    lease: parseHexId("lease ID", flags.lease),
    prevKv: flags.prevKv ?? false,
    ignoreValue: flags.ignoreValue ?? false,
    ignoreLease: flags.ignoreLease ?? false,
  };
}

async function valueFromStdin(run: CommandRun): Promise<Uint8Array> {
  const { stdin } = run.cli.io;
  if (stdin.isTTY) run.cli.note("reading the value from standard input; end it with Ctrl-D");
  const value = await readAll(stdin);
  if (value.length === 0) throw badArguments(NEEDS, "to store an empty value: portal put key ''");
  return value;
}
