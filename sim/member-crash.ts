// One member, driven by a seed: random commands on a disk that tears writes, runs full and fails, and a database
// whose commits are late or lost. The power goes at any moment. After every start the member is held against a
// plain model: everything acknowledged is there, what was not is there as a first part of it or not at all.

import assert from "node:assert/strict";
import { updateCrc32c } from "../src/base/crc32c.ts";
import { Random } from "../src/base/random.ts";
import { systemError } from "../src/io/disk-memory.ts";
import { type ModelKeyValue, type ModelOperation, StoreModel } from "../src/mvcc/model.ts";
import { CommandField } from "../src/node/replica-types.ts";
import {
  bytes,
  type Command,
  dump,
  grantCommand,
  MemberWorld,
  type Outcome,
  Outcomes,
  putCommand,
  revokeCommand,
  turns,
} from "../src/node/testing/member-world.ts";
import { EtcdErrors } from "../src/wire/errors.ts";
import { KeyValue } from "../src/wire/generated/kv.ts";
import {
  CompactionRequest,
  CompactionResponse,
  DeleteRangeRequest,
  TxnRequest,
} from "../src/wire/generated/rpc.ts";

export interface SimulationCounts {
  lives: number;
  acknowledged: number;
  refusedForSpace: number;
  /** Without an outcome when the power went: found applied, found missing. */
  kept: number;
  lost: number;
}

const keys = ["a", "b", "c", "d", "e", "f", "\u0000", "\u00ff\u00fe", "dir/1", "dir/2"];
const ttlSeconds = 1_000_000;

/** Runs one seed; throws an AssertionError that says what did not hold. */
export async function simulateCrashes(seed: number): Promise<SimulationCounts> {
  const simulation = new Simulation(seed);
  await simulation.run();
  return simulation.counts;
}

/** What the member should hold. */
class MemberModel {
  readonly store = new StoreModel();
  readonly leases = new Map<bigint, Set<string>>();

  /** The revision of the reply, or the text of the refusal. */
  write(operations: readonly ModelOperation[]): number | string {
    for (const operation of operations) {
      if (operation.kind === "put" && operation.lease !== 0n && !this.leases.has(operation.lease)) {
        return EtcdErrors.leaseNotFound.message;
      }
    }
    const { revision, outcomes } = this.store.execute(operations);
    for (const [i, operation] of operations.entries()) {
      for (const { key, lease } of outcomes[i]?.previous ?? []) this.leases.get(lease)?.delete(key);
      if (operation.kind === "put") this.leases.get(operation.lease)?.add(operation.key);
    }
    return revision;
  }

  compact(revision: number): number | string {
    const { error } = this.store.compact(revision);
    if (error === undefined) return this.store.currentRevision;
    return error === "future" ? EtcdErrors.futureRevision.message : EtcdErrors.compacted.message;
  }

  grant(id: bigint): number | string {
    if (this.leases.has(id)) return EtcdErrors.leaseExists.message;
    this.leases.set(id, new Set());
    return this.store.currentRevision;
  }

  revoke(id: bigint): number | string {
    const attached = this.leases.get(id);
    if (!attached) return EtcdErrors.leaseNotFound.message;
    this.leases.delete(id);
    const ascending = [...attached].sort();
    this.store.execute(ascending.map((key) => ({ kind: "delete", key })));
    return this.store.currentRevision;
  }

  /** As HashKV of the current revision. */
  hash(): number {
    let crc = updateCrc32c(0, bytes("key"));
    for (const { main, sub, key, kv } of this.store.hashed(this.store.currentRevision)) {
      const name = Buffer.alloc(kv ? 17 : 18, "t");
      name.writeBigUInt64BE(BigInt(main), 0);
      name.write("_", 8);
      name.writeBigUInt64BE(BigInt(sub), 9);
      crc = updateCrc32c(updateCrc32c(crc, name), encode(key, kv));
    }
    return crc;
  }
}

function encode(key: string, kv: ModelKeyValue | undefined): Uint8Array {
  const { createRevision = 0, modRevision = 0, version = 0, value = "", lease = 0n } = kv ?? {};
  const numbers = { createRevision, modRevision, version, lease };
  return KeyValue.encode({ key: bytes(key), value: bytes(value), ...numbers }).finish();
}

/** A command that has been proposed. */
interface Sent {
  readonly command: Command;
  readonly applyTo: (model: MemberModel) => number | string;
  readonly text: string;
}

class Simulation {
  readonly counts: SimulationCounts = {
    lives: 0,
    acknowledged: 0,
    refusedForSpace: 0,
    kept: 0,
    lost: 0,
  };
  readonly #random: Random;
  readonly #world: MemberWorld;
  readonly #model = new MemberModel();
  /** Proposed and without a certain outcome, in order. */
  #unknown: Sent[] = [];
  #value = 0;
  #failed = false;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#world = new MemberWorld(seed, {
      walSegmentBytes: this.#random.pick([8 * 1024, 64 * 1024]),
      snapshotEntries: this.#random.pick([3, 20, 1000]),
      flushBytes: this.#random.pick([500, 5000, 1024 * 1024]),
      compactionSleepMs: this.#random.pick([1, 10]),
      maxPendingProposals: 40,
    });
  }

  async run(): Promise<void> {
    const lives = this.#random.between(3, 7);
    for (let life = 0; life < lives; life++) {
      await this.#start();
      this.#settleUnknown();
      await this.#live();
      await this.#end(life === lives - 1);
    }
    await this.#start();
    this.#settleUnknown();
    await this.#world.pass(500, 20);
    this.#check();
    await this.#world.close();
  }

  /** Power may also go while the member starts. */
  async #start(): Promise<void> {
    const { disk } = this.#world;
    this.counts.lives++;
    while (this.#random.chance(0.25)) {
      disk.writesUntilCrash = this.#random.between(0, 4);
      const isOpen = await this.#world.open().then(
        () => true,
        () => false,
      );
      if (isOpen) await turns(this.#random.below(4));
      await this.#world.crash();
    }
    await this.#world.open();
    this.#failed = false;
    this.#world.replica.onFatal = () => {
      this.#failed = true;
    };
  }

  async #live(): Promise<void> {
    const random = this.#random;
    const { disk, database } = this.#world;
    const steps = random.between(3, 40);
    if (random.chance(0.6)) disk.writesUntilCrash = random.between(1, 30);
    for (let step = 0; step < steps && !this.#failed; step++) {
      if (random.chance(0.1)) database.commitDelayTurns = random.pick([0, 0, 3, 20]);
      if (random.chance(0.1)) {
        database.commitError = random.chance(0.4) ? systemError("ENOSPC", "db") : undefined;
      }
      if (random.chance(0.1)) this.#squeezeDisk();
      const count = random.pick([1, 1, 2, 8]);
      for (let i = 0; i < count; i++) this.#propose();
      await turns(random.below(6));
      if (random.chance(0.4)) await this.#world.pass(random.pick([20, 100, 300]), 20);
      if (random.chance(0.3)) {
        await turns(30);
        if (this.#unknown.length === 0) this.#check();
      }
    }
  }

  /** A disk with hardly any room left, or with room again. */
  #squeezeDisk(): void {
    const { disk } = this.#world;
    if (disk.capacityBytes < 2 ** 40) {
      disk.capacityBytes = 2 ** 40;
      return;
    }
    disk.capacityBytes = 2 ** 40;
    const usedBytes = disk.capacityBytes - disk.room(disk.capacityBytes);
    disk.capacityBytes = usedBytes + this.#random.below(3000);
  }

  async #end(isLast: boolean): Promise<void> {
    const { disk, database } = this.#world;
    if (this.#random.chance(0.25) && !this.#failed) {
      // An orderly end, on whatever disk there is.
      await this.#world.close().catch((error: unknown) => {
        if (!disk.crashed) throw error;
      });
      if (!disk.crashed) assert.deepEqual(this.#unknown, [], "closing left proposals unanswered");
    }
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    database.commitError = undefined;
    await this.#world.crash();
    if (isLast) database.commitDelayTurns = 0;
  }

  #propose(): void {
    const sent = this.#randomCommand();
    const outcomes = new Outcomes();
    outcomes.onOutcome = (_ticket, outcome) => this.#onOutcome(sent, outcome);
    this.#unknown.push(sent);
    const [field, message] = sent.command;
    this.#world.replica.propose(field, message, 0, message.length, outcomes, 0);
  }

  #onOutcome(sent: Sent, outcome: Outcome): void {
    if (!outcome.ok) {
      const isUncertain = outcome.message === EtcdErrors.stopped.message;
      if (isUncertain) return;
      this.#remove(sent);
      if (outcome.message === EtcdErrors.noSpace.message) this.counts.refusedForSpace++;
      if (
        outcome.message === EtcdErrors.noSpace.message ||
        outcome.message === EtcdErrors.tooManyRequests.message
      ) {
        return;
      }
      assert.equal(outcome.message, sent.applyTo(this.#model), sent.text);
      return;
    }
    assert.equal(sent, this.#unknown[0], `replies came out of order: ${sent.text}`);
    this.#remove(sent);
    this.counts.acknowledged++;
    const expected = sent.applyTo(this.#model);
    assert.equal(revisionOf(outcome.reply), expected, sent.text);
  }

  #remove(sent: Sent): void {
    const at = this.#unknown.indexOf(sent);
    assert.ok(at >= 0, `answered twice: ${sent.text}`);
    this.#unknown.splice(at, 1);
  }

  /** Finds how many of the commands without an outcome are there: the first few, in order. */
  #settleUnknown(): void {
    const unknown = this.#unknown;
    this.#unknown = [];
    for (let kept = 0; ; kept++) {
      if (this.#matches()) {
        this.counts.kept += kept;
        this.counts.lost += unknown.length - kept;
        break;
      }
      const next = unknown[kept];
      if (!next) break;
      next.applyTo(this.#model);
    }
    this.#check();
  }

  #matches(): boolean {
    const { store, lessor } = this.#world.replica;
    return (
      store.currentRevision === this.#model.store.currentRevision &&
      store.compactRevision === this.#model.store.compactRevision &&
      lessor.leases().sort().join() === [...this.#model.leases.keys()].sort().join() &&
      store.keyCount === this.#liveKeys().length &&
      JSON.stringify(plain(dump(this.#world.replica))) === JSON.stringify(plain(this.#liveKeys()))
    );
  }

  #liveKeys(): ModelKeyValue[] {
    const result = this.#model.store.range({ key: "\0", rangeEnd: "\0" });
    return "error" in result ? [] : result.kvs;
  }

  #check(): void {
    const { replica } = this.#world;
    const model = this.#model;
    assert.equal(replica.store.currentRevision, model.store.currentRevision, "current revision");
    assert.equal(replica.store.compactRevision, model.store.compactRevision, "compact revision");
    assert.deepEqual(dump(replica), this.#liveKeys(), "live keys");
    const oldest = Math.max(1, model.store.compactRevision);
    const revision = this.#random.between(oldest, model.store.currentRevision);
    const old = model.store.range({ key: "\0", rangeEnd: "\0", revision });
    assert.ok(!("error" in old));
    assert.deepEqual(dump(replica, revision), old.kvs, `keys at revision ${revision}`);
    const hash = replica.store.hashKv(0);
    assert.ok(!("error" in hash));
    assert.equal(hash.hash, model.hash(), "HashKV");
    const leases = [...model.leases].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(replica.lessor.leases().sort(), leases.map(([id]) => id).sort(), "leases");
    for (const [id, attached] of leases) {
      const times = replica.lessor.timeToLive(id, 0, true);
      const found = times?.keys.map((key) => key.toString("latin1"));
      assert.deepEqual(found, [...attached].sort(), `keys of lease ${id}`);
    }
  }

  #randomCommand(): Sent {
    const random = this.#random;
    const key = random.pick(keys);
    switch (random.pick(["put", "put", "put", "put", "delete", "txn", "lease", "compact"])) {
      case "delete":
        return deleteOf(key, random.chance(0.3) ? random.pick(["c", "z", "\0"]) : "");
      case "txn":
        return this.#randomTxn();
      case "lease": {
        const id = BigInt(random.between(1, 3));
        return random.chance(0.6)
          ? {
              command: grantCommand(id, ttlSeconds),
              applyTo: (m) => m.grant(id),
              text: `grant ${id}`,
            }
          : { command: revokeCommand(id), applyTo: (m) => m.revoke(id), text: `revoke ${id}` };
      }
      case "compact":
        return compactOf(Math.max(1, this.#model.store.currentRevision - random.below(12)));
      default:
        return this.#randomPut(key);
    }
  }

  #randomPut(key: string): Sent {
    const operation = this.#putOf(key);
    const { value, lease } = operation;
    return {
      command: putCommand(key, value, { lease }),
      applyTo: (model) => model.write([operation]),
      text: `put ${JSON.stringify(key)} lease ${lease}`,
    };
  }

  #putOf(key: string): ModelOperation & { kind: "put" } {
    const random = this.#random;
    const size = random.pick([0, 1, 10, 10, 300, 700, 2000]);
    const lease = random.chance(0.2) ? BigInt(random.between(1, 3)) : 0n;
    return { kind: "put", key, value: `${this.#value++}`.padEnd(size, "."), lease };
  }

  #randomTxn(): Sent {
    const chosen = this.#random.shuffle([...keys]).slice(0, this.#random.between(1, 4));
    const operations = chosen.map(
      (key): ModelOperation =>
        this.#random.chance(0.7) ? this.#putOf(key) : { kind: "delete", key },
    );
    const success = operations.map((operation) =>
      operation.kind === "put"
        ? {
            request: {
              $case: "requestPut" as const,
              value: {
                key: bytes(operation.key),
                value: bytes(operation.value),
                lease: operation.lease,
              },
            },
          }
        : {
            request: {
              $case: "requestDeleteRange" as const,
              value: { key: bytes(operation.key) },
            },
          },
    );
    const message = TxnRequest.encode(TxnRequest.fromPartial({ success })).finish();
    return {
      command: [CommandField.txn, message],
      applyTo: (model) => model.write(operations),
      text: `txn of ${operations.length}`,
    };
  }
}

function deleteOf(key: string, rangeEnd: string): Sent {
  const request = DeleteRangeRequest.fromPartial({ key: bytes(key), rangeEnd: bytes(rangeEnd) });
  return {
    command: [CommandField.deleteRange, DeleteRangeRequest.encode(request).finish()],
    applyTo: (model) => model.write([{ kind: "delete", key, rangeEnd }]),
    text: `delete ${JSON.stringify(key)} ${JSON.stringify(rangeEnd)}`,
  };
}

function compactOf(revision: number): Sent {
  const message = CompactionRequest.encode({ revision, physical: false }).finish();
  return {
    command: [CommandField.compaction, message],
    applyTo: (model) => model.compact(revision),
    text: `compact ${revision}`,
  };
}

/** Any response begins with its header. */
function revisionOf(reply: Uint8Array): number {
  return CompactionResponse.decode(reply).header?.revision ?? 0;
}

/** Without bigints, for JSON. */
function plain(kvs: readonly ModelKeyValue[]): unknown[] {
  return kvs.map((kv) => [
    kv.key,
    kv.value,
    kv.createRevision,
    kv.modRevision,
    kv.version,
    `${kv.lease}`,
  ]);
}
