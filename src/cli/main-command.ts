// The command tree of `portal`.

import { Command } from "commander";
import type { Cli } from "./command-run.ts";
import { compactCommand } from "./compact-command.ts";
import { completionCommand } from "./completion-command.ts";
import { delCommand } from "./del-command.ts";
import { endpointCommand } from "./endpoint-command.ts";
import { getCommand } from "./get-command.ts";
import { addGlobalFlags } from "./global-options.ts";
import { leaseCommand } from "./lease-command.ts";
import { memberCommand } from "./member-command.ts";
import { putCommand } from "./put-command.ts";
import { serverCommand } from "./server-command.ts";
import { txnCommand } from "./txn-command.ts";
import { versionCommand } from "./version-command.ts";
import { watchCommand } from "./watch-command.ts";

/** `runServer` runs `portal server` with its own arguments. */
export function mainCommand(cli: Cli, runServer: (argv: string[]) => Promise<void>): Command {
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
      writeErr: () => {}, // `runCli` tells all errors in one way.
      getOutHelpWidth: () => cli.io.stdout.columns ?? 100,
      getOutHasColors: () => cli.colors(cli.io.stdout).isColorSupported,
    })
    .configureHelp({
      styleTitle: (text) => bold(text),
      optionDescription: (option) => dim(option.description),
    });
  // Children take over the settings above, so they come first.
  serverCommand(program, runServer);
  getCommand(cli, program);
  putCommand(cli, program);
  delCommand(cli, program);
  txnCommand(cli, program);
  watchCommand(cli, program);
  leaseCommand(cli, program);
  compactCommand(cli, program);
  endpointCommand(cli, program);
  memberCommand(cli, program);
  completionCommand(cli, program);
  versionCommand(cli, program);
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
