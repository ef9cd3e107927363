// The bytes that etcdctl 3.7.3 prints for the same results.

import { createColors } from "picocolors";
import { describe, expect, test } from "vitest";
import { KeyValue } from "../../client/key-value.ts";
import { createPrinter } from "./create-printer.ts";
import { goJson } from "./go-json.ts";
import { PLAIN_RANGE } from "./printer.ts";

const header = {
  clusterId: 10144879847569953045n,
  memberId: 12428976124636271536n,
  revision: 9,
  raftTerm: 2,
};

const kv = new KeyValue({
  key: Buffer.from("a"),
  value: Buffer.from("<1>"),
  createRevision: 8,
  modRevision: 9,
  version: 2,
  lease: 0n,
});

const range = { header, revision: 9, kvs: [kv], count: 1, more: false };
const colors = createColors(false);

const printed = async (
  format: "simple" | "json" | "fields" | "table",
  print: (printer: Awaited<ReturnType<typeof createPrinter>>) => string | Uint8Array,
  hex = false,
) => Buffer.from(print(await createPrinter(format, { hex, colors }))).toString();

describe("simple", () => {
  test("get", async () => {
    expect(await printed("simple", (p) => p.range(range, PLAIN_RANGE))).toBe("a\n<1>\n");
    expect(await printed("simple", (p) => p.range(range, PLAIN_RANGE), true)).toBe(
      "\\x61\n\\x3c\\x31\\x3e\n",
    );
    const valueOnly = { valueOnly: true, countOnly: false };
    expect(await printed("simple", (p) => p.range(range, valueOnly))).toBe("<1>\n");
  });

  test("bytes pass unchanged", async () => {
    const printer = await createPrinter("simple", { hex: false, colors });
    const raw = new KeyValue({ ...kv, value: Uint8Array.of(0xff, 0x00) } as never);
    const output = printer.range({ ...range, kvs: [raw] }, PLAIN_RANGE);
    expect([...(output as Uint8Array)]).toEqual([0x61, 10, 0xff, 0x00, 10]);
  });

  test("txn", async () => {
    const put = { header, revision: 9, previous: undefined };
    const report = {
      header,
      succeeded: false,
      steps: [
        { kind: "put", result: put },
        { kind: "range", result: range },
        { kind: "delete", result: { header, revision: 9, deleted: 0, previous: [] } },
      ],
    } as const;
    expect(await printed("simple", (p) => p.txn(report))).toBe("FAILURE\n\nOK\n\na\n<1>\n\n0\n");
  });

  test("leases", async () => {
    const result = { header, id: 0x123n, ttlSeconds: 99, grantedTtlSeconds: 100 };
    const keys = [Buffer.from("x"), Buffer.from("y")];
    expect(
      await printed("simple", (p) => p.leaseTimeToLive({ ...result, keys }, { keys: true })),
    ).toBe("lease 0000000000000123 granted with TTL(100s), remaining(99s), attached keys([x y])\n");
    const gone = { ...result, ttlSeconds: -1, grantedTtlSeconds: 0, keys: [] };
    expect(await printed("simple", (p) => p.leaseTimeToLive(gone, { keys: false }))).toBe(
      "lease 0000000000000123 already expired\n",
    );
  });
});

test("json", async () => {
  expect(await printed("json", (p) => p.range(range, PLAIN_RANGE))).toBe(
    '{"header":{"cluster_id":10144879847569953045,"member_id":12428976124636271536,"revision":9,' +
      '"raft_term":2},"kvs":[{"key":"YQ==","create_revision":8,"mod_revision":9,"version":2,' +
      '"value":"PDE+"}],"count":1}\n',
  );
  expect(goJson({ text: "<&>\u2028é", gone: undefined, none: null })).toBe(
    '{"text":"\\u003c\\u0026\\u003e\\u2028é","none":null}',
  );
});

test("fields", async () => {
  expect(await printed("fields", (p) => p.range(range, PLAIN_RANGE))).toBe(
    [
      '"ClusterID" : 10144879847569953045',
      '"MemberID" : 12428976124636271536',
      '"Revision" : 9',
      '"RaftTerm" : 2',
      '"Key" : "a"',
      '"CreateRevision" : 8',
      '"ModRevision" : 9',
      '"Version" : 2',
      '"Value" : "<1>"',
      '"Lease" : 0',
      '"More" : false',
      '"Count" : 1',
      "",
    ].join("\n"),
  );
});

test("table", async () => {
  const output = await printed("table", (p) => p.range(range, PLAIN_RANGE));
  expect(output).toContain("│ KEY │ VALUE │ CREATED │ MODIFIED │ VERSION │ LEASE │");
  expect(output).toContain("│ a   │ <1>   │       8 │        9 │       2 │       │");
  const nasty = new KeyValue({ ...kv, value: Buffer.from("\x1b[31m") } as never);
  const tamed = await printed("table", (p) => p.range({ ...range, kvs: [nasty] }, PLAIN_RANGE));
  expect(tamed).toContain("\\x1b[31m");
});
