// Runs one command line of `portal`, client commands and help, and tells failures in one form:
// "Error: what happened" and, where there is something to do about it, a hint.

import { CommanderError } from "commander";
import { normalizeArguments } from "./arguments.ts";
import type { CliIo } from "./cli-io.ts";
import { Cli } from "./command-run.ts";
import { CommandError, ExitCode } from "./exit-code.ts";
import { mainCommand } from "./main-command.ts";

/** Runs `argv` (without the program's name) in this process, and ends it with the exit code. */
export async function runCli(argv: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    // The reader left, as `head` does: nothing more to say.
    stream.on("error", (error: NodeJS.ErrnoException) => {
      process.exit(error.code === "EPIPE" ? ExitCode.success : ExitCode.error);
    });
  }
  const { env, stdin, stdout, stderr } = process;
  const exitCode = await runCommandLine(argv, { env, stdin, stdout, stderr });
  // What was written to a pipe may still be on its way.
  await new Promise<void>((resolve) => stdout.write("", () => resolve()));
  process.exit(exitCode);
}

/** Runs `argv` in the world `io`. Returns the exit code. */
export async function runCommandLine(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  const isVersion = argv[0] === "--version" || argv[0] === "-v";
  return runIn(new Cli(io, isVersion ? ["version"] : argv));
}

async function runIn(cli: Cli): Promise<ExitCode> {
  const { argv } = cli;
  try {
    const program = await mainCommand(cli, refuseServer);
    if (argv.length === 0) {
      program.outputHelp();
    } else {
      await program.parseAsync(normalizeArguments(argv, program), { from: "user" });
    }
    return ExitCode.success;
  } catch (error) {
    return report(cli, error);
  }
}

/** The server runs without this command tree; here it only stands in the help. */
async function refuseServer(): Promise<void> {
  throw new CommandError(
    ExitCode.badArguments,
    "`server` comes first on the command line, before any option",
    "portal server --help",
  );
}

function report(cli: Cli, error: unknown): ExitCode {
  const { red, dim } = cli.colors(cli.io.stderr);
  const say = (message: string, hint?: string) => {
    // An empty message: the command has told it already.
    if (message !== "") cli.note(`${red("Error:")} ${message}`);
    if (hint) cli.note(`${dim("Hint:")} ${hint}`);
  };
  if (error instanceof CommandError) {
    say(error.message, error.hint);
    return error.exitCode;
  }
  if (error instanceof CommanderError) {
    const isHelp = error.exitCode === 0 || error.code === "commander.help";
    if (isHelp) return ExitCode.success;
    const [message = "", ...suggestion] = error.message.replace(/^error: /, "").split("\n");
    const dashed = /^unknown option '(-.*)'$/.exec(message);
    const hint = suggestion.join(" ").replace(/^\(|\)$/g, "");
    const aboutDash = "a key or value that begins with '-' goes after '--'";
    say(message, hint || (dashed ? aboutDash : "`portal --help` lists all commands"));
    return ExitCode.error;
  }
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return ExitCode.error;
}
