// /health, /livez and /readyz with etcd's bodies: whether this member can be used, and what is wrong
// when it can not.

import { Counter } from "../base/instruments.ts";
import type { Logger } from "../base/log.ts";
import { getOnly, type Page, type PageReply, reply, textReply } from "./http-page.ts";
import type { MetricRegistry, Sample } from "./metrics.ts";

/** What the checks ask of the member. */
export interface HealthSource {
  /** Names of the raised alarms: "NOSPACE", "CORRUPT". */
  alarms(): readonly string[];
  hasLeader(): boolean;
  isLearner(): boolean;
  /** Reads a key; rejects with the reason why that fails. */
  read(serializable: boolean): Promise<void>;
}

type Check = (source: HealthSource) => Promise<void> | void;

const serializableRead: Check = (source) => source.read(true);

const checks: Readonly<Record<"livez" | "readyz", Readonly<Record<string, Check>>>> = {
  livez: { serializable_read: serializableRead },
  readyz: {
    data_corruption(source) {
      if (source.alarms().includes("CORRUPT")) throw new Error("alarm activated: CORRUPT");
    },
    serializable_read: serializableRead,
    linearizable_read: (source) => source.read(false),
    non_learner(source) {
      if (source.isLearner()) throw new Error("not supported for learner");
    },
  },
};

export class HealthPages {
  readonly #source: HealthSource;
  readonly #log: Logger;
  readonly #succeeded = new Counter();
  readonly #failed = new Counter();
  /** By "type/name": how often each check ended how, and how it ended last. */
  readonly #results = new Map<string, { success: number; error: number; last: number }>();

  constructor(source: HealthSource, log: Logger) {
    this.#source = source;
    this.#log = log;
  }

  /** The pages by their paths. */
  pages(): ReadonlyMap<string, Page> {
    const pages = new Map<string, Page>();
    pages.set(
      "/health",
      getOnly((request) => this.#health(request.query)),
    );
    for (const type of ["livez", "readyz"] as const) {
      const names = Object.keys(checks[type]);
      pages.set(
        `/${type}`,
        getOnly((request) => {
          const excluded = new Set(request.query.getAll("exclude"));
          const wanted = names.filter((name) => !excluded.has(name));
          return this.#run(type, wanted, request.query);
        }),
      );
      for (const name of names) {
        pages.set(
          `/${type}/${name}`,
          getOnly((request) => this.#run(type, [name], request.query)),
        );
      }
    }
    return pages;
  }

  register(registry: MetricRegistry): void {
    registry.counter(
      "etcd_server_health_success",
      "The total number of successful health checks",
      () => this.#succeeded.value,
    );
    registry.counter(
      "etcd_server_health_failures",
      "The total number of failed health checks",
      () => this.#failed.value,
    );
    registry.labelled("gauge", "etcd_server_healthcheck", "Last result of each check.", () =>
      this.#samples((labels, result) => [[labels, result.last]]),
    );
    registry.labelled("counter", "etcd_server_healthchecks_total", "Checks made, by result.", () =>
      this.#samples((labels, result) => [
        [{ ...labels, status: "success" }, result.success],
        [{ ...labels, status: "error" }, result.error],
      ]),
    );
  }

  async #health(query: URLSearchParams): Promise<PageReply> {
    const reason = await this.#unhealthyReason(query);
    const body = JSON.stringify({ health: String(reason === ""), reason });
    if (reason === "") {
      this.#succeeded.value++;
      return reply(200, body);
    }
    this.#failed.value++;
    this.#log.warn("/health error", { output: body, "status-code": 503 });
    return textReply(503, body);
  }

  /** Empty when all is well. */
  async #unhealthyReason(query: URLSearchParams): Promise<string> {
    const excluded = new Set(query.getAll("exclude"));
    const alarm = this.#source.alarms().find((name) => !excluded.has(name));
    if (alarm !== undefined) return `ALARM ${alarm}`;
    const serializable = query.get("serializable") === "true";
    if (!serializable && !this.#source.hasLeader()) return "RAFT NO LEADER";
    try {
      await this.#source.read(serializable);
      return "";
    } catch (error) {
      return `RANGE ERROR:${error instanceof Error ? error.message : String(error)}`;
    }
  }

  async #run(
    type: "livez" | "readyz",
    names: readonly string[],
    query: URLSearchParams,
  ): Promise<PageReply> {
    let details = "";
    let allWell = true;
    for (const name of names) {
      const failure = await this.#failureOf(type, name);
      allWell &&= failure === undefined;
      details += failure === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${failure}\n`;
    }
    if (!allWell) {
      const path = `/${type}`;
      this.#log.error("Health check error", { path, reason: details, "status-code": 503 });
      return textReply(503, details);
    }
    return textReply(200, query.has("verbose") ? `${details}ok` : "ok");
  }

  async #failureOf(type: "livez" | "readyz", name: string): Promise<string | undefined> {
    const key = `${type}/${name}`;
    const result = this.#results.get(key) ?? { success: 0, error: 0, last: 0 };
    this.#results.set(key, result);
    try {
      await checks[type][name]!(this.#source);
      result.success++;
      result.last = 1;
      return undefined;
    } catch (error) {
      result.error++;
      result.last = 0;
      return error instanceof Error ? error.message : String(error);
    }
  }

  *#samples(
    read: (
      labels: { readonly type: string; readonly name: string },
      result: { readonly success: number; readonly error: number; readonly last: number },
    ) => Iterable<Sample>,
  ): Iterable<Sample> {
    for (const [key, result] of this.#results) {
      const [type = "", name = ""] = key.split("/");
      yield* read({ type, name }, result);
    }
  }
}
