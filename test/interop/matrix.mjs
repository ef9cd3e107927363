// Every client against every server: ours, @grpc/grpc-js and @connectrpc/connect-node, over the four
// kinds of method, metadata, errors, deadlines and cancellation.

import assert from "node:assert/strict";
import { join } from "node:path";
import { buildProgram } from "./programs/build.mjs";
import { Score } from "./programs/judge.mjs";
import { connectNode, grpcJs, ours } from "./programs/matrix-peers.mjs";

const program = buildProgram("grpc-test-server");
const build = join(program, "../../../..");
const peers = { ours: await ours(build), "grpc-js": grpcJs(), "connect-node": connectNode() };

const payload = (size) => ({ body: new Uint8Array(size) });
const sizes = [31_415, 9, 2_653, 58_979];
const codes = { canceled: 1, deadlineExceeded: 4, notFound: 5 };

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("the call did not fail");
}

const cases = {
  async unary(client) {
    const { response } = await client.unary({ responseSize: 314_159, payload: payload(271_828) });
    assert.equal(response.payload.body.length, 314_159);
  },
  async "empty messages"(client) {
    const { response } = await client.unary({});
    assert.equal(response.payload?.body.length ?? 0, 0);
  },
  async "client stream"(client) {
    const response = await client.clientStream(sizes.map((size) => ({ payload: payload(size) })));
    assert.equal(response.aggregatedPayloadSize, 93_056);
  },
  async "server stream"(client) {
    const seen = [];
    const request = { responseParameters: sizes.map((size) => ({ size })) };
    for await (const reply of client.serverStream(request)) seen.push(reply.payload.body.length);
    assert.deepEqual(seen, sizes);
  },
  async "bidi stream, in turn"(client) {
    let next = () => {};
    const requests = (async function* () {
      for (const size of sizes) {
        const answered = new Promise((resolve) => {
          next = resolve;
        });
        yield { responseParameters: [{ size }], payload: payload(size) };
        await answered;
      }
    })();
    const seen = [];
    for await (const reply of client.bidi(requests)) {
      seen.push(reply.payload.body.length);
      next();
    }
    assert.deepEqual(seen, sizes);
  },
  async metadata(client) {
    const trailing = new Uint8Array([0xab, 0, 0xff, 0x2c]);
    const { seen } = await client.unary({}, { initial: "one, two", trailing });
    assert.equal(seen.initial, "one, two");
    assert.deepEqual([...(seen.trailing ?? [])], [...trailing]);
  },
  async error(client) {
    // No colon: connect-node escapes it and grpc-js does not undo that.
    const message = "not here 100% ☃\t\r\n";
    const responseStatus = { code: codes.notFound, message };
    const error = await failure(client.unary({ responseStatus }));
    assert.deepEqual([error.code, error.message], [codes.notFound, message]);
  },
  async deadline(client) {
    const request = { responseParameters: [{ size: 1, intervalUs: 400_000 }] };
    const replies = client.serverStream(request, { timeoutMs: 80 });
    const error = await failure(replies[Symbol.asyncIterator]().next());
    assert.equal(error.code, codes.deadlineExceeded);
  },
  async cancel(client, server) {
    const before = server.cancelled();
    const abort = new AbortController();
    const request = {
      responseParameters: [{ size: 1 }, ...new Array(9).fill({ size: 1, intervalUs: 100_000 })],
    };
    const replies = client.serverStream(request, { signal: abort.signal })[Symbol.asyncIterator]();
    await replies.next();
    abort.abort();
    assert.equal((await failure(replies.next())).code, codes.canceled);
    for (let tries = 0; tries < 100 && server.cancelled() === before; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(server.cancelled(), before + 1, "the handler heard nothing of the cancel");
  },
};

const score = new Score();
for (const [serverName, serverPeer] of Object.entries(peers)) {
  const server = await serverPeer.startServer();
  for (const [clientName, clientPeer] of Object.entries(peers)) {
    const client = clientPeer.openClient(server.port);
    for (const [name, run] of Object.entries(cases)) {
      const error = await run(client, server).then(
        () => undefined,
        (reason) => reason,
      );
      const text = error instanceof Error ? error.stack : JSON.stringify(error);
      score.add(`${clientName} -> ${serverName}: ${name}`, error === undefined, text);
    }
    await client.close();
  }
  await server.close();
}
score.finish();
process.exit();
