// How a member's database is replaced by another one as a whole, whatever crashes in between. In the member's folder,
// `db` is the database in use; `db.part` is being built and worth nothing; `db.next` is complete and durable. The
// log decides: once it notes the snapshot that `db.next` was made of, `db.next` is the member's state, and is given
// the name `db`, now or at the next start. Until then it is worth nothing either.

import { join } from "node:path";
import { Status, StatusError } from "../../base/status.ts";
import { readMarks } from "../../mvcc/export.ts";
import type { Backend } from "../../storage/backend.ts";
import type { DatabaseFiles } from "../../storage/database-files.ts";

const currentName = "db";
const partName = "db.part";
const nextName = "db.next";

export function databasePath(memberFolder: string): string {
  return join(memberFolder, currentName);
}

/** Fills a new database by `build` and makes it durable, as `db.part`; what had that name is gone. */
export async function buildDatabasePart<T>(
  files: DatabaseFiles,
  memberFolder: string,
  build: (backend: Backend) => Promise<T>,
): Promise<T> {
  const part = join(memberFolder, partName);
  await files.remove(part);
  const backend = await files.open(part, { isDurable: false });
  let built: T;
  try {
    built = await build(backend);
  } catch (error) {
    await backend.close();
    await files.remove(part).catch(() => {}); // the next start tries again
    throw error;
  }
  await backend.close();
  await files.makeDurable(part);
  return built;
}

/** Makes what was built `db.next`. */
export function completeDatabasePart(files: DatabaseFiles, memberFolder: string): Promise<void> {
  return files.rename(join(memberFolder, partName), join(memberFolder, nextName));
}

/** Fills a new database by `build` and makes it `db.next`. */
export async function buildNextDatabase<T>(
  files: DatabaseFiles,
  memberFolder: string,
  build: (backend: Backend) => Promise<T>,
): Promise<T> {
  const built = await buildDatabasePart(files, memberFolder, build);
  await completeDatabasePart(files, memberFolder);
  return built;
}

export function openNextDatabase(files: DatabaseFiles, memberFolder: string): Promise<Backend> {
  return files.open(join(memberFolder, nextName));
}

/** Gives `db.next`, which may be open, the name `db`. */
export function installNextDatabase(files: DatabaseFiles, memberFolder: string): Promise<void> {
  return files.rename(join(memberFolder, nextName), databasePath(memberFolder));
}

/**
 * At a start, with no database open: ends what a crash has interrupted. `snapshotIndex` is that of the newest
 * snapshot that the log holds (0: none). Rejects with DATA_LOSS when no database holds what the log says is in one.
 */
export async function finishInstall(
  files: DatabaseFiles,
  memberFolder: string,
  snapshotIndex: number,
): Promise<void> {
  const next = join(memberFolder, nextName);
  const current = databasePath(memberFolder);
  await files.remove(join(memberFolder, partName));
  const index = await indexOf(files, current);
  if (index >= snapshotIndex) {
    await files.remove(next);
    return;
  }
  const nextIndex = await indexOf(files, next);
  if (nextIndex < snapshotIndex) {
    throw new StatusError(
      Status.DATA_LOSS,
      `Cannot open ${current}: the log relies on a database up to entry ${snapshotIndex}, but this one holds data up to entry ${index}. Put the database back, or restore a backup into an empty data directory.`,
    );
  }
  await installNextDatabase(files, memberFolder);
}

/** At a start without anything to mend: what was built for a snapshot that the log does not know. */
export async function removeUnusedDatabases(
  files: DatabaseFiles,
  memberFolder: string,
): Promise<void> {
  await files.remove(join(memberFolder, partName));
  await files.remove(join(memberFolder, nextName));
}

/** How far in the log a database has come; 0 for one that does not exist. */
async function indexOf(files: DatabaseFiles, path: string): Promise<number> {
  if (!(await files.exists(path))) return 0;
  const backend = await files.open(path);
  try {
    return readMarks(backend).consistentIndex;
  } finally {
    await backend.close();
  }
}
