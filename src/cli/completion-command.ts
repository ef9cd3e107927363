// portal completion: scripts for shells, made from the command tree so that they never lag behind it.

import type { Command } from "commander";
import type { Cli } from "./command-run.ts";
import { bashScript } from "./completion-bash.ts";
import { describeTree } from "./completion-tree.ts";
import { zshScript } from "./completion-zsh.ts";
import { badArguments, CommandError, ExitCode } from "./exit-code.ts";

const SHELLS = ["bash", "zsh"];

export function completionCommand(cli: Cli, program: Command): Command {
  const command = program
    .command("completion")
    .summary("Print a completion script for bash or zsh")
    .description("Print a script that completes commands, flags and their values")
    .usage("<bash|zsh>")
    .argument("[words...]")
    .addHelpText(
      "after",
      [
        "",
        "Examples:",
        "  $ source <(portal completion bash)",
        "  $ portal completion bash > /etc/bash_completion.d/portal",
        "  $ source <(portal completion zsh)",
        '  $ portal completion zsh > "$' + '{fpath[1]}/_portal"',
      ].join("\n"),
    )
    .action(async (words: string[]) => {
      const [shell] = words;
      if (shell === undefined || words.length > 1) {
        throw badArguments("completion needs the name of a shell", SHELLS.join(" or "));
      }
      const tree = describeTree(program);
      if (shell === "bash") await cli.print(bashScript(tree));
      else if (shell === "zsh") await cli.print(zshScript(tree));
      else {
        const hint = `known are ${SHELLS.join(" and ")}`;
        throw new CommandError(ExitCode.badArguments, `no completion for "${shell}"`, hint);
      }
    });
  return command.configureHelp({ ...command.configureHelp(), visibleArguments: () => [] });
}
