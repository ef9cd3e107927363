// portal member list, add, remove, update, promote

import type { Command } from "commander";
import { type Cli, type CommandRun, clientCommand, commandGroup } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import type { MemberChange } from "./output/printer.ts";
import { parseHexId } from "./parse-number.ts";
import { isSerializable } from "./range-flags.ts";

interface UrlFlags {
  readonly peerUrls?: string;
  readonly learner?: boolean;
}

const PEER_URLS = [
  "--peer-urls <urls>",
  "where it talks to other members, comma separated",
] as const;

export function memberCommand(cli: Cli, program: Command): Command {
  const group = commandGroup(cli, program, {
    name: "member",
    summary: "The members of the cluster",
    examples: ["portal member list -w table"],
  });
  clientCommand<{ readonly consistency: string }>(
    cli,
    group,
    {
      usage: "list",
      summary: "List the members",
      examples: ["portal member list", "portal member list -w json --hex"],
      aliases: ["ls"],
    },
    list,
  ).option("--consistency <level>", "l: linearizable, s: serializable", "l");
  clientCommand<UrlFlags>(
    cli,
    group,
    {
      usage: "add <name>",
      summary: "Add a member, then start it with what is printed",
      examples: ["portal member add m2 --peer-urls=http://10.0.0.2:2380 --learner"],
    },
    add,
  )
    .option(...PEER_URLS)
    .option("--learner", "without a vote, until it is promoted");
  clientCommand(
    cli,
    group,
    {
      usage: "remove <member-id>",
      summary: "Remove a member",
      examples: ["portal member remove ac7c97ef0ec193b0"],
    },
    (run, words) =>
      change(run, words, "removed", (client, id) => client.memberRemove(id, run.callOptions)),
  );
  clientCommand<UrlFlags>(
    cli,
    group,
    {
      usage: "update <member-id>",
      summary: "Change where a member is reached by the others",
      examples: ["portal member update ac7c97ef0ec193b0 --peer-urls=http://10.0.0.3:2380"],
    },
    (run, words, flags) => {
      const urls = peerUrls(flags);
      return change(run, words, "updated", (client, id) =>
        client.memberUpdate(id, urls, run.callOptions),
      );
    },
  ).option(...PEER_URLS);
  clientCommand(
    cli,
    group,
    {
      usage: "promote <member-id>",
      summary: "Give a learner its vote",
      examples: ["portal member promote ac7c97ef0ec193b0"],
    },
    (run, words) =>
      change(run, words, "promoted", (client, id) => client.memberPromote(id, run.callOptions)),
  );
  return group;
}

async function list(
  run: CommandRun,
  _words: string[],
  flags: { readonly consistency: string },
): Promise<void> {
  const serializable = isSerializable(flags.consistency);
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const members = await client.cluster.memberList({ serializable, ...run.callOptions });
    await run.cli.print(printer.memberList(members));
  });
}

async function add(run: CommandRun, words: string[], flags: UrlFlags): Promise<void> {
  const [name, ...rest] = words;
  if (name === undefined) throw badArguments("member name not provided");
  const url = rest.find((word) => /^http/i.test(word));
  if (rest.length > 0) {
    throw badArguments(
      url ? `too many arguments, did you mean --peer-urls=${url}` : "too many arguments",
    );
  }
  const urls = peerUrls(flags);
  const learner = flags.learner ?? false;
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const result = await client.cluster.memberAdd(urls, { learner, ...run.callOptions });
    await run.cli.print(printer.memberChanged({ kind: "added", result, name }));
  });
}

type ClusterCalls = import("../client/cluster.ts").Cluster;
type MemberListed = import("../client/cluster.ts").MemberList;

async function change(
  run: CommandRun,
  words: readonly string[],
  kind: Exclude<MemberChange["kind"], "added">,
  call: (client: ClusterCalls, id: bigint) => Promise<MemberListed>,
): Promise<void> {
  const [text] = words;
  if (text === undefined || words.length > 1) throw badArguments("member ID is not provided");
  const id = parseHexId("member ID arg", text);
  const printer = await run.printer();
  await run.withClient(async (client) => {
    const result = await call(client.cluster, id);
    await run.cli.print(printer.memberChanged({ kind, id, result }));
  });
}

function peerUrls(flags: UrlFlags): string[] {
  const urls = (flags.peerUrls ?? "").split(",").filter((url) => url !== "");
  if (urls.length > 0) return urls;
  throw badArguments("member peer urls not provided", "e.g. --peer-urls=http://10.0.0.2:2380");
}
