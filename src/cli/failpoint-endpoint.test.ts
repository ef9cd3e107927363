import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { failpointNames, failpoints } from "../base/failpoint.ts";
import { serveFailpoints } from "./failpoint-endpoint.ts";

let deaths = 0;
let url = "";

beforeEach(async () => {
  deaths = 0;
  const address = `127.0.0.1:${await freePort()}`;
  url = `http://${address}`;
  const environment = { GOFAIL_HTTP: address, GOFAIL_FAILPOINTS: 'afterCommit=sleep("5ms")' };
  await serveFailpoints(environment, { die: () => deaths++, write: () => {} });
});
afterEach(() => {
  for (const name of failpointNames) failpoints[name] = undefined;
});

const ask = async (path: string, method = "GET", body?: string) => {
  const response = await fetch(`${url}/${path}`, { method, ...(body ? { body } : {}) });
  return { status: response.status, text: await response.text() };
};

test("lists every point, with the terms of those that are on", async () => {
  const { status, text } = await ask("");
  expect(status).toBe(200);
  expect(text).toContain('afterCommit=sleep("5ms")\n');
  expect(text).toContain("raftBeforeSave=\n");
  expect(text.trim().split("\n")).toHaveLength(failpointNames.length);
});

test("switches a point on and off", async () => {
  expect((await ask("raftBeforeSave", "PUT", "panic")).status).toBe(204);
  expect((await ask("raftBeforeSave")).text).toBe("panic\n");
  failpoints.raftBeforeSave?.reachNow();
  expect(deaths).toBe(1);
  expect((await ask("raftBeforeSave/count")).text).toBe("1");
  expect((await ask("raftBeforeSave", "DELETE")).status).toBe(204);
  expect(failpoints.raftBeforeSave).toBeUndefined();
});

test("sleeps, as long as it was told and as often", async () => {
  await ask("walBeforeSync", "PUT", '1*sleep("60ms")');
  const startedMs = performance.now();
  await failpoints.walBeforeSync?.reach();
  expect(performance.now() - startedMs).toBeGreaterThan(55);
  await failpoints.walBeforeSync?.reach();
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  await ask("walBeforeSync", "PUT", "sleep(20)");
  failpoints.walBeforeSync?.reachNow();
  expect(performance.now() - startedMs).toBeGreaterThan(75);
});

test("hands the text of a return to the code", async () => {
  await ask("defragBeforeCopy", "PUT", 'return("no copy today")');
  expect(await failpoints.defragBeforeCopy?.reach()).toBe("no copy today");
});

test("refuses names and terms that it does not know", async () => {
  expect((await ask("someOtherPoint", "PUT", "panic")).status).toBe(404);
  expect((await ask("raftBeforeSave", "PUT", "explode")).status).toBe(404);
  expect((await ask("raftBeforeSave", "PUT", "sleep(soon)")).text).toContain("none of panic");
  expect((await ask("someOtherPoint", "DELETE")).status).toBe(404);
  expect((await ask("raftBeforeSave")).status).toBe(404);
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
