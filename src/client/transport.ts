// The narrow interface between the client and whatever carries its calls: a gRPC channel in
// production, a fake in tests. It knows services, not sockets.

import type { StatusError } from "../base/status.ts";
import type { Client as RpcClient } from "../rpc/grpc/types.ts";
import type {
  AuthDefinition,
  ClusterDefinition,
  KVDefinition,
  LeaseDefinition,
  MaintenanceDefinition,
  WatchDefinition,
} from "../wire/generated/rpc.ts";

export interface Transport {
  readonly kv: RpcClient<KVDefinition>;
  readonly watch: RpcClient<WatchDefinition>;
  readonly lease: RpcClient<LeaseDefinition>;
  readonly cluster: RpcClient<ClusterDefinition>;
  readonly maintenance: RpcClient<MaintenanceDefinition>;
  readonly auth: RpcClient<AuthDefinition>;
  /** True when it is certain that no server acted on the call that failed so. */
  wasNotExecuted(error: StatusError): boolean;
  /** Ends open calls with CANCELLED and releases the connections. */
  close(): Promise<void>;
}
