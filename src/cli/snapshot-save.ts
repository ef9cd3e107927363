// portal snapshot save: one member's database, streamed to a file that has its name only once it is whole, checked
// and durable.

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { Client } from "../client/client.ts";
import type { SnapshotPart } from "../client/maintenance.ts";
import { type DiskFile, systemDisk } from "../io/disk.ts";
import type { CommandRun } from "./command-run.ts";
import { badArguments, CommandError, ExitCode } from "./exit-code.ts";
import { humanBytes } from "./human-bytes.ts";
import { ProgressBar } from "./progress-bar.ts";

const hashBytes = 32;
/** The file is a multiple of it, so the rest tells whether a hash follows. */
const sectorBytes = 512;

export async function saveSnapshot(run: CommandRun, words: readonly string[]): Promise<void> {
  const [path] = words;
  if (path === undefined || words.length > 1) {
    throw badArguments("snapshot save expects one argument <filename>");
  }
  const { endpoints } = run.globals;
  if (endpoints.length !== 1) {
    throw new CommandError(
      ExitCode.interrupted,
      `snapshot must be requested to one selected node, not multiple [${endpoints.join(" ")}]`,
      "members may differ by their last changes: choose one with --endpoints",
    );
  }
  const version = await run.withClient((client) => fetchTo(run, client, path));
  await run.cli.print(`Snapshot saved at ${path}\n`);
  if (version !== "") await run.cli.print(`Server version ${version}\n`);
}

/** Returns the storage version that the server says. */
async function fetchTo(run: CommandRun, client: Client, path: string): Promise<string> {
  const partPath = `${path}.part`;
  await onDisk(path, () => systemDisk.remove(partPath));
  const file = await onDisk(path, () => systemDisk.open(partPath, "create-exclusive"));
  try {
    const download = new Download(file);
    try {
      using bar = new ProgressBar(run.cli, "snapshot", {
        sharesTerminal: false,
        format: humanBytes,
      });
      for await (const part of client.maintenance.snapshot(run.longCallOptions)) {
        await onDisk(path, () => download.add(part));
        bar.update(download.receivedBytes, download.receivedBytes + part.remainingBytes);
      }
      await onDisk(path, () => download.finish());
    } finally {
      await download.settled();
      await file.close();
    }
    await onDisk(path, async () => {
      await systemDisk.rename(partPath, path);
      await systemDisk.syncFolder(dirname(path));
    });
    return download.version;
  } catch (error) {
    await systemDisk.remove(partPath);
    throw error;
  }
}

/** Hashes and writes; the next part is awaited while the last one is written. */
export class Download {
  readonly #file: DiskFile;
  readonly #hash = createHash("sha256");
  /** The last bytes so far: they may be the hash. */
  #tail = Buffer.alloc(0);
  #writing: Promise<void> = Promise.resolve();
  receivedBytes = 0;
  version = "";

  constructor(file: DiskFile) {
    this.#file = file;
  }

  async add(part: SnapshotPart): Promise<void> {
    const { bytes } = part;
    if (part.version !== "") this.version = part.version;
    const position = this.receivedBytes;
    this.receivedBytes += bytes.length;
    const before = this.#writing;
    this.#writing = before.then(() => this.#file.write(bytes, 0, bytes.length, position));
    this.#writing.catch(() => undefined); // told where it is waited for
    const joined = Buffer.concat([this.#tail, bytes]);
    const settled = Math.max(0, joined.length - hashBytes);
    this.#hash.update(joined.subarray(0, settled));
    this.#tail = Buffer.from(joined.subarray(settled));
    await before;
  }

  async finish(): Promise<void> {
    if (this.receivedBytes % sectorBytes !== hashBytes) {
      throw refused(`sha256 checksum not found [bytes: ${this.receivedBytes}]`);
    }
    if (!this.#hash.digest().equals(this.#tail)) {
      throw refused("the snapshot's SHA-256 does not match its content");
    }
    await this.#writing;
    await this.#file.datasync();
  }

  /** Resolves when no write is under way, however they ended. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }
}

function refused(message: string): CommandError {
  return new CommandError(ExitCode.interrupted, message, "it was damaged on its way: try again");
}

/** What the disk refuses is told in a sentence. */
async function onDisk<Result>(path: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(ExitCode.interrupted, `can not save to ${path}: ${reason}`);
  }
}
