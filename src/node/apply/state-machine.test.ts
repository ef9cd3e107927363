// What commands do once they are applied: transactions, leases, alarms, compaction, and requests that no
// client should send.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Status } from "../../base/status.ts";
import { EtcdErrors } from "../../wire/errors.ts";
import { AlarmRequest, AlarmResponse, TxnRequest } from "../../wire/generated/rpc.ts";
import { CommandField } from "../replica-types.ts";
import {
  bytes,
  MemberWorld,
  Outcomes,
  proposeAll,
  putCommand,
  turns,
} from "../testing/member-world.ts";
import { runReadOnlyTxn } from "./txn.ts";

let world: MemberWorld;

beforeEach(async () => {
  world = new MemberWorld();
  await world.open();
});

afterEach(async () => {
  await world.close();
});

type Txn = Parameters<typeof TxnRequest.fromPartial>[0];
type Compare = NonNullable<Txn["compare"]>[number];
type Operation = NonNullable<Txn["success"]>[number];

const put = (key: string, value: string, more: object = {}): Operation => ({
  request: { $case: "requestPut", value: { key: bytes(key), value: bytes(value), ...more } },
});
const range = (key: string, more: object = {}): Operation => ({
  request: { $case: "requestRange", value: { key: bytes(key), ...more } },
});
const remove = (key: string, more: object = {}): Operation => ({
  request: { $case: "requestDeleteRange", value: { key: bytes(key), ...more } },
});
const nested = (txn: Txn): Operation => ({ request: { $case: "requestTxn", value: txn } });

const results = { "=": 0, ">": 1, "<": 2, "!=": 3 } as const;

function compareNumber(
  key: string,
  target: "version" | "createRevision" | "modRevision" | "lease",
  result: keyof typeof results,
  value: number,
  rangeEnd = "",
): Compare {
  const targets = { version: 0, createRevision: 1, modRevision: 2, lease: 4 } as const;
  return {
    key: bytes(key),
    rangeEnd: bytes(rangeEnd),
    target: targets[target],
    result: results[result],
    targetUnion: { $case: target, value: BigInt(value) },
  } as Compare;
}

function compareValue(key: string, result: keyof typeof results, value: string, end = ""): Compare {
  return {
    key: bytes(key),
    rangeEnd: bytes(end),
    target: 3,
    result: results[result],
    targetUnion: { $case: "value", value: bytes(value) },
  };
}

async function holds(...compare: Compare[]): Promise<boolean> {
  return (await world.txn({ compare, success: [], failure: [] })).succeeded;
}

describe("compares", () => {
  beforeEach(async () => {
    await world.grant(9n, 60);
    await world.put("a", "1"); // revision 2
    await world.put("b", "2", { lease: 9n }); // 3
    await world.put("b", "3", { lease: 9n }); // 4
  });

  it("know every target and result", async () => {
    const actual = { version: 2, createRevision: 3, modRevision: 4, lease: 9 } as const;
    for (const target of ["version", "createRevision", "modRevision", "lease"] as const) {
      for (const wanted of [actual[target] - 1, actual[target], actual[target] + 1]) {
        const is = actual[target] - wanted;
        expect(await holds(compareNumber("b", target, "=", wanted))).toBe(is === 0);
        expect(await holds(compareNumber("b", target, "!=", wanted))).toBe(is !== 0);
        expect(await holds(compareNumber("b", target, ">", wanted))).toBe(is > 0);
        expect(await holds(compareNumber("b", target, "<", wanted))).toBe(is < 0);
      }
    }
    expect(await holds(compareValue("b", "=", "3"))).toBe(true);
    expect(await holds(compareValue("b", ">", "2"))).toBe(true);
    expect(await holds(compareValue("b", "<", "30"))).toBe(true);
    expect(await holds(compareValue("b", "!=", "3"))).toBe(false);
  });

  it("take a missing key for zeros, but for one without any value", async () => {
    for (const target of ["version", "createRevision", "modRevision", "lease"] as const) {
      expect(await holds(compareNumber("zz", target, "=", 0))).toBe(true);
      expect(await holds(compareNumber("zz", target, ">", 0))).toBe(false);
      expect(await holds(compareNumber("zz", target, "<", 1))).toBe(true);
    }
    expect(await holds(compareValue("zz", "=", ""))).toBe(false);
    expect(await holds(compareValue("zz", "!=", "x"))).toBe(false);
  });

  it("hold for a range when they hold for each of its keys", async () => {
    expect(await holds(compareNumber("a", "modRevision", ">", 1, "c"))).toBe(true);
    expect(await holds(compareNumber("a", "modRevision", ">", 2, "c"))).toBe(false);
    expect(await holds(compareNumber("a", "version", "<", 3, "\0"))).toBe(true);
    expect(await holds(compareValue("x", "!=", "1", "z"))).toBe(false);
    expect(await holds(compareNumber("x", "version", "=", 0, "z"))).toBe(true);
  });

  it("count a number that was given for another target as zero", async () => {
    const odd = { ...compareNumber("b", "version", "=", 2), target: 2 } as Compare;
    expect(await holds(odd)).toBe(false);
    expect(await holds({ ...odd, result: 1 })).toBe(true);
  });

  it("must all hold; of none, all do", async () => {
    const yes = compareValue("a", "=", "1");
    const no = compareValue("a", "=", "2");
    expect(await holds()).toBe(true);
    expect(await holds(yes, yes)).toBe(true);
    expect(await holds(yes, no)).toBe(false);
  });
});

describe("transactions", () => {
  it("give all changes one revision, and later operations see earlier ones", async () => {
    await world.put("a", "old");
    const reply = await world.txn({
      success: [
        range("a"),
        put("a", "new", { prevKv: true }),
        range("a"),
        remove("a"),
        range("a"),
        put("b", "1"),
      ],
    });
    expect(reply.header?.revision).toBe(3);
    const [before, changed, after, gone, nothing] = reply.responses.map((op) => op.response);
    const first = (op: typeof before) =>
      op?.$case === "responseRange" ? op.value.kvs.map((kv) => kv.value.toString()) : undefined;
    expect(first(before)).toEqual(["old"]);
    expect(before?.$case === "responseRange" && before.value.header?.revision).toBe(2);
    expect(changed?.$case === "responsePut" && changed.value.prevKv?.value.toString()).toBe("old");
    expect(first(after)).toEqual(["new"]);
    expect(after?.$case === "responseRange" && after.value.kvs[0]?.modRevision).toBe(3);
    expect(gone?.$case === "responseDeleteRange" && gone.value.deleted).toBe(1);
    expect(first(nothing)).toEqual([]);
    expect(world.all()).toMatchObject([{ key: "b", modRevision: 3 }]);
  });

  it("compare at every depth with the state before the whole transaction", async () => {
    await world.put("a", "before");
    const reply = await world.txn({
      success: [
        put("a", "after"),
        nested({
          compare: [compareValue("a", "=", "before")],
          success: [put("seen", "before")],
          failure: [put("seen", "after")],
        }),
      ],
    });
    expect(world.get("seen")).toBe("before");
    const inner = reply.responses[1]?.response;
    expect(inner?.$case === "responseTxn" && inner.value.succeeded).toBe(true);
  });

  it("run only the branch that was chosen, also for what would be refused", async () => {
    await world.txn({
      compare: [compareValue("a", "=", "1")],
      success: [put("x", "1", { lease: 404n })],
      failure: [put("y", "1")],
    });
    expect(world.all().map((kv) => kv.key)).toEqual(["y"]);
  });

  it("are refused as a whole, with nothing changed", async () => {
    await world.put("a", "1");
    const revision = world.replica.store.currentRevision;
    const cases: [Operation, { code: number; message: string }][] = [
      [put("x", "1", { lease: 404n }), EtcdErrors.leaseNotFound],
      [put("missing", "", { ignoreValue: true }), EtcdErrors.keyNotFound],
      [put("missing", "1", { ignoreLease: true }), EtcdErrors.keyNotFound],
      [range("a", { revision: revision + 1 }), EtcdErrors.futureRevision],
      [nested({ success: [put("x", "1", { lease: 404n })] }), EtcdErrors.leaseNotFound],
    ];
    for (const [operation, { code, message }] of cases) {
      const refused = world.txn({ success: [put("first", "1"), operation] });
      await expect(refused).rejects.toMatchObject({ code, message });
    }
    expect(world.replica.store.currentRevision).toBe(revision);
    expect(world.all().map((kv) => kv.key)).toEqual(["a"]);
  });

  it("keep value or lease when asked to", async () => {
    await world.grant(9n, 60);
    await world.put("a", "1", { lease: 9n });
    await world.txn({ success: [put("a", "2", { ignoreLease: true })] });
    expect(world.all()).toMatchObject([{ value: "2", lease: 9n, version: 2 }]);
    await world.txn({ success: [put("a", "", { ignoreValue: true })] });
    expect(world.all()).toMatchObject([{ value: "2", lease: 0n, version: 3 }]);
    await world.put("a", "", { ignoreValue: true, lease: 9n });
    expect(world.all()).toMatchObject([{ value: "2", lease: 9n, version: 4 }]);
    await world.put("a", "4", { ignoreLease: true, prevKv: true });
    expect(world.all()).toMatchObject([{ value: "4", lease: 9n, version: 5 }]);
    await world.revoke(9n);
    expect(world.all()).toEqual([]);
  });

  it("that change nothing take no revision", async () => {
    await world.put("a", "1");
    const reply = await world.txn({ success: [remove("none"), range("a")] });
    expect(reply.header?.revision).toBe(2);
    expect(world.replica.store.currentRevision).toBe(2);
  });

  it("that only read are served without the log, with the same checks", async () => {
    await world.put("a", "1");
    const index = world.replica.appliedIndex;
    const { store, lessor } = world.replica;
    const read = (request: Txn) => runReadOnlyTxn(store, lessor, TxnRequest.fromPartial(request));
    expect(read({ compare: [compareValue("a", "=", "1")], success: [range("a")] })).toMatchObject({
      revision: 2,
      result: { succeeded: true, responses: [{ kind: "range", body: { count: 1 } }] },
    });
    expect(read({ success: [range("a", { revision: 99 })] })).toEqual({
      error: EtcdErrors.futureRevision,
    });
    await world.put("a", "2");
    await world.compact(3);
    expect(read({ success: [range("a", { revision: 2 })] })).toEqual({
      error: EtcdErrors.compacted,
    });
    expect(world.replica.appliedIndex).toBe(index + 2);
  });

  it("take a limit below zero for none", async () => {
    for (const key of ["a", "b", "c"]) await world.put(key, "1");
    const all = { rangeEnd: bytes("z"), limit: -1 };
    const reply = await world.txn({ success: [put("d", "1"), range("a", all)] });
    const response = reply.responses[1]?.response;
    expect(response?.$case === "responseRange" && response.value.kvs).toHaveLength(4);
  });
});

describe("leases", () => {
  it("end through the log, and their keys in one revision", async () => {
    await world.grant(9n, 5);
    for (const key of ["a", "b", "c"]) await world.put(key, "1", { lease: 9n });
    await world.put("stays", "1");
    const revision = world.replica.store.currentRevision;
    await world.pass(4800);
    expect(world.all()).toHaveLength(4);
    await world.pass(400);
    expect(world.all().map((kv) => kv.key)).toEqual(["stays"]);
    expect(world.replica.store.currentRevision).toBe(revision + 1);
    expect(world.replica.metrics.leasesRevoked.value).toBe(1);
    await world.reopen();
    expect(world.all().map((kv) => kv.key)).toEqual(["stays"]);
    expect(world.replica.lessor.size).toBe(0);
  });

  it("keep their remaining time over a restart by checkpoints", async () => {
    await world.grant(9n, 1000);
    await world.grant(10n, 1000);
    await world.pass(301_000, 1000);
    await world.reopen();
    const left = (id: bigint) => world.replica.lessor.timeToLive(id, world.clock.now(), false)?.ttl;
    expect(left(9n)).toBe(700);
    await world.replica.renewLease(9n);
    await world.reopen();
    expect(left(9n)).toBe(1000);
    expect(left(10n)).toBe(700);
  });

  it("by the thousand end without a stall", async () => {
    for (let id = 1n; id <= 1500n; id++) await world.grant(id, 2);
    for (let seconds = 0; seconds < 6; seconds++) await world.pass(1000);
    expect(world.replica.lessor.size).toBe(0);
  });
});

describe("the corruption alarm", () => {
  it("stops every change until it is taken back", async () => {
    const alarm = (action: 1 | 2) => {
      const request = AlarmRequest.fromPartial({ action, memberID: 7n, alarm: 2 });
      return world.replica.proposeAsync(CommandField.alarm, AlarmRequest.encode(request).finish());
    };
    await world.put("a", "1");
    await alarm(1);
    const refused = { message: EtcdErrors.corrupt.message };
    await expect(world.put("a", "2")).rejects.toMatchObject(refused);
    await expect(world.delete("a")).rejects.toMatchObject(refused);
    await expect(world.grant(1n, 10)).rejects.toMatchObject(refused);
    await expect(world.compact(1)).rejects.toMatchObject(refused);
    expect(world.get("a")).toBe("1");
    await alarm(2);
    await world.put("a", "3");
    expect(world.get("a")).toBe("3");
  });
});

describe("the space alarm", () => {
  beforeEach(async () => {
    await world.close();
    world = new MemberWorld(1, { quotaBytes: 150_000 });
    await world.open();
  });

  it("stands when the quota is used up; what frees space still goes through", async () => {
    const noSpace = { code: Status.RESOURCE_EXHAUSTED, message: EtcdErrors.noSpace.message };
    let written = 0;
    const fill = async () => {
      for (; written < 100; written++) await world.put(`k${written}`, "x".repeat(10_000));
    };
    await expect(fill()).rejects.toMatchObject(noSpace);
    await turns(10);
    expect(world.replica.alarms()).toEqual([{ memberId: world.replica.memberId, type: 1 }]);
    expect(world.replica.status().errors.join()).toContain("NOSPACE");
    await expect(world.put("small", "1")).rejects.toMatchObject(noSpace);
    await expect(world.grant(1n, 10)).rejects.toMatchObject(noSpace);
    await expect(world.txn({ success: [put("small", "1")] })).rejects.toMatchObject(noSpace);
    await world.txn({ success: [remove("k0")] });
    await world.delete("k", "l");
    await world.compact(world.replica.store.currentRevision);
    await world.pass(2000);
    await expect(world.put("small", "1")).rejects.toMatchObject(noSpace);
    await world.reopen();
    expect(world.replica.alarms()).toHaveLength(1);
    const disarmed = await alarm(2);
    expect(disarmed.alarms).toHaveLength(1);
    await world.put("small", "1");
    expect(world.get("small")).toBe("1");
    expect(world.replica.alarms()).toEqual([]);
  });

  async function alarm(action: 0 | 1 | 2): Promise<AlarmResponse> {
    const { memberId } = world.replica;
    const request = AlarmRequest.fromPartial({ action, memberID: memberId, alarm: 1 });
    const message = AlarmRequest.encode(request).finish();
    return AlarmResponse.decode(await world.replica.proposeAsync(CommandField.alarm, message));
  }
});

describe("a physical compaction", () => {
  it("is done when its revisions are gone from the database", async () => {
    for (let i = 0; i < 200; i++) await world.put("a", `v${i}`);
    await world.compact(201);
    let isDone = false;
    const waiting = world.replica.whenCompacted().then(() => {
      isDone = true;
    });
    await turns(20);
    expect(isDone).toBe(false);
    await world.pass(2000, 10);
    await waiting;
    const sizeBytes = world.database.committed.size().totalBytes;
    expect(sizeBytes).toBeLessThan(2000);
  });
});

describe("requests that no client should send", () => {
  const malformed = [
    [CommandField.leaseGrant, [0x0b]],
    [CommandField.leaseGrant, [0x08, ...Array(10).fill(0xff)]],
    [CommandField.txn, [0x12, 0x05, 1]],
    [CommandField.deleteRange, [0xff]],
    [CommandField.compaction, [0x80]],
    [CommandField.leaseRevoke, [0x08]],
    [CommandField.alarm, [0x08, 0x80]],
  ] as const;

  it("are refused when they are applied, and again when they are replayed", async () => {
    for (const [field, message] of malformed) {
      const refused = world.replica.proposeAsync(field, Buffer.from(message));
      await expect(refused).rejects.toMatchObject({ code: Status.INTERNAL });
    }
    await world.put("a", "1");
    await world.reopen();
    expect(world.get("a")).toBe("1");
  });

  it("may hold numbers beyond the safe ones", async () => {
    const grant = Buffer.from([0x08, ...Array(8).fill(0xff), 0x7f, 0x10, 0x07]);
    await expect(world.replica.proposeAsync(CommandField.leaseGrant, grant)).rejects.toMatchObject({
      message: EtcdErrors.leaseTTLTooLarge.message,
    });
    await expect(world.compact(Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({
      message: EtcdErrors.futureRevision.message,
    });
  });
});

describe("a command that can not be applied at all", () => {
  it("ends the member and answers everyone, instead of ending the process", async () => {
    const fatal: Error[] = [];
    world.replica.onFatal = (error) => fatal.push(error);
    const outcomes = new Outcomes();
    const unknown = 999 as CommandField;
    proposeAll(world, outcomes, [
      putCommand("a", "1"),
      [unknown, bytes("?")],
      putCommand("b", "1"),
    ]);
    await turns(2);
    proposeAll(world, outcomes, [putCommand("c", "1")]);
    await turns(20);
    expect(fatal).toHaveLength(1);
    expect(outcomes.byTicket.size).toBe(4);
    expect(outcomes.byTicket.get(0)).toMatchObject({ ok: true });
    expect(outcomes.byTicket.get(2)).toMatchObject({ ok: false, code: EtcdErrors.stopped.code });
    expect(world.replica.canReadNow()).toBe(false);
  });
});
