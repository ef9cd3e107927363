// Counts gRPC calls by method and outcome, under the names of go-grpc-prometheus. One observer per
// method serves all of its calls, so that counting allocates nothing per request.

import { Status, type StatusCode } from "../base/status.ts";
import type {
  CallObserver,
  MethodInfo,
  MethodKind,
  ServerCall,
  ServerInterceptor,
} from "../rpc/grpc/types.ts";
import type { Labels, MetricRegistry, Sample } from "./metrics.ts";

const methodsMax = 256;

class MethodCounts implements CallObserver {
  readonly labels: Labels;
  readonly isUnary: boolean;
  started = 0;
  readonly handled = new Float64Array(codeNames.length);

  constructor(method: MethodInfo) {
    this.labels = {
      grpc_method: method.name,
      grpc_service: method.service,
      grpc_type: typeNames[method.kind],
    };
    this.isUnary = method.kind === "unary";
  }

  onEnd(code: StatusCode): void {
    this.handled[code] = (this.handled[code] as number) + 1;
  }
}

/** The interceptor that counts; `register` publishes what it counted. */
export class GrpcMetrics implements ServerInterceptor {
  readonly #byPath = new Map<string, MethodCounts>();
  readonly #others = new MethodCounts({ path: "", service: "", name: "", kind: "unary" });

  begin(call: ServerCall): CallObserver {
    const { method } = call;
    let counts = this.#byPath.get(method.path);
    if (counts === undefined) {
      // Paths come from clients: past this many, new ones are not counted.
      if (this.#byPath.size >= methodsMax) return this.#others;
      counts = new MethodCounts(method);
      this.#byPath.set(method.path, counts);
    }
    counts.started++;
    return counts;
  }

  register(registry: MetricRegistry): void {
    registry.labelled("counter", "grpc_server_started_total", "Calls started.", () =>
      this.#samples((counts) => counts.started),
    );
    registry.labelled("counter", "grpc_server_handled_total", "Calls ended, by status.", () =>
      this.#handled(),
    );
    registry.labelled(
      "counter",
      "grpc_server_msg_received_total",
      "Messages received in unary calls.",
      () => this.#samples((counts) => (counts.isUnary ? counts.started : undefined)),
    );
    registry.labelled(
      "counter",
      "grpc_server_msg_sent_total",
      "Messages sent in unary calls.",
      () => this.#samples((counts) => (counts.isUnary ? counts.handled[Status.OK] : undefined)),
    );
  }

  *#samples(read: (counts: MethodCounts) => number | undefined): Iterable<Sample> {
    for (const counts of this.#byPath.values()) {
      const value = read(counts);
      if (value !== undefined) yield [counts.labels, value];
    }
  }

  *#handled(): Iterable<Sample> {
    for (const counts of this.#byPath.values()) {
      for (const [code, name] of codeNames.entries()) {
        const value = counts.handled[code]!;
        if (value > 0) yield [{ grpc_code: name, ...counts.labels }, value];
      }
    }
  }
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
