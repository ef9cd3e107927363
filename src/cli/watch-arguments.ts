// What `watch` is asked for: on the command line, in the environment, or on a line of its interactive
// mode.

import { Command, Option } from "commander";
import type { KeySelector } from "../client/key-range.ts";
import type { WatchOptions } from "../client/watcher.ts";
import { badArguments } from "./exit-code.ts";
import { integerOption } from "./parse-number.ts";
import { splitWords } from "./words.ts";

export interface WatchFlags {
  readonly prefix?: boolean;
  readonly rev?: number;
  readonly prevKv?: boolean;
  readonly progressNotify?: boolean;
}

export interface WatchCall {
  readonly selector: KeySelector;
  readonly options: WatchOptions;
  /** The command to run for every event. */
  readonly exec: readonly string[] | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

const BAD_NUMBER = "bad number of arguments";

export function addWatchFlags(command: Command): Command {
  return command
    .option("--prefix", "all keys that begin with the key")
    .addOption(
      new Option("--rev <number>", "also changes from this revision on").argParser(
        integerOption("rev"),
      ),
    )
    .option("--prev-kv", "also what the key held before")
    .option("--progress-notify", "now and then how far the watch has come");
}

export function watchCall(
  given: { readonly words: readonly string[]; readonly exec: readonly string[] | undefined },
  flags: WatchFlags,
  env: Env,
): WatchCall {
  const { exec } = given;
  if (exec?.length === 0) throw badArguments(`${BAD_NUMBER} (found separator --, but no commands)`);
  const key = env.PORTAL_WATCH_KEY || env.ETCDCTL_WATCH_KEY;
  const rangeEnd = env.PORTAL_WATCH_RANGE_END || env.ETCDCTL_WATCH_RANGE_END;
  if (!key && rangeEnd) {
    throw badArguments(`ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="${rangeEnd}"`);
  }
  if (key && given.words.length > 0) {
    throw badArguments(`${BAD_NUMBER} (found conflicting environment key)`);
  }
  const words = key ? (rangeEnd ? [key, rangeEnd] : [key]) : given.words;
  return { selector: selectorOf(words, flags), options: optionsOf(flags), exec };
}

function selectorOf(words: readonly string[], flags: WatchFlags): KeySelector {
  const [from, to, ...rest] = words;
  if (from === undefined || rest.length > 0) {
    throw badArguments(
      BAD_NUMBER,
      "name a key: portal watch greeting, or all: portal watch --prefix ''",
    );
  }
  if (to !== undefined && flags.prefix) {
    throw badArguments("`range_end` and `--prefix` are mutually exclusive");
  }
  if (flags.prefix) return { prefix: from };
  return to === undefined ? from : { from, to };
}

function optionsOf(flags: WatchFlags): WatchOptions {
  return {
    prevKv: flags.prevKv ?? false,
    progressNotify: flags.progressNotify ?? false,
    ...(flags.rev !== undefined && flags.rev > 0 && { startRevision: flags.rev }),
  };
}

/** A line of the interactive mode. Any other string is what is wrong with it. */
export function parseWatchLine(line: string, env: Env): WatchCall | "progress" | string {
  const words = splitWords(line)?.map((word) => Buffer.from(word).toString());
  const [name, ...rest] = words ?? [];
  if (name === "progress") return "progress";
  if (name === undefined) return `Invalid command: ${line} (watch and progress supported)`;
  if (name !== "watch") return `Invalid command ${line} (only support watch)`;
  const separator = rest.indexOf("--");
  const exec = separator < 0 ? undefined : rest.slice(separator + 1);
  let call: WatchCall | undefined;
  const command = addWatchFlags(new Command("watch"))
    .argument("[words...]")
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
    .helpOption(false)
    .action((given: string[], flags: WatchFlags) => {
      // With --progress-notify off, an answer to `progress` would be shown to no one.
      call = watchCall({ words: given, exec }, { ...flags, progressNotify: true }, env);
    });
  try {
    command.parse(separator < 0 ? rest : rest.slice(0, separator), { from: "user" });
  } catch (error) {
    return `Invalid command ${line} (${(error as Error).message})`;
  }
  return call ?? `Invalid command ${line}`;
}
