// The rows of a cluster of three members, as data; cluster.mjs measures them.
import { requests } from "./requests.mjs";
import { h2loadRow } from "./rows.mjs";

const atFollower = (row) => ({ ...row, at: "follower" });

/** Rows of kind "rate", as in rows.mjs; CPU time is that of all members. */
export const clusterRateRows = [
  h2loadRow("cluster-put", "Put at the leader, 10 x 100", "3 x", requests.put, 10, 100),
  atFollower(
    h2loadRow("cluster-put-follower", "Put at a follower, 10 x 100", "3 x", requests.put, 10, 100),
  ),
  h2loadRow("cluster-put-1", "Put at the leader, one at a time", "1 x", requests.put, 1, 1),
  h2loadRow(
    "cluster-range",
    "linearizable Range at the leader, 10 x 100",
    "3 x",
    requests.linearizableRange,
    10,
    100,
  ),
  atFollower(
    h2loadRow(
      "cluster-range-follower",
      "linearizable Range at a follower, 10 x 100",
      "3 x",
      requests.linearizableRange,
      10,
      100,
    ),
  ),
];

const value = (id, title, unit, goal) => ({ id, title, unit, goal, better: "less" });

/** Rows of kind "value". Gaps are the longest time between two acknowledged writes at the members that stay. */
export const clusterValueRows = [
  value("failover-kill", "no writes after kill -9 of the leader, median", "ms", "1 x"),
  value("failover-kill-worst", "the same, worst", "ms", "1 x"),
  value(
    "failover-stop",
    "no writes after a graceful stop of the leader, median",
    "ms",
    "near zero",
  ),
  value("failover-stop-worst", "the same, worst", "ms", "near zero"),
  value("write-p99", "p99 of 500 writes a second, at rest", "ms", "1 x"),
  value("write-p99-snapshot", "the same while a snapshot is taken from the leader", "ms", "1 x"),
  value("write-p99-compaction", "the same during a compaction", "ms", "1 x"),
  value("catch-up", "an empty member joins and has it all", "s", "1 x"),
];
