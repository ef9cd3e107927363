// The command tree as completion scripts need it: plain data.

import type { Command } from "commander";

export interface CompletionFlag {
  /** "--write-out", "-w". */
  readonly names: readonly string[];
  readonly help: string;
  readonly takesValue: boolean;
  /** What the value may be; empty when it can be anything. */
  readonly values: readonly string[];
  /** The value is a file. */
  readonly isFile: boolean;
}

export interface CompletionNode {
  /** "portal lease grant". */
  readonly path: string;
  readonly name: string;
  readonly help: string;
  readonly flags: readonly CompletionFlag[];
  readonly children: readonly CompletionNode[];
  /** What its words may be. */
  readonly words: readonly string[];
  /** Its words are files. */
  readonly takesFiles: boolean;
}

const VALUES: Readonly<Record<string, readonly string[]>> = {
  "--write-out": ["simple", "json", "fields", "table"],
  "--order": ["ASCEND", "DESCEND"],
  "--sort-by": ["CREATE", "KEY", "MODIFY", "VALUE", "VERSION"],
  "--consistency": ["l", "s"],
};

const FILES = new Set(["--cacert", "--cert", "--key", "--data-dir", "--wal-dir"]);

export function describeTree(command: Command, parentPath = ""): CompletionNode {
  const path = parentPath === "" ? command.name() : `${parentPath} ${command.name()}`;
  const children = command.commands.map((child) => describeTree(child, path));
  const isRoot = parentPath === "";
  return {
    path,
    name: command.name(),
    help: command.summary(),
    flags: [...command.options.map(describeFlag), HELP],
    children,
    takesFiles: command.usage().includes("<file>"),
    words: isRoot ? ["help"] : command.name() === "completion" ? ["bash", "zsh"] : [],
  };
}

const HELP: CompletionFlag = {
  names: ["--help", "-h"],
  help: "show how it is used",
  takesValue: false,
  values: [],
  isFile: false,
};

function describeFlag(option: Command["options"][number]): CompletionFlag {
  const long = option.long ?? "";
  return {
    names: [option.long, option.short].filter((name) => typeof name === "string"),
    help: option.description.replace(/ \(default: .*\)$/, ""),
    takesValue: !option.isBoolean(),
    values: VALUES[long] ?? [],
    isFile: FILES.has(long),
  };
}

/** All nodes, the root first. */
export function allNodes(root: CompletionNode): CompletionNode[] {
  return [root, ...root.children.flatMap(allNodes)];
}
