// The pages beside gRPC: health, version and metrics, with etcd's rules about who may ask (hosts,
// browsers from elsewhere). Knows no sockets: requests and replies are plain values.

import type { Logger } from "../base/log.ts";
import { HealthPages, type HealthSource } from "./health-pages.ts";
import {
  getOnly,
  notFound,
  type Page,
  type PageReply,
  type PageRequest,
  reply,
  textReply,
} from "./http-page.ts";
import { type MetricRegistry, metricsContentType } from "./metrics.ts";

export interface Versions {
  readonly server: string;
  /** "not_decided" until the cluster has agreed on one. */
  readonly cluster: string;
  readonly storage: string;
}

export interface HttpPagesOptions {
  readonly health: HealthSource;
  readonly registry: MetricRegistry;
  readonly versions: () => Versions;
  readonly log: Logger;
  /** Origins that browsers may send requests from; "*" for all. */
  readonly corsOrigins: readonly string[];
  /** Host names that requests without TLS may use; "*" or none for all. */
  readonly hostWhitelist: readonly string[];
}

export class HttpPages {
  readonly #options: HttpPagesOptions;
  readonly #clientPages: ReadonlyMap<string, Page>;
  readonly #metricsPages: ReadonlyMap<string, Page>;

  constructor(options: HttpPagesOptions) {
    this.#options = options;
    const health = new HealthPages(options.health, options.log);
    health.register(options.registry);
    const metricsPage = () => reply(200, options.registry.expose(), metricsContentType);
    this.#metricsPages = new Map([...health.pages(), ["/metrics", metricsPage]]);
    this.#clientPages = new Map([
      ...this.#metricsPages,
      ["/version", getOnly(() => this.#version())],
    ]);
  }

  /** For the addresses of clients. */
  readonly client = async (request: PageRequest): Promise<PageReply> => {
    const { log } = this.#options;
    const host = hostName(request.headers.host ?? request.headers[":authority"] ?? "");
    if (!request.secure && !allows(this.#options.hostWhitelist, host)) {
      log.warn("rejecting HTTP request to prevent DNS rebinding attacks", { host });
      return textReply(421, unknownHostText(host));
    }
    const cors = this.#corsHeaders(request.headers.origin);
    if (request.method === "OPTIONS") return { status: 200, headers: cors, body: "" };
    const page = await serve(this.#clientPages, request);
    return { ...page, headers: { ...cors, ...page.headers } };
  };

  /** For --listen-metrics-urls: metrics and health only. */
  readonly metrics = (request: PageRequest): Promise<PageReply> =>
    serve(this.#metricsPages, request);

  #version(): PageReply {
    const { server, cluster, storage } = this.#options.versions();
    const body = JSON.stringify({ etcdserver: server, etcdcluster: cluster, storage });
    return reply(200, body, "application/json");
  }

  #corsHeaders(origin: string | undefined): Readonly<Record<string, string>> {
    const { corsOrigins } = this.#options;
    const allowed = corsOrigins.includes("*") ? "*" : origin;
    if (allowed === undefined || !allows(corsOrigins, allowed)) return {};
    return {
      "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
      "access-control-allow-origin": allowed,
      "access-control-allow-headers": "accept, content-type, authorization",
    };
  }
}

async function serve(pages: ReadonlyMap<string, Page>, request: PageRequest): Promise<PageReply> {
  const page = pages.get(request.path);
  return page === undefined ? notFound : page(request);
}

function allows(list: readonly string[], value: string): boolean {
  return list.length === 0 || list.includes("*") || list.includes(value);
}

/** "[::1]:2379" -> "::1". */
function hostName(authority: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(authority);
  return bracketed?.[1] ?? authority.replace(/:\d*$/, "");
}

function unknownHostText(host: string): string {
  return [
    `Portal got the request, but does not answer to the host name ${JSON.stringify(host)}.`,
    "",
    "Either use TLS, or allow the name:",
    `  --host-whitelist ${host}`,
    "",
    "This guards against DNS rebinding (CVE-2018-5702).",
  ].join("\n");
}
