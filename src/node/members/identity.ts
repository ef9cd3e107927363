// Who a member and its cluster are: ids as etcd computes them, so that the same flags give the same
// ids on both.

import { createHash } from "node:crypto";

/**
 * A member's id: the first 8 bytes (big-endian) of SHA-1 over its peer URLs in sorted order, the
 * cluster's token, and, for a member that is added later, the unix time in seconds as decimal text.
 */
export function memberIdOf(
  peerUrls: readonly string[],
  clusterToken: string,
  addedAtSeconds?: number,
): bigint {
  const hash = createHash("sha1")
    .update([...peerUrls].sort().join(""))
    .update(clusterToken);
  if (addedAtSeconds !== undefined) hash.update(String(addedAtSeconds));
  return hash.digest().readBigUInt64BE(0);
}

/** The cluster's id: the same over its first members' ids, sorted, 8 bytes each. */
export function clusterIdOf(memberIds: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(8 * memberIds.length);
  [...memberIds]
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    .forEach((id, i) => {
      bytes.writeBigUInt64BE(id, 8 * i);
    });
  return createHash("sha1").update(bytes).digest().readBigUInt64BE(0);
}
