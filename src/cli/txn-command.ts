// portal txn

import type { Command } from "commander";
import type { Operation } from "../client/operation.ts";
import { readLines } from "./cli-io.ts";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import type { TxnStep } from "./output/printer.ts";
import type { ParsedStep } from "./txn-syntax.ts";

interface TxnFlags {
  readonly interactive?: boolean;
}

export function txnCommand(cli: Cli, program: Command): Command {
  return clientCommand<TxnFlags>(
    cli,
    program,
    {
      usage: "txn",
      summary: "Do several things in one atomic step",
      details: [
        "Reads from standard input: conditions, an empty line, what to do when all hold,",
        "an empty line, what to do when one does not. Conditions compare version, create,",
        "mod, value or lease of a key by = != > or <. Steps are put, get and del, with their",
        "flags.",
      ].join("\n"),
      examples: [
        "portal txn --interactive",
        'printf \'create("lock") = "0"\\n\\nput lock me\\n\\nget lock\\n\' | portal txn',
      ],
    },
    txn,
  ).option("-i, --interactive", "say what is expected next");
}

async function txn(run: CommandRun, words: string[], flags: TxnFlags): Promise<void> {
  if (words.length > 0) throw badArguments("txn command does not accept argument");
  const lines = readLines(run.cli.io.stdin);
  const section = async <Item>(title: string, parse: (line: string) => Item) => {
    if (flags.interactive) await run.cli.print(`${title}\n`);
    return readSection(lines, parse);
  };
  const { parseCondition, parseStep } = await import("./txn-syntax.ts");
  const conditions = await section("compares:", parseCondition);
  const success = await section("success requests (get, put, del):", parseStep);
  const failure = await section("failure requests (get, put, del):", parseStep);
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const result = await client
      .txn()
      .when(...conditions)
      .do(...operations(success))
      .otherwise(...operations(failure))
      .commit(run.callOptions);
    const parsed = result.succeeded ? success : failure;
    const steps = parsed.map(({ kind }, index) => ({ kind, result: result.results[index] }));
    await run.cli.print(
      printer.txn({
        header: result.header,
        succeeded: result.succeeded,
        steps: steps as TxnStep[],
      }),
    );
  });
}

/** The parsed lines up to an empty one or the end. */
async function readSection<Item>(
  lines: AsyncGenerator<string, void>,
  parse: (line: string) => Item,
): Promise<Item[]> {
  const items: Item[] = [];
  for (;;) {
    const next = await lines.next();
    const line = next.done ? "" : next.value.trim();
    if (line === "") return items;
    items.push(parse(line));
  }
}

function operations(steps: readonly ParsedStep[]): Operation<unknown>[] {
  return steps.map((step) => step.operation);
}
