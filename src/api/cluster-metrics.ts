// Gives what a member counts about its part in the cluster etcd's names: leaders, rounds for reads, changes of
// members, applied commands, snapshots.

import type { AppliedKind } from "../node/apply/apply-times.ts";
import type { MemberMetrics } from "../node/member-metrics.ts";
import { CommandField } from "../node/replica-types.ts";
import type { HistogramSample, MetricRegistry, Sample } from "./metrics.ts";

export function registerClusterMetrics(registry: MetricRegistry, metrics: MemberMetrics): void {
  registerLeadership(registry, metrics);
  registerApplying(registry, metrics);
  registerSnapshots(registry, metrics);
}

function registerLeadership(registry: MetricRegistry, metrics: MemberMetrics): void {
  const counter = (name: string, help: string, read: () => number) =>
    registry.counter(`etcd_server_${name}`, help, read);
  counter(
    "leader_changes_seen_total",
    "Changes of leader seen.",
    () => metrics.leaderChanges.value,
  );
  counter(
    "heartbeat_send_failures_total",
    "Heartbeats of this leader that were late by more than an interval.",
    () => metrics.lateHeartbeats.value,
  );
  counter(
    "slow_read_indexes_total",
    "Rounds for reads that were asked again, since no answer came.",
    () => metrics.repeatedReadRounds.value,
  );
  counter(
    "read_indexes_failed_total",
    "Rounds for reads that never got an answer.",
    () => metrics.failedReadRounds.value,
  );
  counter(
    "learner_promote_successes",
    "Learners that got their vote from this leader.",
    () => metrics.learnersPromoted.value,
  );
  registry.labelled(
    "counter",
    "etcd_server_learner_promote_failures",
    "Learners that did not get their vote.",
    () =>
      Array.from(metrics.promotionsRefused, ([Reason, { value }]): Sample => [{ Reason }, value]),
  );
}

function registerApplying(registry: MetricRegistry, { applyTimes }: MemberMetrics): void {
  registry.labelledHistogram("etcd_server_apply_duration_seconds", "Time to apply a command.", () =>
    Array.from(applyTimes.kinds(), sampleOf),
  );
  registry.counter(
    "etcd_server_slow_apply_total",
    "Commands that took more than 100 ms to apply.",
    () => applyTimes.slow.value,
  );
}

/** As etcd calls the commands. */
const commandNames = new Map<number, string>(
  Object.entries(CommandField).map(([name, field]) => [
    field,
    (name[0] as string).toUpperCase() + name.slice(1),
  ]),
);

function sampleOf({ field, success, times }: AppliedKind): HistogramSample {
  const op = commandNames.get(field) ?? "unknown";
  return [{ op, success: String(success), version: "v3" }, times];
}

function registerSnapshots(registry: MetricRegistry, metrics: MemberMetrics): void {
  registry.gauge(
    "etcd_server_snapshot_apply_in_progress_total",
    "Snapshots of other members that this one is going over to.",
    () => metrics.snapshotsBeingInstalled,
  );
  registry.histogram(
    "etcd_disk_backend_snapshot_duration_seconds",
    "Time to write the state as a database file.",
    metrics.databaseFileSeconds,
  );
  const mark = "Time to note in the log that the database holds all up to an entry.";
  registry.histogram(
    "etcd_debugging_snap_save_total_duration_seconds",
    mark,
    metrics.snapshotMarkSeconds,
  );
  registry.histogram("etcd_snap_fsync_duration_seconds", mark, metrics.snapshotMarkSeconds);
}
