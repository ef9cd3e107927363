// The flags and words of `get`, on the command line and inside a transaction.

import { type Command, Option } from "commander";
import type { Bytes } from "../client/bytes.ts";
import type { KeySelector } from "../client/key-range.ts";
import type { RangeOptions, SortOrder, SortTarget } from "../client/range-request.ts";
import { badArguments, CommandError, ExitCode } from "./exit-code.ts";
import { integerOption } from "./parse-number.ts";

export interface GetFlags {
  readonly consistency: string;
  readonly limit?: number;
  readonly order?: string;
  readonly sortBy?: string;
  readonly prefix?: boolean;
  readonly fromKey?: boolean;
  readonly rev?: number;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
  readonly printValueOnly?: boolean;
  readonly minCreateRev?: number;
  readonly maxCreateRev?: number;
  readonly minModRev?: number;
  readonly maxModRev?: number;
  readonly stream?: boolean;
}

export interface RangeCall {
  readonly selector: KeySelector;
  readonly options: RangeOptions & { readonly countOnly: boolean };
}

const ORDERS: Readonly<Record<string, SortOrder>> = { ASCEND: "ascending", DESCEND: "descending" };

const TARGETS: Readonly<Record<string, SortTarget>> = {
  CREATE: "createRevision",
  KEY: "key",
  MODIFY: "modRevision",
  VALUE: "value",
  VERSION: "version",
};

export function addGetFlags(command: Command): Command {
  const number = (flag: string, help: string) =>
    new Option(`--${flag} <number>`, help).argParser(integerOption(flag));
  return command
    .option("--prefix", "all keys that begin with the key")
    .option("--from-key", "all keys from the key on")
    .addOption(number("limit", "at most this many keys"))
    .addOption(number("rev", "as of this revision"))
    .option("--order <order>", "ASCEND or DESCEND")
    .option("--sort-by <target>", "CREATE, KEY, MODIFY, VALUE or VERSION")
    .option("--keys-only", "no values")
    .option("--count-only", "only how many there are")
    .option("--print-value-only", "no keys (simple format)")
    .option("--consistency <level>", "l: linearizable, s: serializable", "l")
    .addOption(number("min-mod-rev", "modified at this revision or later"))
    .addOption(number("max-mod-rev", "modified at this revision or before"))
    .addOption(number("min-create-rev", "created at this revision or later"))
    .addOption(number("max-create-rev", "created at this revision or before"))
    .option("--stream", "let the server send the range in chunks (RangeStream)");
}

export function rangeCall(words: readonly Bytes[], flags: GetFlags): RangeCall {
  if (flags.keysOnly && flags.countOnly) {
    throw badArguments(
      "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
    );
  }
  checkBounds("create", flags.minCreateRev, flags.maxCreateRev);
  checkBounds("mod", flags.minModRev, flags.maxModRev);
  return {
    selector: keySelector("get", words, flags),
    options: {
      serializable: isSerializable(flags.consistency),
      countOnly: flags.countOnly ?? false,
      keysOnly: flags.keysOnly ?? false,
      ...positive("limit", flags.limit),
      ...positive("revision", flags.rev),
      ...positive("minCreateRevision", flags.minCreateRev),
      ...positive("maxCreateRevision", flags.maxCreateRev),
      ...positive("minModRevision", flags.minModRev),
      ...positive("maxModRevision", flags.maxModRev),
      ...sorting(flags),
    },
  };
}

/** `key`, `key range_end`, and what --prefix and --from-key make of it. */
export function keySelector(
  command: string,
  words: readonly Bytes[],
  flags: { readonly prefix?: boolean; readonly fromKey?: boolean },
): KeySelector {
  const [key, to, ...rest] = words;
  if (key === undefined || rest.length > 0) {
    throw badArguments(
      `${command} command needs one argument as key and an optional argument as range_end`,
      `see \`portal ${command} --help\``,
    );
  }
  if (flags.prefix && flags.fromKey) {
    throw badArguments("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
  if (to !== undefined && (flags.prefix || flags.fromKey)) {
    throw badArguments(
      "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
    );
  }
  if (flags.prefix) return { prefix: key };
  if (flags.fromKey) return { from: key };
  return to === undefined ? key : { from: key, to };
}

export function isSerializable(level: string): boolean {
  if (level === "s") return true;
  if (level === "l") return false;
  throw new CommandError(
    ExitCode.badFeature,
    `unknown consistency flag "${level}"`,
    "l asks the leader, s takes what the member at hand has",
  );
}

function sorting(flags: GetFlags): { sortBy?: SortTarget; order?: SortOrder } {
  const order = flags.order === undefined ? undefined : ORDERS[flags.order.toUpperCase()];
  if (flags.order && !order) {
    throw new CommandError(
      ExitCode.badFeature,
      `bad sort order ${flags.order}`,
      "ASCEND or DESCEND",
    );
  }
  const sortBy = flags.sortBy === undefined ? undefined : TARGETS[flags.sortBy.toUpperCase()];
  if (flags.sortBy && !sortBy) {
    const known = Object.keys(TARGETS).join(", ");
    throw new CommandError(ExitCode.badFeature, `bad sort target ${flags.sortBy}`, known);
  }
  return { ...(sortBy && { sortBy }), ...(order && { order }) };
}

function checkBounds(what: string, min = 0, max = 0): void {
  if (max > 0 && min > max) {
    throw new CommandError(
      ExitCode.badFeature,
      `--min-${what}-rev (${min}) is above --max-${what}-rev (${max})`,
    );
  }
}

function positive<Name extends string>(name: Name, value: number | undefined) {
  return value !== undefined && value > 0 ? ({ [name]: value } as { [key in Name]: number }) : {};
}
