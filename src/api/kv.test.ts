// The KV service under requests that no well-meaning client sends: each gets one clear answer.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Status } from "../base/status.ts";
import { MemberWorld } from "../node/testing/member-world.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { RawUnaryCall, RawUnaryHandler } from "../rpc/grpc/types.ts";
import { EtcdErrors } from "../wire/errors.ts";
import { RangeRequest, RangeResponse, TxnRequest } from "../wire/generated/rpc.ts";
import { KvService } from "./kv.ts";

let world: MemberWorld;
const handlers = new Map<string, RawUnaryHandler>();

beforeEach(async () => {
  world = new MemberWorld();
  const replica = await world.open();
  const server = {
    addRawUnary: (path: string, handler: RawUnaryHandler) => handlers.set(path, handler),
    addRawStream: () => {},
  };
  const options = { maxTxnOps: 128, maxRequestBytes: world.options.maxRequestBytes };
  new KvService(replica, options).register(server as unknown as GrpcServer);
  for (const key of ["a", "b", "c"]) await world.put(key, "1");
});

afterEach(async () => {
  await world.close();
});

type Answer = { readonly reply: Buffer } | { readonly code: number; readonly message: string };

function call(name: string, request: Uint8Array): Promise<Answer> {
  return new Promise((resolve) => {
    const unary = {
      cancelled: false,
      reply: (source: Uint8Array, start: number, end: number) =>
        resolve({ reply: Buffer.from(source.slice(start, end)) }),
      fail: (code: number, message: string) => resolve({ code, message }),
    };
    const message = Buffer.from(request);
    const handler = handlers.get(`/etcdserverpb.KV/${name}`) as RawUnaryHandler;
    handler(unary as unknown as RawUnaryCall, message, 0, message.length);
  });
}

/** A transaction that holds another one, `depth` times over. */
function nested(depth: number): Buffer {
  let inner = Buffer.from([0x12, 0x07, 0x12, 0x05, 0x0a, 0x01, 0x6b, 0x12, 0x00]);
  for (let i = 0; i < depth; i++) inner = field(2, field(4, inner));
  return inner;
}

function field(number: number, bytes: Uint8Array): Buffer<ArrayBuffer> {
  const head = [number * 8 + 2];
  let length = bytes.length;
  for (; length >= 0x80; length >>>= 7) head.push((length & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, length]), bytes]);
}

const { tooManyOperations, futureRevision, requestTooLarge } = EtcdErrors;

describe("hostile requests", () => {
  it("nest as deeply as operations are allowed, and no deeper", async () => {
    expect(await call("Txn", nested(126))).toHaveProperty("reply");
    expect(await call("Txn", nested(128))).toEqual(tooManyOperations);
    for (const depth of [300, 5000]) {
      expect(await call("Txn", nested(depth))).toMatchObject({ code: Status.INTERNAL });
    }
  });

  it("may hold a hundred thousand operations", async () => {
    const success = Array.from({ length: 100_000 }, () => ({}));
    const txn = TxnRequest.encode(TxnRequest.fromPartial({ success })).finish();
    expect(await call("Txn", txn)).toEqual(tooManyOperations);
  });

  it("may hold any int64", async () => {
    const int64Max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    const int64Min = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    const all = [0x0a, 0x01, 0x61, 0x12, 0x01, 0x7a];
    for (const limit of [int64Max, int64Min]) {
      const answer = await call("Range", Buffer.from([...all, 0x18, ...limit]));
      expect("reply" in answer && RangeResponse.decode(answer.reply).kvs).toHaveLength(3);
    }
    expect(await call("Range", Buffer.from([...all, 0x20, ...int64Max]))).toEqual(futureRevision);
    expect(await call("Range", Buffer.from([...all, 0x20, ...int64Min]))).toHaveProperty("reply");
    expect(await call("Compact", Buffer.from([0x08, ...int64Max]))).toEqual(futureRevision);
    expect(await call("Compact", Buffer.from([0x08, ...int64Min]))).toEqual(EtcdErrors.compacted);
  });

  it("that can not be read are refused as such by every method", async () => {
    const broken = [[0xff], [0x0a, 0x05, 0x01], [0x0a, ...Array(11).fill(0xff)], [0x80]];
    for (const name of ["Put", "Range", "DeleteRange", "Txn", "Compact"]) {
      for (const request of broken) {
        const answer = await call(name, Buffer.from(request));
        expect(answer).toMatchObject({
          code: Status.INTERNAL,
          message: expect.stringContaining("grpc: error unmarshalling request: "),
        });
      }
    }
  });

  it("that are too large are refused", async () => {
    const value = Buffer.alloc(world.options.maxRequestBytes + 1);
    expect(await call("Put", Buffer.concat([field(1, Buffer.from("k")), field(2, value)]))).toEqual(
      requestTooLarge,
    );
  });

  it("may ask for keys that are no text", async () => {
    const key = Buffer.from([0xff, 0xc0, 0x00]);
    expect(await call("Put", field(1, key))).toHaveProperty("reply");
    const request = RangeRequest.encode(RangeRequest.fromPartial({ key })).finish();
    const answer = await call("Range", request);
    const kvs = "reply" in answer ? RangeResponse.decode(answer.reply).kvs : [];
    expect(kvs.map((kv) => Buffer.from(kv.key))).toEqual([key]);
  });
});
