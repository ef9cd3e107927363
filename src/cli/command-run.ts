// What commands share: the world, the flags that hold for all, a client, and printing.

import type { Command } from "commander";
import type { Client, ClientOptions } from "../client/client.ts";
import { type CliIo, type OutputStream, writeOut } from "./cli-io.ts";
import { addGlobalFlags, type GlobalOptions, resolveGlobalOptions } from "./global-options.ts";
import { type Colors, colorsFor } from "./output/colors.ts";
import type { Output, Printer } from "./output/printer.ts";

export class Cli {
  readonly io: CliIo;
  /** As typed, after the program's name. */
  readonly argv: readonly string[];
  /** How the program is called, for messages. */
  readonly name = "portal";

  constructor(io: CliIo, argv: readonly string[]) {
    this.io = io;
    this.argv = argv;
  }

  /** Writes to standard output. */
  print(output: Output): Promise<void> {
    return output.length === 0 ? Promise.resolve() : writeOut(this.io.stdout, output);
  }

  /** Writes a line to standard error. */
  note(line: string): void {
    this.io.stderr.write(`${line}\n`);
  }

  colors(stream: OutputStream): Colors {
    return colorsFor(stream, this.io.env);
  }
}

/** One run of one client command. */
export class CommandRun {
  readonly cli: Cli;
  readonly globals: GlobalOptions;

  constructor(cli: Cli, command: Command) {
    this.cli = cli;
    const levels: Record<string, unknown>[] = [];
    for (let level: Command | null = command; level; level = level.parent) {
      levels.unshift(level.opts());
    }
    this.globals = resolveGlobalOptions(levels, cli.io.env);
  }

  /** Options for a call that should be over soon. */
  get callOptions(): { readonly timeoutMs: number } {
    return { timeoutMs: this.globals.commandTimeoutMs };
  }

  /** Options for a call that may rightly take long: limited only when a limit was asked for. */
  get longCallOptions(): { readonly timeoutMs: number } {
    return { timeoutMs: this.globals.commandTimeoutGiven ? this.globals.commandTimeoutMs : 0 };
  }

  async printer(): Promise<Printer> {
    const { createPrinter } = await import("./output/create-printer.ts");
    const { hex, writeOut: format } = this.globals;
    return createPrinter(format, { hex, colors: this.cli.colors(this.cli.io.stdout) });
  }

  /** Runs `use` with a client for all endpoints, or those given, and closes it. */
  async withClient<Result>(
    use: (client: Client) => Promise<Result>,
    endpoints: readonly string[] = this.globals.endpoints,
  ): Promise<Result> {
    const [{ Client }, options] = await Promise.all([
      import("../client/client.ts"),
      this.#clientOptions(endpoints),
    ]);
    if (this.globals.debug) this.cli.note(`debug: connecting to ${endpoints.join(", ")}`);
    try {
      await using client = new Client(options);
      return await use(client);
    } catch (error) {
      const { explainFailure } = await import("./explain-failure.ts");
      throw await explainFailure(error, this.globals, endpoints);
    }
  }

  async #clientOptions(endpoints: readonly string[]): Promise<ClientOptions> {
    const { globals } = this;
    const { loadTls } = await import("./tls-files.ts");
    const tls = await loadTls(globals, endpoints);
    const auth = globals.user === undefined ? undefined : await this.#credentials(globals.user);
    return {
      endpoints,
      connectTimeoutMs: globals.dialTimeoutMs,
      timeoutMs: globals.commandTimeoutMs,
      // A person waits: a few quick tries, then the reason.
      retry: { attempts: 4, minDelayMs: 50, maxDelayMs: 400 },
      ...(tls && { tls }),
      ...(auth && { auth }),
    };
  }

  async #credentials(name: string) {
    const { password } = this.globals;
    if (password !== undefined) return { name, password };
    const { askPassword } = await import("./ask-password.ts");
    return { name, password: await askPassword(this.cli.io) };
  }
}

/** What a command does with its words and flags. */
export type CommandAction<Options> = (
  run: CommandRun,
  words: string[],
  options: Options,
) => Promise<void>;

/** How a client command is declared. */
export interface CommandSpec {
  /** e.g. "get <key> [range-end]": shown in the help; the action checks its words. */
  readonly usage: string;
  readonly summary: string;
  /** Lines under "Examples:", without the program's name. */
  readonly examples: readonly string[];
  readonly details?: string;
  readonly aliases?: readonly string[];
}

/** Adds a client command to `parent`. */
export function clientCommand<Options>(
  cli: Cli,
  parent: Command,
  spec: CommandSpec,
  action: CommandAction<Options>,
): Command {
  const [name = "", ...words] = spec.usage.split(" ");
  const command = parent
    .command(name)
    .summary(spec.summary)
    .description([spec.summary, spec.details].filter(Boolean).join("\n\n"))
    .usage(["[options]", ...words].join(" "))
    .argument("[words...]")
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText("after", helpFooter(cli, spec.examples));
  if (spec.aliases) command.aliases(spec.aliases);
  addGlobalFlags(command, { hidden: true });
  command.configureHelp({ ...command.configureHelp(), visibleArguments: () => [] });
  command.action((given: string[], options: Options) =>
    action(new CommandRun(cli, command), given, options),
  );
  return command;
}

/** A command that only holds others, e.g. `lease`. */
export function commandGroup(
  cli: Cli,
  parent: Command,
  spec: Omit<CommandSpec, "usage"> & { readonly name: string },
): Command {
  const group = parent
    .command(spec.name)
    .summary(spec.summary)
    .description(spec.summary)
    .usage("<command>")
    .enablePositionalOptions()
    .helpCommand(false)
    .addHelpText("after", helpFooter(cli, spec.examples));
  return addGlobalFlags(group, { hidden: true });
}

function helpFooter(cli: Cli, examples: readonly string[]): string {
  const { bold, dim } = cli.colors(cli.io.stdout);
  const lines = examples.map((example) => `  $ ${example}`);
  return [
    "",
    bold(examples.length === 1 ? "Example:" : "Examples:"),
    ...lines,
    "",
    dim(`Global options such as --endpoints and --write-out: see \`${cli.name} --help\`.`),
  ].join("\n");
}
