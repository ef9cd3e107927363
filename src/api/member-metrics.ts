// Gives the numbers of a running member the names that etcd's dashboards and alerts look for.

import type { MemberMetrics } from "../node/member-metrics.ts";
import type { Replica } from "../node/replica-types.ts";
import { registerClusterMetrics } from "./cluster-metrics.ts";
import type { MetricRegistry } from "./metrics.ts";

export interface MemberMetricSources {
  readonly replica: Replica;
  readonly metrics: MemberMetrics;
  readonly pendingProposals: () => number;
  readonly watchers: () => {
    readonly streams: number;
    readonly watchers: number;
    readonly slow: number;
  };
}

export function registerMemberMetrics(
  registry: MetricRegistry,
  sources: MemberMetricSources,
): void {
  registerServer(registry, sources);
  registerClusterMetrics(registry, sources.metrics);
  registerStorage(registry, sources);
  registerLeasesAndWatch(registry, sources);
}

function registerServer(registry: MetricRegistry, sources: MemberMetricSources): void {
  const { replica, metrics } = sources;
  const status = () => replica.status();
  const yes = (condition: boolean) => (condition ? 1 : 0);
  const version = status().version;
  const serverId = replica.memberId.toString(16);
  const one = (name: string, help: string, labels: Record<string, string>) =>
    registry.labelled("gauge", name, help, () => [[labels, 1]]);
  one("etcd_server_version", "Which version is running.", { server_version: version });
  one("etcd_server_id", "Id of this member.", { server_id: serverId });
  registry.labelled("gauge", "etcd_cluster_version", "Version that the cluster runs as.", () => {
    const [major, minor] = replica.clusterVersion.split(".");
    return minor === undefined ? [] : [[{ cluster_version: `${major}.${minor}` }, 1]];
  });
  registry.gauge("etcd_server_has_leader", "Whether a leader exists.", () =>
    yes(status().leader !== 0n),
  );
  registry.gauge("etcd_server_is_leader", "Whether this member is the leader.", () =>
    yes(status().leader === replica.memberId),
  );
  registry.gauge("etcd_server_is_learner", "Whether this member is a learner.", () =>
    yes(status().isLearner),
  );
  registry.gauge(
    "etcd_server_proposals_committed_total",
    "Commands committed.",
    () => status().raftIndex,
  );
  registry.gauge(
    "etcd_server_proposals_applied_total",
    "Commands applied.",
    () => status().appliedIndex,
  );
  registry.gauge(
    "etcd_server_proposals_pending",
    "Commands waiting to be committed.",
    sources.pendingProposals,
  );
  registry.counter(
    "etcd_server_proposals_failed_total",
    "Commands that failed.",
    () => metrics.proposalsFailed.value,
  );
  registry.gauge(
    "etcd_server_quota_backend_bytes",
    "Size that the database may have.",
    () => status().quotaBytes,
  );
}

function registerStorage(
  registry: MetricRegistry,
  { replica, metrics }: MemberMetricSources,
): void {
  const { store } = replica;
  registry.histogram(
    "etcd_disk_wal_fsync_duration_seconds",
    "Time from writing a batch to the log until it is durable.",
    metrics.walFsyncSeconds,
  );
  registry.gauge(
    "etcd_disk_wal_write_bytes_total",
    "Bytes written to the log.",
    () => metrics.walBytes.value,
  );
  registry.histogram(
    "etcd_disk_backend_commit_duration_seconds",
    "Time of one flush to the database.",
    metrics.backendCommitSeconds,
  );
  registry.gauge(
    "etcd_mvcc_db_total_size_in_bytes",
    "Size of the database.",
    () => replica.status().dbSizeBytes,
  );
  registry.gauge(
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "Size of the database without free pages.",
    () => replica.status().dbSizeInUseBytes,
  );
  registry.counter("etcd_mvcc_put_total", "Puts applied.", () => metrics.puts.value);
  registry.counter("etcd_mvcc_delete_total", "Deletes applied.", () => metrics.deletes.value);
  registry.counter("etcd_mvcc_txn_total", "Transactions applied.", () => metrics.txns.value);
  registry.counter("etcd_mvcc_range_total", "Ranges served.", () => metrics.ranges.value);
  registry.gauge(
    "etcd_debugging_mvcc_current_revision",
    "Current revision of the store.",
    () => store.currentRevision,
  );
  registry.gauge(
    "etcd_debugging_mvcc_compact_revision",
    "Last compacted revision.",
    () => store.compactRevision,
  );
  registry.histogram(
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
    "Time of one step of a compaction.",
    metrics.compactionPauseMs,
  );
}

function registerLeasesAndWatch(registry: MetricRegistry, sources: MemberMetricSources): void {
  const { metrics } = sources;
  registry.counter(
    "etcd_debugging_lease_granted_total",
    "Leases granted.",
    () => metrics.leasesGranted.value,
  );
  registry.counter(
    "etcd_debugging_lease_revoked_total",
    "Leases revoked.",
    () => metrics.leasesRevoked.value,
  );
  registry.counter(
    "etcd_debugging_lease_renewed_total",
    "Leases renewed.",
    () => metrics.leasesRenewed.value,
  );
  registry.counter(
    "etcd_debugging_server_lease_expired_total",
    "Leases expired.",
    () => metrics.leasesExpired.value,
  );
  registry.gauge(
    "etcd_debugging_mvcc_watch_stream_total",
    "Watch streams open.",
    () => sources.watchers().streams,
  );
  registry.gauge(
    "etcd_debugging_mvcc_watcher_total",
    "Watchers.",
    () => sources.watchers().watchers,
  );
  registry.gauge(
    "etcd_debugging_mvcc_slow_watcher_total",
    "Watchers that catch up.",
    () => sources.watchers().slow,
  );
}
