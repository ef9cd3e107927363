// What `portal server --help` and `etcd --help` print, made from the table of flags.

import { type FlagName, flagGroups, flags } from "../config/flag-table.ts";
import type { Program } from "../config/server-config.ts";

/** The release whose flags, files and calls this server stands in for. */
const etcdVersion = "3.7.3";

/** The lines of `etcd --version`; bin/etcd prints the same without starting Node. */
export function versionText(): string {
  return [
    `etcd Version: ${etcdVersion}`,
    "Git SHA: Portal",
    "Go Version: none (Node.js)",
    `Go OS/Arch: ${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
    "",
  ].join("\n");
}

export function usageText(program: Program): string {
  if (program === "portal") return "Usage: portal server [flags]\n";
  return [
    "Usage:",
    "",
    "  etcd [flags]                 start a server (Portal, with etcd's flags)",
    "  etcd --version               show the version",
    "  etcd -h | --help             show all flags",
    "  etcd --config-file FILE      take the settings from a file; flags and variables are ignored then",
    "",
  ].join("\n");
}

export function helpText(program: Program): string {
  const command = program === "portal" ? "portal server" : "etcd";
  const head =
    program === "portal"
      ? [
          "Starts one member: a durable key-value store that speaks the etcd v3 API.",
          "",
          "Usage: portal server [flags]",
          "",
          "Examples:",
          "  $ portal server",
          "  $ portal server --data-dir ./data --listen-client-urls http://127.0.0.1:4000",
          "  $ portal server --auto-tls --listen-client-urls https://127.0.0.1:2379",
          "  $ portal server --name m1 --initial-cluster m1=http://10.0.0.1:2380,... \\",
          "      --listen-peer-urls http://10.0.0.1:2380 \\",
          "      --initial-advertise-peer-urls http://10.0.0.1:2380",
        ]
      : [usageText(program).trimEnd()];
  return [
    ...head,
    "",
    `Flags are those of etcd ${etcdVersion}. Each can also be set by an environment variable`,
    "(--data-dir: ETCD_DATA_DIR) or a key of the YAML file that --config-file names.",
    "Flags marked * are accepted so that scripts made for etcd run, and do nothing.",
    ...flagGroups.flatMap(([title, group]) => [
      "",
      `${title}:`,
      ...groupLines(program, Object.keys(group)),
    ]),
    "",
    `  --config-file ''`,
    "    File with the settings; all flags and variables are ignored then.",
    "  --version",
    `    Print the version of etcd that ${command} stands in for.`,
    "",
  ].join("\n");
}

const dataDirs: Readonly<Record<Program, string>> = {
  portal: "./portal-data",
  etcd: "${name}.etcd",
};

function groupLines(program: Program, names: readonly string[]): string[] {
  return (names as readonly FlagName[]).flatMap((name) => {
    const flag = flags[name];
    const mark = flag.hasEffect ? "" : " *";
    const defaultText = name === "data-dir" ? dataDirs[program] : flag.defaultText;
    return [`  --${name} '${defaultText}'${mark}`, ...helpLines(flag.help)];
  });
}

const helpColumns = 76;

/** Indented, and no wider than a terminal. */
function helpLines(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > helpColumns) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].map((one) => `    ${one}`);
}
