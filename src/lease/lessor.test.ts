import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Store } from "../mvcc/store.ts";
import { type Backend, backendKeyBytesMax } from "../storage/backend.ts";
import { MemoryBackend } from "../storage/memory-backend.ts";
import { LeaseIds } from "./lease-id.ts";
import { type LeaseRows, Lessor, type LessorOptions, leaseTtlMax, RenewResult } from "./lessor.ts";

/** Rows that take effect at once, and the scans with which a lessor is opened on them. */
class Rows implements LeaseRows {
  readonly tables = { lease: new Map<string, Buffer>(), leaseKeys: new Map<string, Buffer>() };

  stage(table: "lease" | "leaseKeys", key: Uint8Array, value: Uint8Array | undefined): void {
    const name = Buffer.from(key).toString("hex");
    if (value === undefined) this.tables[table].delete(name);
    else this.tables[table].set(name, Buffer.from(value));
  }

  get backend(): Backend {
    const rows = (table: string) => [...this.tables[table as "lease"]].sort();
    const scans: Pick<Backend, "scan" | "scanKeys"> = {
      scan: (table, _range, visit) => {
        for (const [key, value] of rows(table)) visit(Buffer.from(key, "hex"), value);
      },
      scanKeys: (table, _range, visit) => {
        for (const [key] of rows(table)) visit(Buffer.from(key, "hex"));
      },
    };
    return scans as Backend;
  }
}

function open(options: Partial<LessorOptions> = {}, rows = new Rows()) {
  const all = { minTtlSeconds: 2, ...options };
  return { rows, lessor: Lessor.open(all, { rows, backend: rows.backend }) };
}

const b = (text: string) => Buffer.from(text, "latin1");

describe("grant, renew, revoke", () => {
  test("bounds and refusals, in etcd's order", () => {
    const { lessor } = open();
    expect(lessor.grant(0n, leaseTtlMax + 1, 0)).toEqual({ error: "notFound" });
    expect(lessor.grant(1n, leaseTtlMax + 1, 0)).toEqual({ error: "ttlTooLarge" });
    expect(lessor.grant(1n, leaseTtlMax, 0)).toEqual({ ttl: leaseTtlMax });
    expect(lessor.grant(1n, 5, 0)).toEqual({ error: "exists" });
    expect(lessor.grant(2n, 0, 0)).toEqual({ ttl: 2 });
    expect(lessor.grant(3n, -7, 0)).toEqual({ ttl: 2 });
    expect(lessor.revoke(9n)).toEqual({ error: "notFound" });
  });

  test("time runs only at the primary", () => {
    const { lessor } = open();
    lessor.grant(1n, 10, 0);
    expect(lessor.renew(1n, 0)).toBe(RenewResult.notPrimary);
    expect(lessor.expired(1e9, 10)).toEqual([]);
    lessor.promote(1000, 500);
    expect(lessor.timeToLive(1n, 1000, false)).toEqual({ ttl: 10, grantedTtl: 10, keys: [] });
    expect(lessor.nextExpiryMs).toBe(11_500);
    expect(lessor.expired(11_499, 10)).toEqual([]);
    expect(lessor.expired(11_500, 10)).toEqual([1n]);
    lessor.demote();
    expect(lessor.nextExpiryMs).toBe(Number.POSITIVE_INFINITY);
    expect(lessor.expired(1e9, 10)).toEqual([]);
  });

  test("a renewal moves the end, an expired lease waits for its revoke", () => {
    const { lessor } = open();
    lessor.promote(0, 0);
    lessor.grant(1n, 10, 0);
    expect(lessor.renew(1n, 9000)).toBe(10);
    expect(lessor.expired(18_999, 10)).toEqual([]);
    expect(lessor.expired(19_000, 10)).toEqual([1n]);
    expect(lessor.renew(1n, 19_000)).toBe(RenewResult.expired);
    const answers: boolean[] = [];
    lessor.whenRevoked(1n, (isGone) => answers.push(isGone));
    expect(lessor.expired(21_999, 10)).toEqual([]);
    expect(lessor.expired(22_000, 10)).toEqual([1n]);
    expect(answers).toEqual([]);
    lessor.revoke(1n);
    expect(answers).toEqual([true]);
    expect(lessor.renew(1n, 22_001)).toBe(RenewResult.notFound);
    lessor.whenRevoked(1n, (isGone) => answers.push(isGone));
    lessor.grant(2n, 10, 30_000);
    lessor.whenRevoked(2n, (isGone) => answers.push(isGone));
    lessor.demote();
    expect(answers).toEqual([true, true, false]);
  });

  test("keys come back in byte order and only once", () => {
    const { lessor, rows } = open();
    lessor.grant(1n, 10, 0);
    for (const key of ["b", "a\xff", "a", "b", "\x00"]) lessor.attach(1n, b(key));
    lessor.detach(1n, b("b"));
    lessor.detach(1n, b("absent"));
    lessor.detach(77n, b("a"));
    expect(lessor.timeToLive(1n, 0, true)?.keys).toEqual([b("\x00"), b("a"), b("a\xff")]);
    expect(rows.tables.leaseKeys.size).toBe(3);
    expect(lessor.revoke(1n)).toEqual({ keys: [b("\x00"), b("a"), b("a\xff")] });
    expect(rows.tables.leaseKeys.size + rows.tables.lease.size).toBe(0);
    expect(() => lessor.attach(1n, b("a"))).toThrow("does not exist");
  });

  test("leases are listed by their end", () => {
    const { lessor } = open();
    lessor.promote(0, 0);
    lessor.grant(1n, 30, 0);
    lessor.grant(2n, 10, 0);
    lessor.grant(3n, 20, 0);
    expect(lessor.leases()).toEqual([2n, 3n, 1n]);
    lessor.renew(2n, 9000);
    lessor.renew(2n, 18_000);
    expect(lessor.leases()).toEqual([3n, 2n, 1n]);
  });
});

describe("many at once", () => {
  test("revokes keep to their rate", () => {
    const { lessor } = open();
    lessor.promote(0, 0);
    for (let i = 1n; i <= 5000n; i++) lessor.grant(i, 10, 0);
    const seen = new Set<bigint>();
    for (let now = 10_000; now < 16_000; now += 100) {
      const ids = lessor.expired(now, 10_000);
      expect(ids.length).toBeLessThanOrEqual(now === 10_000 ? 500 : 100);
      for (const id of ids) {
        seen.add(id);
        lessor.revoke(id);
      }
    }
    expect(seen.size).toBe(5000);
    expect(lessor.size).toBe(0);
    expect(lessor.expired(20_000, 10)).toEqual([]);
  });

  test("a new primary spreads ends, and never shortens a lease", () => {
    const { lessor } = open();
    for (let i = 1n; i <= 3000n; i++) lessor.grant(i, 10, 0);
    lessor.promote(0, 1000);
    const ends: number[] = [];
    for (let i = 1n; i <= 3000n; i++) {
      expect(lessor.renew(99_999n, 0)).toBe(RenewResult.notFound);
      ends.push(lessor.timeToLive(i, 0, false)?.ttl as number);
    }
    expect(Math.min(...ends)).toBe(11);
    const perSecond = new Map<number, number>();
    for (const end of ends) perSecond.set(end, (perSecond.get(end) ?? 0) + 1);
    expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(751);
  });
});

describe("checkpoints", () => {
  test("the time that is left survives a change of primary", () => {
    const { lessor, rows } = open({ checkpointIntervalMs: 300_000 });
    lessor.promote(0, 0);
    lessor.grant(1n, 1000, 0);
    lessor.grant(2n, 300, 0);
    expect(lessor.dueCheckpoints(299_999)).toEqual([]);
    expect(lessor.dueCheckpoints(300_000)).toEqual([{ id: 1n, remainingTtl: 700 }]);
    lessor.checkpoint(1n, 700, 300_000);
    lessor.checkpoint(5n, 700, 300_000);
    expect(lessor.dueCheckpoints(600_000)).toEqual([{ id: 1n, remainingTtl: 400 }]);
    const again = open({ checkpointIntervalMs: 300_000 }, rows).lessor;
    again.promote(0, 0);
    expect(again.timeToLive(1n, 0, false)).toEqual({ ttl: 700, grantedTtl: 1000, keys: [] });
    expect(again.renew(1n, 0)).toBe(RenewResult.needsCheckpoint);
    again.checkpoint(1n, 0, 0);
    expect(again.renew(1n, 0)).toBe(1000);
    expect(again.timeToLive(1n, 0, false)?.ttl).toBe(1000);
  });

  test("none without an interval", () => {
    const { lessor } = open();
    lessor.promote(0, 0);
    lessor.grant(1n, 1000, 0);
    expect(lessor.dueCheckpoints(1e9)).toEqual([]);
    lessor.checkpoint(1n, 5, 0);
    expect(lessor.renew(1n, 0)).toBe(1000);
  });
});

test("ids are positive, distinct and carry on over a restart", () => {
  const ids = new LeaseIds(0xffff_ffff_ffff_ffffn, 1_700_000_000_000);
  const seen = new Set<bigint>();
  for (let i = 0; i < 1000; i++) seen.add(ids.next());
  expect(seen.size).toBe(1000);
  for (const id of seen) expect(id > 0n && id < 1n << 63n).toBe(true);
  const later = new LeaseIds(0xffff_ffff_ffff_ffffn, 1_700_000_000_010);
  expect(seen.has(later.next())).toBe(false);
});

type Step =
  | { readonly kind: "grant" | "revoke" | "renew"; readonly id: number; readonly ttl: number }
  | { readonly kind: "attach" | "detach"; readonly id: number; readonly key: string }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "reopen" };

const id = fc.integer({ min: 1, max: 5 });
const key = fc.constantFrom("a", "b", "\xff\x00");
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("grant" as const, "revoke" as const, "renew" as const),
    id,
    ttl: fc.integer({ min: 0, max: 20 }),
  }),
  fc.record({ kind: fc.constantFrom("attach" as const, "detach" as const), id, key }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 8000 }) }),
  fc.record({ kind: fc.constant("reopen" as const) }),
);

test("agrees with a plain model", () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 60 }), (sequence) => {
      let { lessor, rows } = open();
      let now = 0;
      lessor.promote(now, 0);
      const model = new Map<bigint, { ttl: number; end: number; keys: Set<string> }>();
      for (const step of sequence) {
        if (step.kind === "wait") now += step.ms;
        else if (step.kind === "reopen") {
          lessor = open({}, rows).lessor;
          lessor.promote(now, 0);
          for (const lease of model.values()) lease.end = now + lease.ttl * 1000;
        } else {
          const leaseId = BigInt(step.id);
          const lease = model.get(leaseId);
          if (step.kind === "grant") {
            const granted = lessor.grant(leaseId, step.ttl, now);
            const ttl = Math.max(2, step.ttl);
            expect(granted).toEqual(lease === undefined ? { ttl } : { error: "exists" });
            if (!lease) model.set(leaseId, { ttl, end: now + ttl * 1000, keys: new Set() });
          } else if (step.kind === "revoke") {
            const keys = [...(lease?.keys ?? [])].sort().map(b);
            expect(lessor.revoke(leaseId)).toEqual(lease ? { keys } : { error: "notFound" });
            model.delete(leaseId);
          } else if (step.kind === "renew") {
            const result = lessor.renew(leaseId, now);
            if (lease === undefined) expect(result).toBe(RenewResult.notFound);
            else if (lease.end <= now) expect(result).toBe(RenewResult.expired);
            else {
              expect(result).toBe(lease.ttl);
              lease.end = now + lease.ttl * 1000;
            }
          } else if ((step.kind === "attach" || step.kind === "detach") && lease !== undefined) {
            if (step.kind === "attach") lessor.attach(leaseId, b(step.key));
            else lessor.detach(leaseId, b(step.key));
            if (step.kind === "attach") lease.keys.add(step.key);
            else lease.keys.delete(step.key);
          }
        }
        for (const [leaseId, lease] of model) {
          const keys = [...lease.keys].sort().map(b);
          const ttl = Math.trunc((lease.end - now) / 1000) + 0;
          expect(lessor.timeToLive(leaseId, now, true)).toEqual({
            ttl,
            grantedTtl: lease.ttl,
            keys,
          });
        }
        expect(lessor.size).toBe(model.size);
      }
      const due = [...model].filter(([, lease]) => lease.end <= now).map(([leaseId]) => leaseId);
      expect(lessor.expired(now, 100).sort()).toEqual(due.sort());
    }),
    { seed: 7, numRuns: 300 },
  );
});

test("keys that are too long for a row's name are kept all the same", async () => {
  const backend = new MemoryBackend();
  const store = Store.open({}, { backend });
  let lessor = Lessor.open({ minTtlSeconds: 1 }, { rows: store, backend });
  const long = (end: string) => Buffer.from("k".repeat(3000) + end);
  const keysOf = () => lessor.timeToLive(5n, 0, true)?.keys.map(String);
  lessor.grant(5n, 60, 0);
  for (const end of ["a", "b", "c"]) lessor.attach(5n, long(end));
  lessor.attach(5n, Buffer.from("short"));
  lessor.detach(5n, long("b"));
  for (let index = 1; index <= 2; index++) {
    await store.flush(index);
    lessor = Lessor.open({ minTtlSeconds: 1 }, { rows: store, backend });
    expect(keysOf()).toEqual([long("a"), long("c"), "short"].map(String));
  }
  lessor.detach(5n, long("a"));
  lessor.attach(5n, long("d"));
  await store.flush(3);
  lessor = Lessor.open({ minTtlSeconds: 1 }, { rows: store, backend });
  expect(keysOf()).toEqual([long("c"), long("d"), "short"].map(String));
  backend.scanKeys("leaseKeys", {}, (name) => {
    expect(name.length).toBeLessThanOrEqual(backendKeyBytesMax);
    return undefined;
  });
  lessor.revoke(5n);
  await store.flush(4);
  let rows = 0;
  backend.scanKeys("leaseKeys", {}, () => {
    rows++;
    return undefined;
  });
  expect(rows).toBe(0);
});
