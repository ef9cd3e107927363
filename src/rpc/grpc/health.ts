// The health service (grpc.health.v1). Whoever serves sets the status of each service; the empty name
// stands for the whole server. Watchers of a service that is not known hear SERVICE_UNKNOWN and wait.

import { Status, StatusError } from "../../base/status.ts";
import { HealthDefinition } from "../../wire/generated/health.ts";
import type { GrpcServer } from "./server.ts";
import type { CallContext, ServiceHandlers } from "./types.ts";

export type ServingStatus = "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

/** What `List` will name at most. */
const listedMax = 100;

export class HealthService {
  readonly #statuses = new Map<string, ServingStatus>();
  /** Called at the next change of a service's status, once. */
  readonly #watchers = new Map<string, Set<() => void>>();
  #shutDown = false;

  constructor() {
    this.#statuses.set("", "SERVING");
  }

  register(server: GrpcServer): void {
    const handlers: ServiceHandlers<typeof HealthDefinition> = {
      check: (request) => ({ status: toWire(this.#check(request.service)) }),
      list: () => this.#list(),
      watch: (request, context) => this.#watch(request.service, context),
    };
    server.addService(HealthDefinition, handlers);
  }

  /** Ignored after `shutdown`. */
  setStatus(service: string, status: ServingStatus): void {
    if (this.#shutDown || this.#statuses.get(service) === status) return;
    this.#statuses.set(service, status);
    this.#tell(service);
  }

  getStatus(service: string): ServingStatus | undefined {
    return this.#statuses.get(service);
  }

  /** Everything is NOT_SERVING from now on, whatever is set later. */
  shutdown(): void {
    for (const service of this.#statuses.keys()) this.setStatus(service, "NOT_SERVING");
    this.#shutDown = true;
  }

  #check(service: string): ServingStatus {
    const status = this.#statuses.get(service);
    if (status === undefined) throw new StatusError(Status.NOT_FOUND, "unknown service");
    return status;
  }

  #list() {
    if (this.#statuses.size > listedMax) {
      const text = `server health list exceeds maximum capacity: ${listedMax}`;
      throw new StatusError(Status.RESOURCE_EXHAUSTED, text);
    }
    const statuses: Record<string, { status: 0 | 1 | 2 | 3 }> = {};
    for (const [service, status] of this.#statuses) statuses[service] = { status: toWire(status) };
    return { statuses };
  }

  /** The status now and after every change; several changes in a row may be told as one. */
  async *#watch(service: string, context: CallContext) {
    let told: ServingStatus | undefined;
    while (!context.signal.aborted) {
      const status = this.#statuses.get(service) ?? "SERVICE_UNKNOWN";
      if (status !== told) {
        told = status;
        yield { status: toWire(status) };
      } else {
        await this.#nextChange(service, context.signal);
      }
    }
  }

  #nextChange(service: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const watchers = this.#watchers.get(service) ?? new Set();
      this.#watchers.set(service, watchers);
      const done = () => {
        watchers.delete(done);
        if (watchers.size === 0 && this.#watchers.get(service) === watchers) {
          this.#watchers.delete(service);
        }
        signal.removeEventListener("abort", done);
        resolve();
      };
      watchers.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #tell(service: string): void {
    for (const watcher of [...(this.#watchers.get(service) ?? [])]) watcher();
  }
}

const wireStatus = { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;

function toWire(status: ServingStatus): 0 | 1 | 2 | 3 {
  return wireStatus[status];
}
