// portal move-leader

import type { Command } from "commander";
import type { MemberStatus } from "../client/maintenance.ts";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import { parseHexId } from "./parse-number.ts";

export function moveLeaderCommand(cli: Cli, program: Command): Command {
  return clientCommand(
    cli,
    program,
    {
      usage: "move-leader <member-id>",
      summary: "Make another member the leader",
      details: "Looks for the leader among --endpoints, so give it all members.",
      examples: ["portal move-leader ac7c97ef0ec193b0 --endpoints=m1:2379,m2:2379,m3:2379"],
    },
    moveLeader,
  );
}

async function moveLeader(run: CommandRun, words: string[]): Promise<void> {
  const [text] = words;
  if (text === undefined || words.length > 1) {
    throw badArguments("move-leader command needs 1 argument", "the id of the member to lead");
  }
  const target = parseHexId("member ID arg", text);
  const { endpoint, status } = await findLeader(run);
  await run.withClient(
    (client) => client.maintenance.moveLeader(target, run.callOptions),
    [endpoint],
  );
  if (run.globals.writeOut === "json") return run.cli.print("{}\n");
  const [from, to] = [status.leader, target].map((id) => id.toString(16));
  await run.cli.print(`Leadership transferred from ${from} to ${to}\n`);
}

async function findLeader(
  run: CommandRun,
): Promise<{ readonly endpoint: string; readonly status: MemberStatus }> {
  const { endpoints } = run.globals;
  for (const endpoint of endpoints) {
    const status = await run.withClient(
      (client) => client.maintenance.status(run.callOptions),
      [endpoint],
    );
    if (status.header.memberId === status.leader) return { endpoint, status };
  }
  throw badArguments(
    `no leader endpoint given at [${endpoints.join(" ")}]`,
    "name all members: --endpoints=m1:2379,m2:2379,m3:2379",
  );
}
