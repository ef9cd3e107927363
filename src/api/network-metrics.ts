// Gives what the traffic between members counts the names of etcd: etcd_network_*, with the ids of both
// ends as labels.

import type { Counter, Histogram } from "../base/instruments.ts";
import type { PeerCounters, PeerMetrics } from "../peer/peer-metrics.ts";
import type { HistogramSample, MetricRegistry, Sample } from "./metrics.ts";

export interface NetworkMetricSources {
  readonly memberId: bigint;
  readonly metrics: PeerMetrics;
  /** The other members, reachable or not. */
  readonly peers: () => Iterable<{ readonly id: bigint }>;
}

export function registerNetworkMetrics(
  registry: MetricRegistry,
  sources: NetworkMetricSources,
): void {
  registerPeers(registry, sources);
  const counters = counterFamilies(registry, sources.metrics);
  counters("To", "peer_sent_bytes_total", "Bytes sent to peers.", (one) => one.sentBytes);
  counters("From", "peer_received_bytes_total", "Bytes received from peers.", (one) => {
    return one.receivedBytes;
  });
  counters("To", "peer_sent_failures_total", "Messages that could not be sent to peers.", (one) => {
    return one.sendFailures;
  });
  counters("From", "peer_received_failures_total", "What peers sent and was refused.", (one) => {
    return one.receiveFailures;
  });
  counters("To", "snapshot_send_success", "Snapshots sent.", (one) => one.snapshotsSent);
  counters("To", "snapshot_send_failures", "Snapshots that could not be sent.", (one) => {
    return one.snapshotSendFailures;
  });
  counters("From", "snapshot_receive_success", "Snapshots received.", (one) => {
    return one.snapshotsReceived;
  });
  counters("From", "snapshot_receive_failures", "Snapshots that did not arrive whole.", (one) => {
    return one.snapshotReceiveFailures;
  });
  registerDurations(registry, sources.metrics);
  registry.histogram(
    "etcd_snap_db_save_total_duration_seconds",
    "Time to save a received snapshot.",
    sources.metrics.snapshotSaveSeconds,
  );
  registry.histogram(
    "etcd_snap_db_fsync_duration_seconds",
    "Time of the sync at the end of that.",
    sources.metrics.snapshotSyncSeconds,
  );
}

function registerPeers(registry: MetricRegistry, sources: NetworkMetricSources): void {
  const { metrics, peers } = sources;
  const Local = sources.memberId.toString(16);
  const pair = (id: bigint) => ({ Local, Remote: id.toString(16) });
  registry.labelled("gauge", "etcd_network_known_peers", "Members, this one too.", () =>
    [sources.memberId, ...Array.from(peers(), ({ id }) => id)].map((id): Sample => [pair(id), 1]),
  );
  registry.labelled("gauge", "etcd_network_active_peers", "Peers that messages reach.", () =>
    Array.from(peers(), ({ id }): Sample => [pair(id), metrics.of(id).active]),
  );
  registry.labelled(
    "counter",
    "etcd_network_disconnected_peers_total",
    "How often peers were lost.",
    () =>
      samplesOf(metrics, pair, (one) =>
        one.disconnects.value > 0 ? one.disconnects.value : undefined,
      ),
  );
  registry.labelled(
    "gauge",
    "etcd_network_snapshot_send_inflights_total",
    "Snapshots being sent.",
    () => samplesOf(metrics, (id) => ({ To: id.toString(16) }), sendsUnderWay),
  );
  registry.labelled(
    "gauge",
    "etcd_network_snapshot_receive_inflights_total",
    "Snapshots being received.",
    () => samplesOf(metrics, (id) => ({ From: id.toString(16) }), receivesUnderWay),
  );
}

/** Gauges appear with the first transfer, as they do in etcd. */
function sendsUnderWay(one: PeerCounters): number | undefined {
  const seen = one.snapshotsSent.value + one.snapshotSendFailures.value;
  return seen + one.snapshotSendsUnderWay > 0 ? one.snapshotSendsUnderWay : undefined;
}

function receivesUnderWay(one: PeerCounters): number | undefined {
  const seen = one.snapshotsReceived.value + one.snapshotReceiveFailures.value;
  return seen + one.snapshotReceivesUnderWay > 0 ? one.snapshotReceivesUnderWay : undefined;
}

function registerDurations(registry: MetricRegistry, metrics: PeerMetrics): void {
  const family = (
    label: "To" | "From",
    name: string,
    help: string,
    read: (one: PeerCounters) => Histogram,
  ): void =>
    registry.labelledHistogram(`etcd_network_${name}`, help, () =>
      Array.from(metrics.all())
        .filter((one) => read(one).count > 0)
        .map((one): HistogramSample => [{ [label]: one.id.toString(16) }, read(one)]),
    );
  family("To", "peer_round_trip_time_seconds", "Round trips to peers.", (one) => {
    return one.roundTripSeconds;
  });
  family(
    "To",
    "snapshot_send_total_duration_seconds",
    "How long snapshots took to send.",
    (one) => {
      return one.snapshotSendSeconds;
    },
  );
  family(
    "From",
    "snapshot_receive_total_duration_seconds",
    "How long they took to receive.",
    (one) => {
      return one.snapshotReceiveSeconds;
    },
  );
}

/** Counters that appear for a peer with the first count. */
function counterFamilies(registry: MetricRegistry, metrics: PeerMetrics) {
  return (
    label: "To" | "From",
    name: string,
    help: string,
    read: (one: PeerCounters) => Counter,
  ): void =>
    registry.labelled("counter", `etcd_network_${name}`, help, () =>
      samplesOf(
        metrics,
        (id) => ({ [label]: id.toString(16) }),
        (one) => read(one).value || undefined,
      ),
    );
}

function samplesOf(
  metrics: PeerMetrics,
  labels: (id: bigint) => Record<string, string>,
  read: (one: PeerCounters) => number | undefined,
): Sample[] {
  const samples: Sample[] = [];
  for (const one of metrics.all()) {
    const value = read(one);
    if (value !== undefined) samples.push([labels(one.id), value]);
  }
  return samples;
}
