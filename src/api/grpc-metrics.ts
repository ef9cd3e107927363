// Publishes the gRPC server's own counters by method and outcome, under the names of go-grpc-prometheus.

import type { MethodStats } from "../rpc/grpc/method-table.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { MethodInfo, MethodKind } from "../rpc/grpc/types.ts";
import type { Labels, MetricRegistry, Sample } from "./metrics.ts";

type MethodSource = Pick<GrpcServer, "methodStats">;

export function registerGrpcMetrics(registry: MetricRegistry, server: MethodSource): void {
  const counter = (name: string, help: string, read: (stats: MethodStats) => number) =>
    registry.labelled("counter", name, help, () => samples(server, read));
  counter("grpc_server_started_total", "Calls started.", (stats) => stats.started);
  counter(
    "grpc_server_msg_received_total",
    "Messages received.",
    (stats) => stats.messagesReceived,
  );
  counter("grpc_server_msg_sent_total", "Messages sent.", (stats) => stats.messagesSent);
  registry.labelled("counter", "grpc_server_handled_total", "Calls ended, by status.", () =>
    handledSamples(server),
  );
}

/** Methods that nobody called yet are shown too, with zeros, so that alerts find them. */
function* samples(server: MethodSource, read: (stats: MethodStats) => number): Iterable<Sample> {
  for (const { method, stats } of server.methodStats()) yield [labelsOf(method), read(stats)];
}

function* handledSamples(server: MethodSource): Iterable<Sample> {
  for (const { method, stats } of server.methodStats()) {
    for (const [code, name] of codeNames.entries()) {
      const value = stats.handled[code] ?? 0;
      if (value > 0 || code === 0) yield [{ grpc_code: name, ...labelsOf(method) }, value];
    }
  }
}

function labelsOf(method: MethodInfo): Labels {
  return {
    grpc_method: method.name,
    grpc_service: method.service,
    grpc_type: typeNames[method.kind],
  };
}

/** As grpc-go prints the codes, by number. */
const codeNames = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
] as const;

const typeNames: Readonly<Record<MethodKind, string>> = {
  unary: "unary",
  "client-stream": "client_stream",
  "server-stream": "server_stream",
  bidi: "bidi_stream",
};
