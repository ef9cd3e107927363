// Runs the quorum transcripts: `committed` and `vote` on a majority (cfg) or a joint (cfg, cfgj)
// configuration. Beside the answer it computes what must give the same one, and prints any difference.

import {
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
} from "../../../src/raft/quorum/quorum.ts";
import type { Command } from "./transcript.ts";

type Indexes = ReadonlyMap<bigint, number>;

export class QuorumHarness {
  run(command: Command): string {
    const ids = unique(idsOf(command, "cfg"));
    const isJoint = command.args.some((arg) => arg.key === "cfgj");
    const outgoing = unique(idsOf(command, "cfgj"));
    const voters = unique([...ids, ...outgoing]);
    const words = valuesOf(command, command.name === "vote" ? "votes" : "idx");
    if (words.length !== voters.length) return mismatch(command, voters, words);
    if (command.name === "vote") return vote(ids, isJoint ? outgoing : undefined, words);
    if (command.name === "committed") return committed(ids, isJoint ? outgoing : undefined, words);
    return "unknown command";
  }
}

function committed(
  ids: readonly bigint[],
  outgoing: readonly bigint[] | undefined,
  words: readonly string[],
): string {
  const voters = unique([...ids, ...(outgoing ?? [])]);
  const indexes: Indexes = new Map(
    voters.flatMap((id, i) => (words[i] === "_" ? [] : [[id, Number(words[i])]])),
  );
  const table = describeIndexes(voters, indexes);
  if (outgoing !== undefined) {
    const index = jointIndex(ids, outgoing, indexes);
    const mirrored = jointIndex(outgoing, ids, indexes);
    return table + differs(mirrored, index, "via symmetry") + text(index);
  }
  const index = majorityIndex(ids, indexes);
  return [
    table,
    differs(bySorting(ids, indexes), index, "via alternative computation"),
    differs(jointIndex(ids, [], indexes), index, "via zero-joint quorum"),
    differs(jointIndex(ids, ids, indexes), index, "via self-joint quorum"),
    overlays(ids, indexes, index),
    text(index),
  ].join("");
}

function vote(
  ids: readonly bigint[],
  outgoing: readonly bigint[] | undefined,
  words: readonly string[],
): string {
  const voters = unique([...ids, ...(outgoing ?? [])]);
  const votes = new Map<bigint, boolean>();
  for (const [i, id] of voters.entries()) if (words[i] !== "_") votes.set(id, words[i] === "y");
  const names = { pending: "VotePending", lost: "VoteLost", won: "VoteWon" };
  if (outgoing === undefined) return names[majorityVote(ids, votes)];
  const result = jointVote(ids, outgoing, votes);
  const mirrored = jointVote(outgoing, ids, votes);
  return (mirrored === result ? "" : `${names[mirrored]} <-- via symmetry\n`) + names[result];
}

/** What is below the committed index can go lower without changing it. */
function overlays(ids: readonly bigint[], indexes: Indexes, index: number): string {
  let found = "";
  for (const id of ids) {
    const own = indexes.get(id) ?? 0;
    if (own === 0 || index <= own) continue;
    for (const lower of [own - 1, 0]) {
      const changed = majorityIndex(ids, new Map([...indexes, [id, lower]]));
      if (changed !== index) found += `${text(changed)} <-- overlaying ${id}->${lower}`;
    }
  }
  return found;
}

/** The plain definition: sorted, the entry that a majority is at or above. */
function bySorting(ids: readonly bigint[], indexes: Indexes): number {
  if (ids.length === 0) return Number.POSITIVE_INFINITY;
  const sorted = ids.map((id) => indexes.get(id) ?? 0).sort((a, b) => b - a);
  return sorted[Math.floor(ids.length / 2)] as number;
}

/** One line for each voter, with a bar as long as the number of voters that it is ahead of. */
function describeIndexes(voters: readonly bigint[], indexes: Indexes): string {
  if (voters.length === 0) return "<empty majority quorum>";
  const count = voters.length;
  const rank = (id: bigint) => {
    const own = indexes.get(id) ?? 0;
    return voters.filter((other) => (indexes.get(other) ?? 0) < own).length;
  };
  const lines = [...voters].sort(compare).map((id) => {
    const index = indexes.get(id);
    const bar = rank(id);
    const mark =
      index === undefined
        ? `?${" ".repeat(count)}`
        : `${"x".repeat(bar)}>${" ".repeat(count - bar)}`;
    return `${mark} ${String(index ?? 0).padStart(5)}    (id=${id.toString(16)})\n`;
  });
  return `${" ".repeat(count)}    idx\n${lines.join("")}`;
}

function differs(other: number, index: number, how: string): string {
  return other === index ? "" : `${text(other)} <-- ${how}\n`;
}

function text(index: number): string {
  return index === Number.POSITIVE_INFINITY ? "∞" : String(index);
}

function mismatch(command: Command, voters: readonly bigint[], words: readonly string[]): string {
  const inputs =
    command.name === "vote"
      ? words.map((word) => ({ y: "2", n: "1" })[word] ?? "0")
      : words.map((word) => (word === "_" ? "0" : word));
  const set = [...voters].sort(compare).map((id) => `${id}:{}`);
  return `error: mismatched input (explicit or _) for voters map[${set.join(" ")}]: [${inputs.join(" ")}]`;
}

function idsOf(command: Command, key: string): bigint[] {
  return valuesOf(command, key)
    .filter((value) => value !== "zero")
    .map(BigInt);
}

function valuesOf(command: Command, key: string): readonly string[] {
  return command.args.filter((arg) => arg.key === key).flatMap((arg) => arg.values);
}

function unique(ids: readonly bigint[]): bigint[] {
  return [...new Set(ids)];
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
