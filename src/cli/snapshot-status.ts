// portal snapshot status: checks a database file from end to end and says what it holds, with the numbers that
// etcdutl gets from it.

import { updateCrc32c } from "../base/crc32c.ts";
import { StatusError } from "../base/status.ts";
import { systemDisk } from "../io/disk.ts";
import { BboltFile, type Entries } from "../storage/bbolt/bbolt-file.ts";
import { KeyValueView } from "../wire/key-value.ts";
import type { CommandRun } from "./command-run.ts";
import { badArguments, CommandError, ExitCode } from "./exit-code.ts";
import type { SnapshotStatus } from "./output/printer.ts";
import { withSpinner } from "./progress-bar.ts";

const revisionBytes = 17;
/** One Set holds at most 2^24 keys. */
const keySets = 256;

export async function showStatus(run: CommandRun, words: readonly string[]): Promise<void> {
  const [path] = words;
  if (path === undefined || words.length > 1) {
    throw badArguments("snapshot status requires exactly one argument");
  }
  const printer = await run.printer();
  const status = await withSpinner(run.cli, "reading", readStatus(path)).catch((error) => {
    if (error instanceof StatusError) throw new CommandError(ExitCode.error, error.message);
    throw error;
  });
  await run.cli.print(printer.snapshotStatus(status));
}

/** Rejects with a StatusError when the file is damaged or is not there. */
export async function readStatus(path: string): Promise<SnapshotStatus> {
  const file = await BboltFile.open({ disk: systemDisk, path });
  try {
    await file.check();
    const history = new HistorySummary();
    let hash = 0;
    for (const name of file.bucketNames()) {
      hash = updateCrc32c(hash, name);
      const isHistory = name.toString("latin1") === "key";
      for await (const batch of file.scan(name)) {
        hash = hashRecords(hash, batch);
        if (isHistory) history.add(batch);
      }
    }
    const version = await file.get("meta", Buffer.from("storageVersion"));
    return {
      hash,
      revision: history.revision,
      totalKeys: history.liveKeys,
      totalSizeBytes: file.sizeBytes,
      version: plainVersion(version?.toString() ?? ""),
    };
  } finally {
    await file.close();
  }
}

/** A record's value follows its key in the file. */
function hashRecords(start: number, { bytes, bounds, count }: Entries): number {
  let hash = start;
  for (let i = 0; i < count; i++) {
    hash = updateCrc32c(hash, bytes, bounds[3 * i] as number, bounds[3 * i + 2] as number);
  }
  return hash;
}

/** The last revision, and which keys are there after it. */
class HistorySummary {
  revision = 0;
  readonly #view = new KeyValueView();
  readonly #keys = Array.from({ length: keySets }, () => new Set<string>());

  get liveKeys(): number {
    return this.#keys.reduce((sum, keys) => sum + keys.size, 0);
  }

  add({ bytes, bounds, count }: Entries): void {
    for (let i = 0; i < count; i++) {
      const keyStart = bounds[3 * i] as number;
      const keyEnd = bounds[3 * i + 1] as number;
      const isTombstone = this.#readRevision(bytes, keyStart, keyEnd);
      const view = this.#view.read(bytes, keyEnd, bounds[3 * i + 2] as number);
      const key = bytes.latin1Slice(view.keyStart, view.keyEnd);
      const last = view.keyEnd > view.keyStart ? (bytes[view.keyEnd - 1] as number) : 0;
      const keys = this.#keys[last % keySets] as Set<string>;
      if (isTombstone) keys.delete(key);
      else keys.add(key);
    }
  }

  #readRevision(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length !== revisionBytes && length !== revisionBytes + 1) {
      const hex = bytes.toString("hex", start, Math.min(end, start + 40));
      throw new CommandError(ExitCode.error, `the row ${hex} of the bucket "key" is no revision`);
    }
    this.revision = Number(bytes.readBigInt64BE(start));
    return length > revisionBytes;
  }
}

/** "3.7.0"; empty for what is no version. */
function plainVersion(text: string): string {
  return /^\d+\.\d+\.\d+(?:[-+].*)?$/.test(text) ? text : "";
}
