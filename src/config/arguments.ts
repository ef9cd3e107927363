// Reads command lines and the environment: which flags are set, and to what text. Follows the rules
// of Go's flag package (--f=v, --f v, -f v; a boolean takes no separate value; the last one wins).

import { ConfigError, nearest } from "./config-error.ts";
import { FlagValueError } from "./flag.ts";
import { type FlagName, flagNames, flags, forgottenFlags, isFlagName } from "./flag-table.ts";

export type FlagTexts = ReadonlyMap<FlagName, string>;

export interface ParsedArguments {
  readonly texts: FlagTexts;
  readonly configFile: string;
  /** Set when the command line asks for words instead of a server. */
  readonly asksFor: "help" | "version" | undefined;
  readonly warnings: readonly string[];
}

/** Throws a ConfigError for anything that is no flag of the server. */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  const texts = new Map<FlagName, string>();
  const warnings: string[] = [];
  let configFile = "";
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument);
    if (!match) {
      const hint = argument.includes("=") ? "Flags start with two dashes: --name=value." : "";
      throw new ConfigError(`"${argument}" is not a valid flag`, { hint });
    }
    const name = match[1]!;
    let value = match[2];
    if (name === "help" || name === "h") return { texts, configFile, asksFor: "help", warnings };
    if (name === "version") return { texts, configFile, asksFor: "version", warnings };
    if (forgottenFlags.has(name)) {
      warnings.push(`--${name} means nothing any more and is ignored`);
      continue;
    }
    if (name !== "config-file" && !isFlagName(name)) throw unknownFlag(name);
    if (value === undefined) {
      const isBoolean = name !== "config-file" && flags[name].kind === "boolean";
      if (!isBoolean) at++;
      value = isBoolean ? "true" : argv[at];
    }
    if (value === undefined) {
      throw new ConfigError(`flag needs an argument: --${name}`, { exitCode: 2 });
    }
    if (name === "config-file") configFile = value;
    else texts.set(name, checked(name, value, `flag --${name}`, 2));
  }
  return { texts, configFile, asksFor: undefined, warnings };
}

function unknownFlag(name: string): ConfigError {
  const near = nearest(name, [...flagNames, "config-file", "version", "help"]);
  return new ConfigError(`flag provided but not defined: --${name}`, {
    hint: near ? `Did you mean --${near}?` : "See --help for the flags there are.",
    exitCode: 2,
  });
}

/** Returns `value` when the flag can read it; else throws, naming `source`. */
export function checked(name: FlagName, value: string, source: string, exitCode: 1 | 2): string {
  try {
    flags[name].parse(value);
    return value;
  } catch (error) {
    if (!(error instanceof FlagValueError)) throw error;
    const message = `invalid value ${JSON.stringify(value)} for ${source}: ${error.message}`;
    throw new ConfigError(message, { exitCode });
  }
}

export interface ParsedEnvironment {
  readonly texts: FlagTexts;
  /** Flags whose variable is set although the command line sets them too. */
  readonly shadowed: readonly FlagName[];
  readonly warnings: readonly string[];
}

/** The variable that stands for a flag: "data-dir" -> "ETCD_DATA_DIR". */
export function environmentName(flag: string): string {
  return `ETCD_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/** Reads ETCD_* variables; what the command line set keeps its value. */
export function parseEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  set: FlagTexts,
): ParsedEnvironment {
  const byVariable = new Map(flagNames.map((name) => [environmentName(name), name]));
  const texts = new Map<FlagName, string>();
  const shadowed: FlagName[] = [];
  const warnings: string[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith("ETCD_") || !value || otherVariables.has(variable)) continue;
    const name = byVariable.get(variable);
    if (name === undefined) {
      const near = nearest(variable, byVariable.keys());
      const hint = near ? `; did you mean ${near}?` : "";
      warnings.push(`unrecognized environment variable ${variable}${hint}`);
    } else if (set.has(name)) {
      shadowed.push(name);
    } else {
      texts.set(name, checked(name, value, variable, 1));
    }
  }
  return { texts, shadowed, warnings };
}

/** Variables with a meaning of their own. */
const otherVariables: ReadonlySet<string> = new Set([
  "ETCD_CONFIG_FILE",
  "ETCD_UNSUPPORTED_ARCH",
  "ETCD_VERIFY",
]);
