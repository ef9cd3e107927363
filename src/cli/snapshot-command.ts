// portal snapshot save, status, restore

import { type Command, Option } from "commander";
import { type Cli, clientCommand, commandGroup } from "./command-run.ts";
import { integerOption } from "./parse-number.ts";
import type { RestoreFlags } from "./snapshot-restore.ts";

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
  restoreCommand(cli, group);
  return group;
}

function restoreCommand(cli: Cli, group: Command): Command {
  return (
    clientCommand<RestoreFlags>(
      cli,
      group,
      {
        usage: "restore <file>",
        summary: "Make a member's data directory from a file",
        details: [
          "The data are the file's, the cluster is new: its members are those of --initial-cluster, each restored from",
          "the same file. A member is then started with the same --name and --data-dir.",
        ].join(" "),
        examples: [
          "portal snapshot restore backup.db --data-dir ./restored",
          "portal snapshot restore backup.db --name m1 --data-dir ./m1 \\\n" +
            "      --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380 \\\n" +
            "      --initial-advertise-peer-urls http://10.0.0.1:2380",
          "portal snapshot restore backup.db --bump-revision 1000000 --mark-compacted",
        ],
      },
      async (run, words, flags) =>
        (await import("./snapshot-restore.ts")).restoreSnapshot(run, words, flags),
    )
      .option("--data-dir <folder>", "the directory to make; default: <name>.etcd")
      .option("--wal-dir <folder>", "where the log goes; default: in the data directory")
      .option("--name <name>", "this member's name", "default")
      .option(
        "--initial-cluster <list>",
        "all members, as name=url,name=url; default: this one only",
      )
      .option("--initial-cluster-token <text>", "tells clusters apart", "etcd-cluster")
      .option(
        "--initial-advertise-peer-urls <urls>",
        "where the others reach this member",
        "http://localhost:2380",
      )
      .option("--skip-hash-check", "take a file without SHA-256, as copied from a data directory")
      .addOption(
        new Option(
          "--bump-revision <number>",
          "raise the revision, so that no client sees it go back",
        )
          .argParser(integerOption("bump-revision"))
          .default(0),
      )
      .option("--mark-compacted", "mark all history as compacted; goes with --bump-revision")
      // Of etcdutl; there is no map here whose size it could set.
      .addOption(new Option("--initial-memory-map-size <bytes>").hideHelp())
  );
}
