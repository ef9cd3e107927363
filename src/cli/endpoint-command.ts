// portal endpoint health, status, hashkv

import { type Command, Option } from "commander";
import type { Client } from "../client/client.ts";
import type { Alarm } from "../client/maintenance.ts";
import { type Cli, type CommandRun, clientCommand, commandGroup } from "./command-run.ts";
import { CommandError, ExitCode } from "./exit-code.ts";
import type { EndpointHash, EndpointHealth, EndpointStatus } from "./output/printer.ts";
import { integerOption } from "./parse-number.ts";

interface EndpointFlags {
  readonly cluster?: boolean;
}

export function endpointCommand(cli: Cli, program: Command): Command {
  const group = commandGroup(cli, program, {
    name: "endpoint",
    summary: "How the members fare",
    examples: ["portal endpoint health", "portal endpoint status --cluster -w table"],
  }).option("--cluster", "ask all members of the cluster");
  const add = <Flags extends EndpointFlags>(
    usage: string,
    summary: string,
    examples: string[],
    action: (run: CommandRun, flags: Flags) => Promise<void>,
  ) => {
    const command = clientCommand<Flags>(
      cli,
      group,
      { usage, summary, examples },
      (run, _, flags) => action(run, { ...group.opts(), ...flags }),
    );
    return command.option("--cluster", "ask all members of the cluster");
  };
  add<EndpointFlags>(
    "health",
    "Say whether each endpoint answers reads and has no alarm",
    ["portal endpoint health --endpoints=10.0.0.1:2379,10.0.0.2:2379"],
    health,
  );
  add<EndpointFlags>(
    "status",
    "Show version, size, leader and log position of each endpoint",
    ["portal endpoint status -w table"],
    status,
  );
  add<EndpointFlags & { readonly rev?: number }>(
    "hashkv",
    "Show the hash of all history of each endpoint, which members must agree on",
    ["portal endpoint hashkv --cluster", "portal endpoint hashkv --rev 1000"],
    hashKv,
  ).addOption(
    new Option("--rev <number>", "up to this revision; default: the latest").argParser(
      integerOption("rev"),
    ),
  );
  return group;
}

async function health(run: CommandRun, flags: EndpointFlags): Promise<void> {
  const endpoints = await chosenEndpoints(run, flags);
  const list = await Promise.all(endpoints.map((endpoint) => checkHealth(run, endpoint)));
  const printer = await run.printer();
  await run.cli.print(printer.endpointHealth(list));
  const unhealthy = list.filter((entry) => !entry.healthy);
  if (unhealthy.length === 0) return;
  if (printer.format === "simple") {
    const { red } = run.cli.colors(run.cli.io.stderr);
    for (const { endpoint, error } of unhealthy) {
      run.cli.note(`${endpoint} is ${red("unhealthy")}: failed to commit proposal: ${error}`);
    }
  }
  throw new CommandError(ExitCode.error, "unhealthy cluster");
}

async function checkHealth(run: CommandRun, endpoint: string): Promise<EndpointHealth> {
  const startedMs = performance.now();
  let tookMs = 0;
  let error = "";
  try {
    await run.withClient(
      async (client) => {
        error = await readProblem(client, run);
        tookMs = performance.now() - startedMs;
        if (error === "")
          error = alarmProblem((await client.maintenance.alarms(run.callOptions)).alarms);
      },
      [endpoint],
    );
  } catch (failure) {
    tookMs ||= performance.now() - startedMs;
    error = (failure as Error).message;
  }
  return { endpoint, healthy: error === "", tookMs, error };
}

/** A linearizable read goes through the leader. Being refused it is as good as an answer. */
async function readProblem(client: Client, run: CommandRun): Promise<string> {
  const { hasReason } = await import("../client/errors.ts");
  try {
    await client.get("health", run.callOptions);
  } catch (error) {
    if (!hasReason(error, "permissionDenied")) throw error;
  }
  return "";
}

function alarmProblem(alarms: readonly Alarm[]): string {
  if (alarms.length === 0) return "";
  return `Active Alarm(s): ${alarms.map(({ alarm }) => `${alarm.toUpperCase()} `).join("")}`;
}

async function status(run: CommandRun, flags: EndpointFlags): Promise<void> {
  const list: EndpointStatus[] = [];
  const failures = await askEach(run, flags, "status", async (client, endpoint) => {
    list.push({ endpoint, status: await client.maintenance.status(run.callOptions) });
  });
  const printer = await run.printer();
  await run.cli.print(printer.endpointStatus(list));
  if (failures > 0) throw new CommandError(ExitCode.error, "");
}

async function hashKv(
  run: CommandRun,
  flags: EndpointFlags & { readonly rev?: number },
): Promise<void> {
  const list: EndpointHash[] = [];
  const failures = await askEach(run, flags, "hash", async (client, endpoint) => {
    const hash = await client.maintenance.hashKv(flags.rev ?? 0, run.callOptions);
    list.push({ endpoint, hash });
  });
  const printer = await run.printer();
  await run.cli.print(printer.endpointHash(list));
  if (failures > 0) throw new CommandError(ExitCode.error, "");
}

/** Asks the endpoints one after the other. Returns how many failed, which it has then told. */
async function askEach(
  run: CommandRun,
  flags: EndpointFlags,
  what: string,
  ask: (client: Client, endpoint: string) => Promise<void>,
): Promise<number> {
  let failures = 0;
  for (const endpoint of await chosenEndpoints(run, flags)) {
    try {
      await run.withClient((client) => ask(client, endpoint), [endpoint]);
    } catch (error) {
      failures += 1;
      const hint = error instanceof CommandError && error.hint ? `: ${error.hint}` : "";
      const said = `${(error as Error).message}${hint}`;
      run.cli.note(`Failed to get the ${what} of endpoint ${endpoint} (${said})`);
    }
  }
  return failures;
}

async function chosenEndpoints(run: CommandRun, flags: EndpointFlags): Promise<readonly string[]> {
  if (!flags.cluster) return run.globals.endpoints;
  return run.withClient(async (client) => {
    const { members } = await client.cluster.memberList(run.callOptions);
    return members.flatMap((member) => member.clientUrls);
  });
}
