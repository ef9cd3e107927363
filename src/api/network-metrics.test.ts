import { expect, test } from "vitest";
import { PeerMetrics } from "../peer/peer-metrics.ts";
import { MetricRegistry } from "./metrics.ts";
import { registerNetworkMetrics } from "./network-metrics.ts";

test("the traffic between members has etcd's names and labels", () => {
  const registry = new MetricRegistry();
  const metrics = new PeerMetrics();
  const peers = () => [{ id: 0xabn }, { id: 0xcdn }];
  registerNetworkMetrics(registry, { memberId: 0x1fn, metrics, peers });
  const one = metrics.of(0xabn);
  one.active = 1;
  one.sentBytes.value = 1000;
  one.receivedBytes.value = 7;
  one.snapshotsSent.value = 1;
  one.roundTripSeconds.observe(0.0003);
  const page = registry.expose();
  for (const line of [
    'etcd_network_known_peers{Local="1f",Remote="1f"} 1',
    'etcd_network_known_peers{Local="1f",Remote="cd"} 1',
    'etcd_network_active_peers{Local="1f",Remote="ab"} 1',
    'etcd_network_active_peers{Local="1f",Remote="cd"} 0',
    'etcd_network_peer_sent_bytes_total{To="ab"} 1000',
    'etcd_network_peer_received_bytes_total{From="ab"} 7',
    'etcd_network_snapshot_send_success{To="ab"} 1',
    'etcd_network_snapshot_send_inflights_total{To="ab"} 0',
    'etcd_network_peer_round_trip_time_seconds_bucket{To="ab",le="0.0004"} 1',
    'etcd_network_peer_round_trip_time_seconds_count{To="ab"} 1',
  ]) {
    expect(page).toContain(`${line}\n`);
  }
  expect(page).not.toContain("failures");
  expect(page).not.toContain("disconnected");
});
