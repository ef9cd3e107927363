// portal lease grant, revoke, timetolive, keep-alive, list

import type { Command } from "commander";
import { hasReason, LeaseLostError } from "../client/errors.ts";
import { type Cli, type CommandRun, clientCommand, commandGroup } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import { leaseHex, type Printer } from "./output/printer.ts";
import { parseHexId, parseInteger } from "./parse-number.ts";

export function leaseCommand(cli: Cli, program: Command): Command {
  const group = commandGroup(cli, program, {
    name: "lease",
    summary: "Leases: keys that go away when nobody renews them",
    examples: ["portal lease grant 60", "portal lease list"],
  });
  clientCommand(
    cli,
    group,
    {
      usage: "grant <ttl-seconds>",
      summary: "Create a lease",
      examples: ["portal lease grant 60"],
    },
    grant,
  );
  clientCommand(
    cli,
    group,
    {
      usage: "revoke <lease-id>",
      summary: "End a lease and delete its keys",
      examples: ["portal lease revoke 694d5765fc71500b"],
    },
    revoke,
  );
  clientCommand<{ readonly keys?: boolean }>(
    cli,
    group,
    {
      usage: "timetolive <lease-id>",
      summary: "Show how long a lease lasts",
      examples: ["portal lease timetolive 694d5765fc71500b --keys"],
    },
    timeToLive,
  ).option("--keys", "also the keys attached to it");
  clientCommand<{ readonly once?: boolean }>(
    cli,
    group,
    {
      usage: "keep-alive <lease-id>",
      summary: "Renew a lease until interrupted",
      examples: [
        "portal lease keep-alive 694d5765fc71500b",
        "portal lease keep-alive --once 694d5765fc71500b",
      ],
    },
    keepAlive,
  ).option("--once", "renew one time only");
  clientCommand(
    cli,
    group,
    {
      usage: "list",
      summary: "List all leases",
      examples: ["portal lease list"],
      aliases: ["ls"],
    },
    list,
  );
  return group;
}

async function grant(run: CommandRun, words: string[]): Promise<void> {
  const ttlSeconds = parseInteger(
    "TTL",
    only(words, "lease grant command needs TTL argument", "a number of seconds"),
  );
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const lease = await client.leases.grant(ttlSeconds, { keepAlive: false, ...run.callOptions });
    await run.cli.print(printer.leaseGranted(lease));
  });
}

async function revoke(run: CommandRun, words: string[]): Promise<void> {
  const id = leaseId(words, "lease revoke command needs 1 argument");
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const header = await client.leases.revoke(id, run.callOptions);
    await run.cli.print(printer.leaseRevoked(id, header));
  });
}

async function timeToLive(
  run: CommandRun,
  words: string[],
  flags: { readonly keys?: boolean },
): Promise<void> {
  const id = leaseId(words, "lease timetolive command needs lease ID as argument");
  const keys = flags.keys ?? false;
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const result = await client.leases.timeToLive(id, { keys, ...run.callOptions });
    await run.cli.print(printer.leaseTimeToLive(result, { keys }));
  });
}

async function keepAlive(
  run: CommandRun,
  words: string[],
  flags: { readonly once?: boolean },
): Promise<void> {
  const id = leaseId(words, "lease keep-alive command needs lease ID as argument");
  const printer = await run.printer();
  await run.withClient(async (client) => {
    if (flags.once) {
      const renewal = await client.leases.keepAliveOnce(id, run.callOptions);
      await run.cli.print(printer.leaseRenewed(renewal));
      return;
    }
    try {
      const lease = await client.leases.keepAlive(id, {
        ...run.callOptions,
        onRenewed: (renewal) => void run.cli.print(printer.leaseRenewed(renewal)),
      });
      await sayLost(run, printer, id, await lease.lost);
    } catch (error) {
      if (!hasReason(error, "leaseNotFound")) throw error;
      await sayLost(run, printer, id, new LeaseLostError(id, "it expired or was revoked"));
    }
  });
}

async function list(run: CommandRun): Promise<void> {
  const printer = await run.printer();
  await run.withClient(async (client) => {
    await run.cli.print(printer.leaseList(await client.leases.list(run.callOptions)));
  });
}

async function sayLost(
  run: CommandRun,
  printer: Printer,
  id: bigint,
  error: LeaseLostError,
): Promise<void> {
  if (run.globals.debug) run.cli.note(`debug: ${error.message}`);
  if (printer.format !== "simple" && printer.format !== "table") return;
  await run.cli.print(`lease ${leaseHex(id)} expired or revoked.\n`);
}

function leaseId(words: readonly string[], missing: string): bigint {
  return parseHexId("lease ID arg", only(words, missing, "see `portal lease list`"));
}

function only(words: readonly string[], missing: string, hint: string): string {
  const [word] = words;
  if (word === undefined || words.length > 1) throw badArguments(missing, hint);
  return word;
}
