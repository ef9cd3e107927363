// What a member's place in its cluster forbids: a learner answers hardly anything, and who asks for a leader
// (metadata `hasleader: true`) is refused, or in time cut off, where none is known.

import type { Clock, Timer } from "../io/clock.ts";
import type { Replica } from "../node/replica-types.ts";
import { ServerCallBase } from "../rpc/grpc/server-call.ts";
import type { CallObserver, ServerCall, ServerInterceptor } from "../rpc/grpc/types.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";

export interface ClusterGuardParts {
  readonly clock: Clock;
  readonly electionTimeoutMs: number;
  readonly replica: () => Pick<Replica, "isLearner" | "leaderlessSinceMs">;
}

/** What a learner answers all the same. Range looks at each request: serializable ones are served. */
const learnerMethods: ReadonlySet<string> = new Set([
  "/etcdserverpb.Maintenance/Status",
  "/etcdserverpb.Maintenance/Snapshot",
  "/etcdserverpb.KV/Range",
]);

/** Streams are costly to open again, so a short time without a leader leaves them. */
const electionsToWait = 3;

export class ClusterGuard implements ServerInterceptor {
  readonly #parts: ClusterGuardParts;
  /** Open streams that want a leader. */
  readonly #streams = new Set<ServerCallBase>();
  #timer: Timer | undefined;

  constructor(parts: ClusterGuardParts) {
    this.#parts = parts;
    this.#schedule();
  }

  readonly begin = (call: ServerCall): CallObserver | undefined => {
    const { isLearner, leaderlessSinceMs } = this.#parts.replica();
    if (isLearner && !learnerMethods.has(call.method.path)) {
      throw toStatusError(EtcdErrors.notSupportedForLearner);
    }
    const isUnary = call.method.kind === "unary";
    // Metadata are read only where they matter: most calls are unary and there is a leader.
    if (isUnary && leaderlessSinceMs === undefined) return undefined;
    if (call.metadata.get("hasleader") !== "true") return undefined;
    if (leaderlessSinceMs !== undefined) throw toStatusError(EtcdErrors.noLeader);
    return this.#watch(call);
  };

  close(): void {
    this.#timer?.cancel();
  }

  #watch(call: ServerCall): CallObserver | undefined {
    if (!(call instanceof ServerCallBase)) return undefined;
    this.#streams.add(call);
    return { onEnd: () => this.#streams.delete(call) };
  }

  #schedule(): void {
    const { clock, electionTimeoutMs } = this.#parts;
    this.#timer = clock.setTimer(
      electionTimeoutMs,
      () => {
        this.#cutOff();
        this.#schedule();
      },
      { unref: true },
    );
  }

  #cutOff(): void {
    const { clock, electionTimeoutMs, replica } = this.#parts;
    const sinceMs = replica().leaderlessSinceMs;
    if (sinceMs === undefined || clock.now() - sinceMs < electionsToWait * electionTimeoutMs)
      return;
    const { code, message } = EtcdErrors.noLeader;
    for (const call of this.#streams) call.failCall(code, message);
  }
}
