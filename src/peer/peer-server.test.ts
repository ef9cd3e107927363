import http from "node:http";
import { afterEach, expect, test } from "vitest";
import { type Message, MessageType } from "../raft/message.ts";
import { messageSize, writeMessage } from "./message-codec.ts";
import { aMessage } from "./testing/any-message.ts";
import { startMember, type TestMember } from "./testing/rig.ts";

const members: TestMember[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.close()));
});

async function startOne(options = {}): Promise<TestMember> {
  const member = await startMember(1n, options);
  member.transport.addPeer(2n, ["http://127.0.0.1:1"]);
  member.handler.removed.add(9n);
  members.push(member);
  return member;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
}

const good = {
  "X-Server-From": "2",
  "X-Server-Version": "3.7.3",
  "X-Min-Cluster-Version": "3.0.0",
  "X-Etcd-Cluster-ID": "c1",
  "X-Raft-To": "1",
};

function ask(
  member: TestMember,
  method: string,
  path: string,
  headers: Record<string, string> = good,
  body?: Buffer,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false };
    const request = http.request(`${member.url}${path}`, options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("error", reject);
      const { statusCode: status = 0, headers: answered } = response;
      response.on("end", () => resolve({ status, body: text, headers: answered }));
      const isStream = status === 200 && path.startsWith("/raft/stream/");
      if (isStream) {
        request.destroy();
        resolve({ status, body: "", headers: answered });
      }
    });
    request.on("error", reject);
    request.end(body);
  });
}

function encoded(message: Message): Buffer {
  const bytes = Buffer.alloc(messageSize(message));
  writeMessage(bytes, 0, message);
  return bytes;
}

const beat = (fields: Partial<Message>): Buffer =>
  encoded(aMessage({ type: MessageType.heartbeat, from: 2n, to: 1n, ...fields }));

test("streams: each check has its status and text", async () => {
  const member = await startOne();
  const stream = (headers: Record<string, string>, path = "/raft/stream/message/2") =>
    ask(member, "GET", path, { ...good, ...headers });
  const told = async (answer: Promise<Answer>) => [(await answer).status, (await answer).body];

  const opened = await stream({});
  expect(opened.status).toBe(200);
  expect(opened.headers["x-server-version"]).toBe("3.7.3");
  expect(opened.headers["x-etcd-cluster-id"]).toBe("c1");
  expect((await stream({}, "/raft/stream/msgapp/2")).status).toBe(200);

  const mismatch = [412, "cluster ID mismatch\n"];
  expect(await told(stream({ "X-Etcd-Cluster-ID": "c2" }))).toEqual(mismatch);
  const incompatible = [412, "incompatible version\n"];
  expect(await told(stream({ "X-Server-Version": "2.3.8" }))).toEqual(incompatible);
  expect(await told(stream({ "X-Server-Version": "" }))).toEqual(incompatible);
  expect(await told(stream({ "X-Server-Version": "latest" }))).toEqual(incompatible);
  expect(await told(stream({ "X-Min-Cluster-Version": "3.8.0" }))).toEqual(incompatible);
  expect((await stream({ "X-Min-Cluster-Version": "3.7.0" })).status).toBe(200);
  expect(await told(stream({ "X-Raft-To": "5" }))).toEqual([412, "to field mismatch\n"]);
  expect(await told(stream({}, "/raft/stream/other/2"))).toEqual([404, "invalid path\n"]);
  expect(await told(stream({}, "/raft/stream/message/xyz"))).toEqual([404, "invalid from\n"]);
  expect(await told(stream({}, `/raft/stream/message/1${"0".repeat(16)}`))).toEqual([
    404,
    "invalid from\n",
  ]);
  const unknown = [404, "error sender not found\n"];
  expect(await told(stream({}, "/raft/stream/message/7"))).toEqual(unknown);
  expect(await told(stream({}, "/raft/stream/message/9"))).toEqual([410, "removed member\n"]);
  const posted = await ask(member, "POST", "/raft/stream/message/2");
  expect([posted.status, posted.headers.allow]).toEqual([405, "GET"]);
});

test("posted messages: each check has its status and text", async () => {
  const member = await startOne({ limits: { messageBytesMax: 1000 } });
  const post = (body: Buffer, headers = {}) =>
    ask(member, "POST", "/raft", { ...good, ...headers }, body);

  expect((await post(beat({ commit: 4 }))).status).toBe(204);
  expect(member.handler.messages.map(({ commit }) => commit)).toEqual([4]);
  const removed = await post(beat({ from: 9n }));
  expect(removed.status).toBe(403);
  expect(JSON.parse(removed.body)).toEqual({
    message: "cannot process message from removed member",
  });
  expect((await post(beat({ to: 4n }))).status).toBe(412);
  expect((await post(beat({}), { "X-Etcd-Cluster-ID": "f" })).body).toBe("cluster ID mismatch\n");
  const nonsense = await post(Buffer.from("nonsense"));
  expect([nonsense.status, nonsense.body]).toEqual([400, "error unmarshalling raft message\n"]);
  const long = beat({ context: Buffer.alloc(2000) });
  expect((await post(long)).status).toBe(400);
  expect((await post(long, { "Transfer-Encoding": "chunked" })).status).toBe(400);
  const got = await ask(member, "GET", "/raft");
  expect([got.status, got.headers.allow]).toEqual([405, "POST"]);
  expect(member.handler.messages.length).toBe(1);
});

test("probes say the time; other paths under /raft are not found", async () => {
  const member = await startOne();
  const probe = await ask(member, "GET", "/raft/probing", {});
  expect(probe.status).toBe(200);
  const { OK, Now } = JSON.parse(probe.body) as { OK: boolean; Now: string };
  expect(OK).toBe(true);
  expect(Math.abs(Date.parse(Now) - Date.now())).toBeLessThan(5000);
  expect((await ask(member, "GET", "/raft/what")).status).toBe(404);
});

test("all other paths go to the page, with their body", async () => {
  const member = await startOne({
    page: ({ method, path, query, body, secure }: Record<string, unknown>) => ({
      status: path === "/fails" ? Number.NaN : 201,
      headers: { "X-Page": "yes" },
      body: `${method} ${path} ${(query as URLSearchParams).get("q")} ${body} ${secure}`,
    }),
  });
  const answer = await ask(member, "POST", "/leases?q=1", {}, Buffer.from("body"));
  expect([answer.status, answer.headers["x-page"]]).toEqual([201, "yes"]);
  expect(answer.body).toBe("POST /leases 1 body false");
  expect((await ask(member, "POST", "/leases", {}, Buffer.alloc(5 << 20))).status).toBe(413);
  const bare = await startOne();
  expect((await ask(bare, "GET", "/rafter")).status).toBe(404);
});

test("before the member has started, peers are put off", async () => {
  const member = await startOne();
  const { server } = member.listener;
  member.listener.server = undefined;
  expect((await ask(member, "GET", "/raft/probing")).status).toBe(503);
  member.listener.server = server;
  await member.transport.close();
  expect((await ask(member, "GET", "/raft/probing")).status).toBe(503);
});
