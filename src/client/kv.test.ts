import { expect, test } from "vitest";
import { Status, StatusError } from "../base/status.ts";
import {
  CompactionResponse,
  type DeepPartial,
  PutResponse,
  RangeRequest,
  RangeResponse,
  type TxnRequest,
  TxnResponse,
} from "../wire/generated/rpc.ts";
import { compare } from "./compare.ts";
import { CompactedError } from "./errors.ts";
import { fakeTransport } from "./fake-transport.ts";
import { op } from "./operation.ts";
import { testClient } from "./test-client.ts";

const unavailable = () => new StatusError(Status.UNAVAILABLE, "connection reset");
const notSent = () => new StatusError(Status.UNAVAILABLE, "not sent: nobody there");

test("a read is tried again when nobody answers, a write only when it was surely not executed", async () => {
  let [reads, writes, refused] = [0, 0, 0];
  const transport = fakeTransport({
    kv: {
      range: async () => {
        if (++reads < 3) throw unavailable();
        return RangeResponse.fromPartial({});
      },
      put: async (request) => {
        if (Buffer.from(request.key as Uint8Array).toString() === "early") {
          if (++refused < 3) throw notSent();
          return PutResponse.fromPartial({ header: { revision: 7 } });
        }
        writes++;
        throw unavailable();
      },
    },
  });
  const { client } = testClient(transport);
  expect(await client.get("a")).toBeUndefined();
  expect(reads).toBe(3);
  await expect(client.put("a", "1")).rejects.toMatchObject({
    reason: "unavailable",
    notExecuted: false,
  });
  expect(writes).toBe(1);
  expect((await client.put("early", "1")).revision).toBe(7);
  expect(refused).toBe(3);
});

test("errors carry a stable reason", async () => {
  const transport = fakeTransport({
    kv: {
      range: async () => {
        throw new StatusError(
          Status.OUT_OF_RANGE,
          "etcdserver: mvcc: required revision has been compacted",
        );
      },
      put: async () => {
        throw new StatusError(Status.NOT_FOUND, "etcdserver: requested lease not found");
      },
    },
  });
  const { client } = testClient(transport);
  const failure = await client.get("a", { revision: 1 }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CompactedError);
  await expect(client.put("a", "1", { lease: 5n })).rejects.toMatchObject({
    reason: "leaseNotFound",
    code: Status.NOT_FOUND,
  });
});

test("pages come in order, all as of the revision of the first", async () => {
  const keys = Array.from({ length: 1_300 }, (_, index) => `k${String(index).padStart(5, "0")}`);
  const revisions: number[] = [];
  const transport = fakeTransport({
    kv: {
      range: async (partial) => {
        const request = RangeRequest.fromPartial(partial);
        revisions.push(request.revision);
        const from = Buffer.from(request.key).toString();
        const rest = keys.filter((key) => key >= from);
        const page = rest.slice(0, request.limit);
        return RangeResponse.fromPartial({
          header: { revision: 40 + revisions.length },
          kvs: page.map((key) => ({ key: Buffer.from(key), value: Buffer.alloc(400) })),
          more: page.length < rest.length,
          count: rest.length,
        });
      },
    },
  });
  const { client } = testClient(transport);
  const seen: string[] = [];
  for await (const kv of client.kv.scan({ prefix: "k" })) seen.push(kv.keyText);
  expect(seen).toEqual(keys);
  expect(revisions[0]).toBe(0);
  expect(new Set(revisions.slice(1))).toEqual(new Set([41]));
});

test("a transaction gives back the results of the branch that ran", async () => {
  let sent: DeepPartial<TxnRequest> = {};
  const transport = fakeTransport({
    kv: {
      txn: async (request) => {
        sent = request;
        return TxnResponse.fromPartial({
          succeeded: false,
          header: { revision: 3 },
          responses: [
            {
              response: {
                $case: "responseRange",
                value: { kvs: [{ key: Buffer.from("lock"), value: Buffer.from("you") }], count: 1 },
              },
            },
          ],
        });
      },
    },
  });
  const { client } = testClient(transport);
  const result = await client
    .txn()
    .when(compare.missing("lock"))
    .do(op.put("lock", "me"), op.delete({ prefix: "old/" }))
    .otherwise(op.get("lock"))
    .commit();
  expect(sent.compare).toHaveLength(1);
  expect(sent.success).toHaveLength(2);
  expect(result.succeeded).toBe(false);
  if (!result.succeeded) expect(result.results[0]?.text).toBe("you");
});

test("a stale token is replaced once", async () => {
  const tokens = ["old", "new"];
  const used: unknown[] = [];
  const transport = fakeTransport({
    kv: {
      compact: async (_request, options) => {
        const token = options?.metadata?.get("token");
        used.push(token);
        if (token !== "new") {
          throw new StatusError(Status.UNAUTHENTICATED, "etcdserver: invalid auth token");
        }
        return CompactionResponse.fromPartial({});
      },
    },
  });
  const { client } = testClient(transport, { token: async () => tokens.shift() ?? "none" });
  await client.kv.compact(5);
  expect(used).toEqual(["old", "new"]);
});

test("a call ends with its signal even while it waits to try again", async () => {
  const transport = fakeTransport({ kv: { range: () => Promise.reject(unavailable()) } });
  const { client } = testClient(transport);
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(client.get("a", { signal })).rejects.toMatchObject({ reason: "canceled" });
});
