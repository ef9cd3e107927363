// portal snapshot restore: a member's data directory from a backup of Portal's or etcd's.

import { symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { StatusError } from "../base/status.ts";
import { ConfigError } from "../config/config-error.ts";
import { parseInitialCluster } from "../config/initial-cluster.ts";
import { systemClock } from "../io/clock.ts";
import { systemDisk } from "../io/disk.ts";
import { systemHostNames } from "../io/host-names.ts";
import { type RestoreOptions, restoreMember } from "../node/snapshot/restore-member.ts";
import { LmdbFiles } from "../storage/database-files.ts";
import { parseMemberUrls } from "../wire/peer-urls.ts";
import type { CommandRun } from "./command-run.ts";
import { badArguments, CommandError, ExitCode } from "./exit-code.ts";
import { withSpinner } from "./progress-bar.ts";

export interface RestoreFlags {
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly name: string;
  readonly initialCluster?: string;
  readonly initialClusterToken: string;
  readonly initialAdvertisePeerUrls: string;
  readonly skipHashCheck?: boolean;
  readonly bumpRevision: number;
  readonly markCompacted?: boolean;
}

export async function restoreSnapshot(
  run: CommandRun,
  words: readonly string[],
  flags: RestoreFlags,
): Promise<void> {
  const [path] = words;
  if (path === undefined || words.length > 1) {
    throw badArguments("snapshot restore requires exactly one argument");
  }
  const options = optionsOf(path, flags);
  const { memberId, clusterId } = await withSpinner(run.cli, "restoring", restore(options));
  await run.cli.print(
    `Snapshot restored to ${options.dataDir}\nMember ${memberId.toString(16)} of cluster ${clusterId.toString(16)}\n`,
  );
}

function optionsOf(path: string, flags: RestoreFlags): RestoreOptions {
  const { name, bumpRevision } = flags;
  if (bumpRevision < 0) throw badArguments("--bump-revision can not be negative");
  if (bumpRevision > 0 !== (flags.markCompacted ?? false)) {
    throw badArguments(
      "--mark-compacted required if --bump-revision > 0",
      "clients must not read history with a gap in it: give both or none",
    );
  }
  const peerUrls = parseMemberUrls(flags.initialAdvertisePeerUrls.split(","));
  if (typeof peerUrls === "string") {
    throw badArguments(`--initial-advertise-peer-urls: ${peerUrls}`);
  }
  const { initialCluster, walDir } = flags;
  return {
    path,
    name,
    dataDir: flags.dataDir ?? `${name}.etcd`,
    ...(walDir !== undefined && { walDir }),
    peerUrls,
    initialCluster: initialCluster ? membersOf(initialCluster) : [{ name, peerUrls }],
    clusterToken: flags.initialClusterToken,
    skipHashCheck: flags.skipHashCheck ?? false,
    bumpRevision,
  };
}

function membersOf(text: string): RestoreOptions["initialCluster"] {
  try {
    return parseInitialCluster(text);
  } catch (error) {
    if (error instanceof ConfigError) throw badArguments(error.message, error.hint);
    throw error;
  }
}

async function restore(options: RestoreOptions) {
  const { dataDir, walDir } = options;
  try {
    const restored = await restoreMember(options, {
      disk: systemDisk,
      databases: new LmdbFiles(),
      clock: systemClock,
      lookUpHost: async (name) => (await systemHostNames.addressesOf(name))[0] as string,
    });
    // The server looks for the log in its data directory only.
    if (walDir !== undefined) await symlink(resolve(walDir), join(dataDir, "member", "wal"));
    return restored;
  } catch (error) {
    if (error instanceof StatusError) throw new CommandError(ExitCode.error, error.message);
    const isSystems = error instanceof Error && "code" in error;
    if (isSystems) throw new CommandError(ExitCode.error, `can not restore: ${error.message}`);
    throw error;
  }
}
