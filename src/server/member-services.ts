// Everything that one member answers: the gRPC services, and the pages beside them.

import { AuthService } from "../api/auth.ts";
import { ClusterService } from "../api/cluster.ts";
import { ClusterGuard } from "../api/cluster-guard.ts";
import { registerGrpcMetrics } from "../api/grpc-metrics.ts";
import { healthSourceOf } from "../api/health-source.ts";
import { HttpPages, type Versions } from "../api/http.ts";
import { KvService } from "../api/kv.ts";
import { LeaseService } from "../api/lease.ts";
import { MaintenanceService } from "../api/maintenance.ts";
import { registerMemberMetrics } from "../api/member-metrics.ts";
import { MetricRegistry } from "../api/metrics.ts";
import { registerProcessMetrics } from "../api/process-metrics.ts";
import { WatchService } from "../api/watch.ts";
import type { Logger } from "../base/log.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { systemClock } from "../io/clock.ts";
import { readProcessFacts } from "../io/process-facts.ts";
import type { MemberReplica } from "../node/replica.ts";
import { HealthService } from "../rpc/grpc/health.ts";
import { GrpcServer } from "../rpc/grpc/server.ts";
import { AuthDefinition, ClusterDefinition, MaintenanceDefinition } from "../wire/generated/rpc.ts";

/** etcd lets a message be this much larger than a request, before the request itself is measured. */
const messageOverheadBytes = 512 * 1024;

export interface MemberServices {
  readonly grpc: GrpcServer;
  readonly pages: HttpPages;
  readonly versions: () => Versions;
  readonly registry: MetricRegistry;
  /** Ends what would keep a drain from ending: streams without an end of their own. */
  endStreams(): void;
}

export function memberServices(
  replica: MemberReplica,
  config: ServerConfig,
  log: Logger,
): MemberServices {
  const registry = new MetricRegistry();
  const { electionTimeoutMs } = config;
  const guard = new ClusterGuard({ clock: systemClock, electionTimeoutMs, replica: () => replica });
  const grpc = new GrpcServer({
    interceptors: [guard],
    maxReceiveMessageBytes: config.maxRequestBytes + messageOverheadBytes,
    onHandlerError: (error, method) =>
      log.named("api/services").error("a handler failed", { method: method.path, error }),
  });
  const watch = new WatchService(
    { progressIntervalMs: config.watchProgressNotifyIntervalMs },
    { replica, clock: systemClock },
  );
  const { maxTxnOps, maxRequestBytes } = config;
  new KvService(replica, { maxTxnOps, maxRequestBytes }).register(grpc);
  watch.register(grpc);
  const lease = new LeaseService(replica, systemClock);
  lease.register(grpc);
  grpc.addService(MaintenanceDefinition, new MaintenanceService(replica, log));
  grpc.addService(ClusterDefinition, new ClusterService(replica));
  grpc.addService(AuthDefinition, new AuthService(replica));
  const versions = () => versionsOf(replica);
  const health = new HealthService();
  health.register(grpc);
  const services: MemberServices = {
    grpc,
    versions,
    registry,
    pages: new HttpPages({
      health: healthSourceOf(replica, electionTimeoutMs * 2 + 5000),
      registry,
      versions,
      log,
      corsOrigins: config.corsOrigins,
      hostWhitelist: config.hostWhitelist,
    }),
    endStreams: () => {
      watch.close();
      lease.close();
      health.shutdown();
      guard.close();
    },
  };
  registerMemberMetrics(registry, {
    replica,
    metrics: replica.metrics,
    pendingProposals: () => replica.pendingProposals,
    watchers: () => ({
      streams: watch.streamCount,
      watchers: replica.watchHub.watcherCount,
      slow: replica.watchHub.slowWatcherCount,
    }),
  });
  registerGrpcMetrics(registry, grpc);
  registerProcessMetrics(registry, Date.now() / 1000 - process.uptime(), readProcessFacts);
  return services;
}

function versionsOf(replica: MemberReplica): Versions {
  const { version, storageVersion } = replica.status();
  const cluster = replica.clusterVersion === "" ? "not_decided" : replica.clusterVersion;
  return { server: version, cluster, storage: storageVersion };
}
