// portal snapshot save, status, restore

import type { Command } from "commander";
import { type Cli, clientCommand, commandGroup } from "./command-run.ts";

export function snapshotCommand(cli: Cli, program: Command): Command {
  const group = commandGroup(cli, program, {
    name: "snapshot",
    summary: "Backups of the whole database, as etcd's tools make and take them",
    examples: ["portal snapshot save backup.db", "portal snapshot status backup.db -w table"],
  });
  clientCommand(
    cli,
    group,
    {
      usage: "save <file>",
      summary: "Save what one member holds to a file",
      details:
        "The file appears when it is whole and on the disk, and its SHA-256 was checked. Until then it is <file>.part.",
      examples: [
        "portal snapshot save backup.db",
        "portal snapshot save backup.db --endpoints=10.0.0.1:2379",
      ],
    },
    async (run, words) => (await import("./snapshot-save.ts")).saveSnapshot(run, words),
  );
  clientCommand(
    cli,
    group,
    {
      usage: "status <file>",
      summary: "Check a file and show what it holds",
      details: "The hash is over all records; etcdutl prints the same.",
      examples: ["portal snapshot status backup.db -w table"],
    },
    async (run, words) => (await import("./snapshot-status.ts")).showStatus(run, words),
  );
  return group;
}
