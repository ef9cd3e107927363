import { expect, test } from "vitest";
import { Histogram } from "../base/instruments.ts";
import { silentLogger } from "../base/log.ts";
import type { HealthSource } from "./health-pages.ts";
import { HttpPages } from "./http.ts";
import { MetricRegistry } from "./metrics.ts";

class FakeHealth implements HealthSource {
  raised: string[] = [];
  leader = true;
  learner = false;
  failure: string | undefined;
  alarms() {
    return this.raised;
  }
  hasLeader() {
    return this.leader;
  }
  isLearner() {
    return this.learner;
  }
  async read(serializable: boolean) {
    if (this.failure !== undefined && !serializable) throw new Error(this.failure);
  }
}

function pagesWith(options: { cors?: string[]; hosts?: string[] } = {}) {
  const health = new FakeHealth();
  const registry = new MetricRegistry();
  const pages = new HttpPages({
    health,
    registry,
    versions: () => ({ server: "3.7.3", cluster: "3.7.0", storage: "3.7.0" }),
    log: silentLogger,
    corsOrigins: options.cors ?? ["*"],
    hostWhitelist: options.hosts ?? ["*"],
  });
  const ask = (
    url: string,
    more: { method?: string; headers?: Record<string, string>; secure?: boolean } = {},
  ) => {
    const [path = "", query = ""] = url.split("?");
    return pages.client({
      method: more.method ?? "GET",
      path,
      query: new URLSearchParams(query),
      headers: more.headers ?? { host: "localhost:2379" },
      secure: more.secure ?? false,
    });
  };
  return { health, registry, pages, ask };
}

test("bodies and types are etcd's when all is well", async () => {
  const { ask } = pagesWith();
  const healthy = { status: 200, body: '{"health":"true","reason":""}' };
  expect(await ask("/health")).toMatchObject(healthy);
  expect(await ask("/health?serializable=true")).toMatchObject(healthy);
  const version = await ask("/version");
  expect(version.body).toBe('{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0"}');
  expect(version.headers["content-type"]).toBe("application/json");
  expect(await ask("/livez")).toMatchObject({ status: 200, body: "ok\n" });
  expect((await ask("/livez?verbose")).body).toBe("[+]serializable_read ok\nok\n");
  expect((await ask("/readyz?verbose&exclude=non_learner")).body).toBe(
    "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n",
  );
  expect((await ask("/readyz/linearizable_read?verbose")).body).toBe(
    "[+]linearizable_read ok\nok\n",
  );
});

test("what is not there, and what is not allowed", async () => {
  const { ask, pages } = pagesWith();
  expect(await ask("/nope")).toMatchObject({ status: 404, body: "404 page not found\n" });
  expect(await ask("/livez/nope")).toMatchObject({ status: 404 });
  const refused = await ask("/health", { method: "POST" });
  expect(refused).toMatchObject({ status: 405, body: "Method Not Allowed\n" });
  expect(refused.headers.allow).toBe("GET");
  const request = { method: "GET", query: new URLSearchParams(), headers: {}, secure: false };
  expect((await pages.metrics({ ...request, path: "/version" })).status).toBe(404);
  expect((await pages.metrics({ ...request, path: "/health" })).status).toBe(200);
});

test("troubles show with etcd's words", async () => {
  const { health, ask } = pagesWith();
  health.raised = ["NOSPACE"];
  expect(await ask("/health")).toMatchObject({
    status: 503,
    body: '{"health":"false","reason":"ALARM NOSPACE"}\n',
  });
  expect((await ask("/health?exclude=NOSPACE")).status).toBe(200);
  expect((await ask("/readyz")).status).toBe(200);
  health.raised = ["CORRUPT"];
  expect((await ask("/readyz?exclude=linearizable_read")).body).toBe(
    "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n[+]non_learner ok\n\n",
  );
  health.raised = [];
  health.leader = false;
  expect((await ask("/health")).body).toContain("RAFT NO LEADER");
  expect((await ask("/health?serializable=true")).status).toBe(200);
  health.leader = true;
  health.failure = "etcdserver: request timed out";
  expect((await ask("/health")).body).toContain("RANGE ERROR:etcdserver: request timed out");
  expect((await ask("/livez")).status).toBe(200);
  expect((await ask("/readyz")).status).toBe(503);
});

test("hosts and origins are kept to what is allowed", async () => {
  const { ask } = pagesWith({ cors: ["http://good.example"], hosts: ["localhost"] });
  expect((await ask("/version")).status).toBe(200);
  expect((await ask("/version", { headers: { host: "evil.example" } })).status).toBe(421);
  const secure = await ask("/version", { headers: { host: "evil.example" }, secure: true });
  expect(secure.status).toBe(200);
  const origin = (name: string) =>
    ask("/version", { method: "OPTIONS", headers: { host: "localhost", origin: name } });
  expect((await origin("http://good.example")).headers["access-control-allow-origin"]).toBe(
    "http://good.example",
  );
  expect((await origin("http://bad.example")).headers).toEqual({});
});

test("metrics are in Prometheus' form", async () => {
  const { registry, ask } = pagesWith();
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0.5, 0.7, 3]) histogram.observe(value);
  registry.histogram("a_seconds", "Times.", histogram);
  registry.counter("b_total", "Things.", () => 7);
  registry.labelled("gauge", "c", "Named.", () => [[{ name: 'x"\\\n' }, 1]]);
  registry.labelled("gauge", "d", "Empty.", () => []);
  await ask("/livez");
  const page = await ask("/metrics");
  expect(page.headers["content-type"]).toContain("version=0.0.4");
  expect(page.body).toContain(
    [
      "# HELP a_seconds Times.",
      "# TYPE a_seconds histogram",
      'a_seconds_bucket{le="0.5"} 1',
      'a_seconds_bucket{le="1"} 2',
      'a_seconds_bucket{le="+Inf"} 3',
      "a_seconds_sum 4.2",
      "a_seconds_count 3",
      "# HELP b_total Things.",
      "# TYPE b_total counter",
      "b_total 7",
      "# HELP c Named.",
      "# TYPE c gauge",
      'c{name="x\\"\\\\\\n"} 1',
      "",
    ].join("\n"),
  );
  expect(page.body).not.toContain("# HELP d");
  expect(page.body).toContain(
    'etcd_server_healthchecks_total{type="livez",name="serializable_read",status="success"} 1',
  );
});
