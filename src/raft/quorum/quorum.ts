// When a majority, or both majorities of a joint configuration, agree: on a vote, and on a log
// index. Pure arithmetic; it knows nothing of who is alive. A configuration without voters agrees
// to everything, so that the missing half of a joint configuration never holds up the other half.

/** `pending`: later votes can still decide it either way. */
export type VoteResult = "pending" | "lost" | "won";

/** Somebody who has acknowledged everything up to `match` (0: nothing). */
export interface Acknowledged {
  readonly match: number;
}

/**
 * The greatest index that a majority of `peers` has acknowledged; `Infinity` when there are none.
 * Allocates nothing: it runs on every acknowledgement a leader receives.
 */
export function majorityMatch(peers: readonly Acknowledged[]): number {
  const count = peers.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  const a = (peers[0] as Acknowledged).match;
  if (count === 1) return a;
  const b = (peers[1] as Acknowledged).match;
  if (count === 2) return Math.min(a, b);
  if (count === 3) {
    const c = (peers[2] as Acknowledged).match;
    return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  }
  return majorityMatchOfMany(peers);
}

/** Tries each peer's index and keeps the best one that enough others have reached. */
function majorityMatchOfMany(peers: readonly Acknowledged[]): number {
  const needed = majorityOf(peers.length);
  let best = 0;
  for (let i = 0; i < peers.length; i++) {
    const candidate = (peers[i] as Acknowledged).match;
    if (candidate <= best) continue;
    let reached = 0;
    for (let k = 0; k < peers.length; k++) {
      if ((peers[k] as Acknowledged).match >= candidate) reached++;
    }
    if (reached >= needed) best = candidate;
  }
  return best;
}

/** The same over ids: a voter without an entry in `acknowledged` counts as 0. */
export function majorityIndex(
  voters: readonly bigint[],
  acknowledged: ReadonlyMap<bigint, number>,
): number {
  return majorityMatch(voters.map((id) => ({ match: acknowledged.get(id) ?? 0 })));
}

/** The greatest index that both halves of a joint configuration have acknowledged. */
export function jointIndex(
  incoming: readonly bigint[],
  outgoing: readonly bigint[],
  acknowledged: ReadonlyMap<bigint, number>,
): number {
  return Math.min(majorityIndex(incoming, acknowledged), majorityIndex(outgoing, acknowledged));
}

/** How a vote among `voters` stands; who is not in `votes` has not voted yet. */
export function majorityVote(
  voters: readonly bigint[],
  votes: ReadonlyMap<bigint, boolean>,
): VoteResult {
  if (voters.length === 0) return "won";
  const needed = majorityOf(voters.length);
  let granted = 0;
  let open = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) open++;
    else if (vote) granted++;
  }
  if (granted >= needed) return "won";
  return granted + open >= needed ? "pending" : "lost";
}

/** A joint vote is won in both halves or not at all, and lost as soon as one half has lost it. */
export function jointVote(
  incoming: readonly bigint[],
  outgoing: readonly bigint[],
  votes: ReadonlyMap<bigint, boolean>,
): VoteResult {
  return jointResult(majorityVote(incoming, votes), majorityVote(outgoing, votes));
}

function jointResult(one: VoteResult, other: VoteResult): VoteResult {
  if (one === "lost" || other === "lost") return "lost";
  return one === "won" && other === "won" ? "won" : "pending";
}

/** How many of `count` voters are a majority. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}
