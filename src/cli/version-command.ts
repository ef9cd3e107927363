// portal version

import type { Command } from "commander";
import type { Cli } from "./command-run.ts";
import { API_VERSION, PORTAL_VERSION } from "./versions.ts";

export function versionCommand(cli: Cli, program: Command): Command {
  return program
    .command("version")
    .summary("Show the version")
    .description("Show the version of this command and of the API that it speaks")
    .addHelpText("after", "\nExample:\n  $ portal version")
    .action(() => cli.print(`portal version: ${PORTAL_VERSION}\nAPI version: ${API_VERSION}\n`));
}
