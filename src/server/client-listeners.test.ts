// The pages of a whole member over real sockets: every kind of address, with and without TLS.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import type { FlagName } from "../config/flag-table.ts";
import { buildServerConfig } from "../config/server-config.ts";
import { startServer } from "./start-server.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portal-listeners-"));
});

afterAll(() => rm(folder, { recursive: true }));

async function startWith(flags: Partial<Record<FlagName, string>>) {
  const texts = new Map(Object.entries({ "data-dir": folder, ...flags }) as [FlagName, string][]);
  const { config } = buildServerConfig("portal", texts);
  return startServer(config, silentLogger, { memory: true });
}

/** Status and body of a GET over HTTP/1.1. */
function get(url: string, options: https.RequestOptions = {}): Promise<[number, string]> {
  const get = url.startsWith("https:") ? https.get : http.get;
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, ...options }, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve([response.statusCode ?? 0, body]));
    });
    request.on("error", reject);
  });
}

test("one port serves gRPC and the pages, and a free one is told", async () => {
  const server = await startWith({ "listen-client-urls": "http://127.0.0.1:0" });
  try {
    const url = server.clientUrls[0]!;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d+$/);
    expect(await get(`${url}/health`)).toEqual([200, '{"health":"true","reason":""}']);
    expect(await get(`${url}/readyz?exclude=non_learner`)).toEqual([200, "ok\n"]);
    const [status, metrics] = await get(`${url}/metrics`);
    expect(status).toBe(200);
    for (const name of ["etcd_server_has_leader 1", "etcd_mvcc_put_total", "process_cpu_seconds"]) {
      expect(metrics).toContain(name);
    }
    expect(metrics).toMatch(/grpc_server_started_total\{grpc_method="Put"/);
  } finally {
    await server.close();
  }
});

test("TLS with a self-made certificate, and pages on an address of their own", async () => {
  const socket = join(folder, "pages.sock");
  const server = await startWith({
    "listen-client-urls": "https://127.0.0.1:0",
    "listen-client-http-urls": `unix://${socket}`,
    "auto-tls": "true",
  });
  try {
    const ca = await readFile(join(folder, "fixtures", "client", "cert.pem"));
    const url = server.clientUrls[0]!;
    expect(await get(`${url}/version`, { ca })).toEqual([404, "404 page not found\n"]);
    expect(await get("http://localhost/livez", { socketPath: socket })).toEqual([200, "ok\n"]);
    await expect(get(`${url}/version`)).rejects.toThrow(/self-signed|certificate/);
  } finally {
    await server.close();
  }
});

test("a taken address ends the start, and a socket in use stays in use", async () => {
  const path = join(folder, "taken.sock");
  const owner = createServer((socket) => socket.on("error", () => undefined).end("mine"));
  await new Promise<void>((resolve) => owner.listen(path, resolve));
  await expect(startWith({ "listen-client-urls": `unix://${path}` })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  await new Promise((resolve) => owner.close(resolve));
});
