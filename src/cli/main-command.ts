// The command tree of `portal`. Each command's code is loaded when the tree needs it.

import { Command } from "commander";
import type { Cli } from "./command-run.ts";
import { addGlobalFlags } from "./global-options.ts";

type RunServer = (argv: string[]) => Promise<void>;

interface Entry {
  readonly names: readonly string[];
  readonly register: (cli: Cli, program: Command, runServer: RunServer) => Promise<unknown>;
}

/** In the order of the help. */
const COMMANDS: readonly Entry[] = [
  {
    names: ["server"],
    register: async (_, program, runServer) =>
      (await import("./server-command.ts")).serverCommand(program, runServer),
  },
  {
    names: ["get"],
    register: async (cli, program) => (await import("./get-command.ts")).getCommand(cli, program),
  },
  {
    names: ["put"],
    register: async (cli, program) => (await import("./put-command.ts")).putCommand(cli, program),
  },
  {
    names: ["del", "delete"],
    register: async (cli, program) => (await import("./del-command.ts")).delCommand(cli, program),
  },
  {
    names: ["txn"],
    register: async (cli, program) => (await import("./txn-command.ts")).txnCommand(cli, program),
  },
  {
    names: ["watch"],
    register: async (cli, program) =>
      (await import("./watch-command.ts")).watchCommand(cli, program),
  },
  {
    names: ["lease"],
    register: async (cli, program) =>
      (await import("./lease-command.ts")).leaseCommand(cli, program),
  },
  {
    names: ["compact", "compaction"],
    register: async (cli, program) =>
      (await import("./compact-command.ts")).compactCommand(cli, program),
  },
  {
    names: ["endpoint"],
    register: async (cli, program) =>
      (await import("./endpoint-command.ts")).endpointCommand(cli, program),
  },
  {
    names: ["cluster"],
    register: async (cli, program) =>
      (await import("./cluster-command.ts")).clusterCommand(cli, program),
  },
  {
    names: ["member"],
    register: async (cli, program) =>
      (await import("./member-command.ts")).memberCommand(cli, program),
  },
  {
    names: ["move-leader"],
    register: async (cli, program) =>
      (await import("./move-leader-command.ts")).moveLeaderCommand(cli, program),
  },
  {
    names: ["snapshot"],
    register: async (cli, program) =>
      (await import("./snapshot-command.ts")).snapshotCommand(cli, program),
  },
  {
    // Not found by its name below: it needs all the others.
    names: [],
    register: async (cli, program) =>
      (await import("./completion-command.ts")).completionCommand(cli, program),
  },
  {
    names: ["version"],
    register: async (cli, program) =>
      (await import("./version-command.ts")).versionCommand(cli, program),
  },
];

/**
 * The tree for `cli.argv`: only the command that it begins with, so that it starts quickly; all of
 * them for help, completion and what is not known. `runServer` runs `portal server`.
 */
export async function mainCommand(cli: Cli, runServer: RunServer): Promise<Command> {
  const { bold, dim } = cli.colors(cli.io.stdout);
  const program = new Command("portal")
    .description("A key-value store for coordination that speaks the etcd v3 API.")
    .usage("[global options] <command>")
    .enablePositionalOptions()
    .showSuggestionAfterError(true)
    .helpCommand("help [command]", "Show how a command is used")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => cli.io.stdout.write(text),
      // Help for a group without a command; errors are told in one way, by `runCommandLine`.
      writeErr: (text) => cli.io.stdout.write(text),
      outputError: () => {},
      getOutHelpWidth: () => cli.io.stdout.columns ?? 100,
      getOutHasColors: () => cli.colors(cli.io.stdout).isColorSupported,
    })
    .configureHelp({
      // Wraps on 80 columns too, where the names leave less than the library's usual 40.
      minWidthToWrap: 30,
      styleTitle: (text) => bold(text),
      subcommandTerm: (command) => {
        const words = command.usage().replace(/^\[(options|flags)\] ?/, "");
        return words === "" ? command.name() : `${command.name()} ${words}`;
      },
    });
  // Children take over the settings above, so they come first.
  const wanted = COMMANDS.find(({ names }) => names.includes(cli.argv[0] ?? ""));
  for (const { register } of wanted ? [wanted] : COMMANDS) {
    await register(cli, program, runServer);
  }
  addGlobalFlags(program, { hidden: false });
  return program.addHelpText("after", () => examples(bold, dim));
}

function examples(bold: (text: string) => string, dim: (text: string) => string): string {
  return [
    "",
    bold("Examples:"),
    `  $ portal server --data-dir ./data     ${dim("# start one member on 127.0.0.1:2379")}`,
    "  $ portal put greeting hello",
    "  $ portal get greeting",
    "  $ portal watch --prefix ''",
    "",
    dim("Every global option is also a variable: PORTAL_ENDPOINTS, or ETCDCTL_ENDPOINTS."),
    dim("`portal <command> --help` shows a command's own options and examples."),
  ].join("\n");
}
