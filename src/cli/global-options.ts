// The flags that every client command takes, wherever they stand on the line, and the environment
// variables behind them: a flag wins over PORTAL_X, which wins over ETCDCTL_X.

import { type Command, Option } from "commander";
import { parseDurationMs } from "./duration.ts";
import { badArguments, CommandError, ExitCode } from "./exit-code.ts";

export const OUTPUT_FORMATS = ["simple", "json", "fields", "table"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export interface GlobalOptions {
  readonly endpoints: readonly string[];
  readonly writeOut: OutputFormat;
  readonly hex: boolean;
  readonly debug: boolean;
  readonly dialTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** True when a flag or variable set it: commands that may take long only then have a limit. */
  readonly commandTimeoutGiven: boolean;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

/** `default` is for the help text; values are resolved by `resolveGlobalOptions`. */
interface GlobalFlag {
  readonly flags: string;
  readonly name: string;
  readonly help: string;
  readonly default?: string;
  readonly choices?: readonly string[];
}

export const GLOBAL_FLAGS: readonly GlobalFlag[] = [
  {
    flags: "--endpoints <list>",
    name: "endpoints",
    help: "where the members listen, separated by commas",
    default: "127.0.0.1:2379",
  },
  {
    flags: "-w, --write-out <format>",
    name: "write-out",
    help: "how results are printed",
    default: "simple",
    choices: OUTPUT_FORMATS,
  },
  { flags: "--hex", name: "hex", help: "print keys and values as hexadecimal bytes" },
  {
    flags: "--dial-timeout <duration>",
    name: "dial-timeout",
    help: "how long to try to connect",
    default: "2s",
  },
  {
    flags: "--command-timeout <duration>",
    name: "command-timeout",
    help: "how long a call may take",
    default: "5s",
  },
  {
    flags: "--cacert <file>",
    name: "cacert",
    help: "CA certificates that servers must be signed by",
  },
  { flags: "--cert <file>", name: "cert", help: "client certificate" },
  { flags: "--key <file>", name: "key", help: "key of the client certificate" },
  {
    flags: "--insecure-skip-tls-verify",
    name: "insecure-skip-tls-verify",
    help: "use TLS without checking who the server is",
  },
  { flags: "--user <name[:password]>", name: "user", help: "who to authenticate as" },
  { flags: "--password <password>", name: "password", help: "the password, if not in --user" },
  { flags: "--debug", name: "debug", help: "say on standard error what the client does" },
];

/** Accepts the global flags on `command`; they are shown in the help of the program only. */
export function addGlobalFlags(command: Command, options: { readonly hidden: boolean }): Command {
  for (const flag of GLOBAL_FLAGS) {
    const text = flag.default ? `${flag.help} (default: ${flag.default})` : flag.help;
    const option = new Option(flag.flags, text).hideHelp(options.hidden);
    if (flag.name === "endpoints") {
      option.argParser((list: string, before: string[] = []) => [...before, ...list.split(",")]);
    }
    command.addOption(option);
  }
  return command;
}

/** `levels`: the parsed options of the program, its group and the command; the last one wins. */
export function resolveGlobalOptions(
  levels: readonly Readonly<Record<string, unknown>>[],
  env: Readonly<Record<string, string | undefined>>,
): GlobalOptions {
  const given: Record<string, unknown> = Object.assign({}, ...levels);
  const text = (name: string): string | undefined => {
    const flag = given[camelCase(name)];
    if (typeof flag === "string") return flag;
    const variable = name.toUpperCase().replaceAll("-", "_");
    return nonEmpty(env[`PORTAL_${variable}`]) ?? nonEmpty(env[`ETCDCTL_${variable}`]);
  };
  const flag = (name: string) => given[camelCase(name)] === true || isTrue(name, text(name));
  const list = given.endpoints as string[] | undefined;
  const [user, password] = splitUser(text("user"), text("password"));
  return {
    endpoints: endpointList(list ?? text("endpoints")?.split(",") ?? ["127.0.0.1:2379"]),
    writeOut: outputFormat(text("write-out") ?? "simple"),
    hex: flag("hex"),
    debug: flag("debug"),
    dialTimeoutMs: duration("dial-timeout", text("dial-timeout") ?? "2s"),
    commandTimeoutMs: duration("command-timeout", text("command-timeout") ?? "5s"),
    commandTimeoutGiven: text("command-timeout") !== undefined,
    caFile: file("cacert", text("cacert")),
    certFile: file("cert", text("cert")),
    keyFile: file("key", text("key")),
    insecureSkipTlsVerify: flag("insecure-skip-tls-verify"),
    user,
    password,
  };
}

function endpointList(list: readonly string[]): string[] {
  const endpoints = list.map((endpoint) => endpoint.trim()).filter((endpoint) => endpoint !== "");
  if (endpoints.length === 0) {
    throw badArguments(
      "--endpoints is empty",
      "name at least one, e.g. --endpoints=127.0.0.1:2379",
    );
  }
  return endpoints;
}

function outputFormat(text: string): OutputFormat {
  const found = OUTPUT_FORMATS.find((format) => format === text);
  if (found) return found;
  throw new CommandError(
    ExitCode.badFeature,
    "unsupported output format",
    `"${text}" is none of ${OUTPUT_FORMATS.join(", ")}`,
  );
}

function duration(name: string, text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined) return durationMs;
  throw badArguments(`--${name}: "${text}" is not a duration`, "write it like 500ms, 5s or 1m30s");
}

function file(name: string, path: string | undefined): string | undefined {
  if (path === "") throw badArguments(`empty string is passed to --${name} option`);
  return path;
}

function splitUser(
  user: string | undefined,
  password: string | undefined,
): [user: string | undefined, password: string | undefined] {
  if (user === undefined || password !== undefined) return [user, password];
  const colon = user.indexOf(":");
  return colon < 0 ? [user, undefined] : [user.slice(0, colon), user.slice(colon + 1)];
}

function isTrue(name: string, text: string | undefined): boolean {
  if (text === undefined || /^(0|f|false)$/i.test(text)) return false;
  if (/^(1|t|true)$/i.test(text)) return true;
  throw badArguments(`--${name}: "${text}" is neither true nor false`);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function camelCase(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
