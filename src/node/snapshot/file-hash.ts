// The SHA-256 that follows a database file when it is a snapshot that a client was sent.

import { createHash } from "node:crypto";
import { Status, StatusError } from "../../base/status.ts";
import type { Disk, DiskFile } from "../../io/disk.ts";

const hashBytes = 32;
/** A database is a multiple of it, so what is left over tells whether a hash follows. */
const sectorBytes = 512;
const readBytes = 1024 * 1024;

/** Whether a file of this size ends with a hash. */
export function endsWithHash(sizeBytes: number): boolean {
  return sizeBytes % sectorBytes === hashBytes;
}

/**
 * Rejects with DATA_LOSS when the file does not match the hash behind it, with FAILED_PRECONDITION when there is
 * none. With `isSkipped` only that the file is there is checked.
 */
export async function verifyFileHash(disk: Disk, path: string, isSkipped: boolean): Promise<void> {
  const file = await openFile(disk, path);
  try {
    if (isSkipped) return;
    const sizeBytes = await file.size();
    if (!endsWithHash(sizeBytes)) {
      throw new StatusError(
        Status.FAILED_PRECONDITION,
        "snapshot missing hash but --skip-hash-check=false",
      );
    }
    const end = sizeBytes - hashBytes;
    const found = await hashOf(file, end);
    const wanted = Buffer.alloc(hashBytes);
    await file.read(wanted, end);
    if (found.equals(wanted)) return;
    throw new StatusError(
      Status.DATA_LOSS,
      `expected sha256 ${wanted.toString("hex")}, got ${found.toString("hex")}`,
    );
  } finally {
    await file.close();
  }
}

async function hashOf(file: DiskFile, end: number): Promise<Buffer> {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(readBytes);
  for (let at = 0; at < end; ) {
    const part = at + readBytes <= end ? buffer : buffer.subarray(0, end - at);
    const count = await file.read(part, at);
    if (count === 0) break;
    hash.update(part.subarray(0, count));
    at += count;
  }
  return hash.digest();
}

async function openFile(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, "read");
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const reason = error instanceof Error ? error.message : String(error);
    throw new StatusError(isMissing ? Status.NOT_FOUND : Status.UNKNOWN, reason, { cause: error });
  }
}
