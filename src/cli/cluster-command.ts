// portal cluster status, health

import type { Command } from "commander";
import type { Client } from "../client/client.ts";
import { type AskEndpoint, checkHealth, gatherReport } from "./cluster-report.ts";
import { type Cli, type CommandRun, clientCommand, commandGroup } from "./command-run.ts";
import { CommandError, ExitCode } from "./exit-code.ts";

export function clusterCommand(cli: Cli, program: Command): Command {
  const group = commandGroup(cli, program, {
    name: "cluster",
    summary: "The cluster as a whole",
    examples: ["portal cluster status", "portal cluster health -w json"],
  });
  clientCommand(
    cli,
    group,
    {
      usage: "status",
      summary: "Show each member's role, how far behind it is, its size and round trip",
      details:
        "Finds the members through any endpoint and asks each at its own address. LAG counts log\n" +
        "entries that a member has yet to apply; RTT is the quickest of three calls from here.",
      examples: [
        "portal cluster status --endpoints=10.0.0.1:2379",
        "portal cluster status -w table",
      ],
    },
    status,
  );
  clientCommand(
    cli,
    group,
    {
      usage: "health",
      summary: "Say whether the cluster is well, and what is not",
      details:
        "Checks quorum, leader, a linearizable read, alarms, lag and space. Ends with 1 when a\n" +
        "check has failed; a warning alone does not change that.",
      examples: ["portal cluster health", "portal cluster health -w json"],
    },
    health,
  );
  return group;
}

async function status(run: CommandRun): Promise<void> {
  const printer = await run.printer();
  const report = await run.withClient((client) => gatherReport(client, askVia(run)));
  await run.cli.print(printer.clusterStatus(report));
  if (report.members.every(({ status: answer }) => answer === undefined)) {
    throw new CommandError(ExitCode.error, "no member answers");
  }
}

async function health(run: CommandRun): Promise<void> {
  const printer = await run.printer();
  const { report, canCommit } = await run.withClient(async (client) => ({
    report: await gatherReport(client, askVia(run)),
    canCommit: await tryRead(client, run),
  }));
  const checks = checkHealth(report, canCommit);
  await run.cli.print(printer.clusterHealth(checks));
  if (checks.some(({ verdict }) => verdict === "failed")) {
    throw new CommandError(ExitCode.error, "unhealthy cluster");
  }
}

function askVia(run: CommandRun): AskEndpoint {
  return (endpoint, use) => run.withClient(use, [endpoint]);
}

/** A linearizable read goes through the leader and a quorum. Being refused it is as good as an answer. */
async function tryRead(client: Client, run: CommandRun): Promise<true | string> {
  const { hasReason } = await import("../client/errors.ts");
  try {
    await client.get("health", run.callOptions);
  } catch (error) {
    if (!hasReason(error, "permissionDenied")) return (error as Error).message;
  }
  return true;
}
