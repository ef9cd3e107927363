// Maintenance.Snapshot: a member's database file in pieces, and the SHA-256 of all of them as the last one. The
// caller's pace is the pace of reading: nothing piles up here.

import { createHash } from "node:crypto";
import type { SnapshotReader } from "../node/snapshot/snapshot-reader.ts";
import type { ResponseHeader, SnapshotResponse } from "../wire/generated/rpc.ts";

/** etcd sends 32 KiB; fewer, larger pieces cost both sides less, and every client takes these. */
const pieceBytes = 128 * 1024;

/** Closes `reader` in any case. The first piece's header names the revision that the file holds. */
export async function* snapshotPieces(
  reader: SnapshotReader,
  header: ResponseHeader,
  version: string,
): AsyncGenerator<SnapshotResponse> {
  try {
    const { sizeBytes, revision } = reader;
    const hash = createHash("sha256");
    for (let at = 0; at < sizeBytes; ) {
      // A buffer for each: it is sent by reference.
      const blob = Buffer.allocUnsafe(Math.min(pieceBytes, sizeBytes - at));
      const count = await reader.read(blob, at);
      if (count !== blob.length) throw new Error("the snapshot's file was cut short");
      hash.update(blob);
      const first = at === 0 ? { ...header, revision } : undefined;
      at += count;
      yield { header: first, remainingBytes: sizeBytes - at, blob, version };
    }
    yield { header: undefined, remainingBytes: 0, blob: hash.digest(), version };
  } finally {
    await reader.close();
  }
}
