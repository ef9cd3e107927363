// A member on a disk, a database and a clock that a test holds in its hands: it can be crashed, reopened,
// starved of space and time, and every reply is kept with the moment at which it came.

import { asBuffer } from "../../base/bytes.ts";
import type { StatusCode } from "../../base/status.ts";
import type { Disk, DiskFile } from "../../io/disk.ts";
import { MemoryDisk, systemError } from "../../io/disk-memory.ts";
import { KeyValue } from "../../wire/generated/kv.ts";
import {
  CompactionRequest,
  DeleteRangeRequest,
  DeleteRangeResponse,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  PutResponse,
  TxnRequest,
  TxnResponse,
} from "../../wire/generated/rpc.ts";
import { type MemberOptions, type OpenedMember, openMember } from "../open-member.ts";
import type { MemberReplica } from "../replica.ts";
import { CommandField, type TicketReceiver } from "../replica-types.ts";
import { CrashableDatabase, nextTurn } from "./crashable-backend.ts";
import { CrashableDatabases } from "./crashable-databases.ts";
import { ManualClock } from "./manual-clock.ts";

export const testOptions: MemberOptions = {
  dataDir: "/data",
  name: "test",
  peerUrls: ["http://localhost:2380"],
  initialCluster: [{ name: "test", peerUrls: ["http://localhost:2380"] }],
  clusterState: "new",
  clusterToken: "etcd-cluster",
  forceNewCluster: false,
  heartbeatMs: 100,
  preVote: true,
  strictReconfig: true,
  maxLearners: 1,
  keptEntries: 5000,
  keptBytes: 32 * 1024 * 1024,
  electionTimeoutMs: 1000,
  leaseCheckpointIntervalMs: 300_000,
  maxRequestBytes: 1024 * 1024,
  maxPendingProposals: 1000,
  maxPendingBytes: 16 * 1024 * 1024,
  requestTimeoutMs: 7000,
  quotaBytes: 1024 * 1024 * 1024,
  flushIntervalMs: 100,
  flushChanges: 1000,
  flushDelayMs: 0,
  flushBytes: 1024 * 1024,
  snapshotEntries: 50,
  compactionSleepMs: 10,
  walSegmentBytes: 64 * 1024,
};

export type Outcome =
  | { readonly ok: true; readonly reply: Buffer }
  | { readonly ok: false; readonly code: StatusCode; readonly message: string };

/** Collects outcomes by ticket, and notices when one comes twice. */
export class Outcomes implements TicketReceiver {
  readonly byTicket = new Map<number, Outcome>();
  readonly order: number[] = [];
  /** Tickets given out by `proposeAll`. */
  issued = 0;
  onOutcome: ((ticket: number, outcome: Outcome) => void) | undefined;

  onApplied(ticket: number, source: Uint8Array, start: number, end: number): void {
    this.#note(ticket, { ok: true, reply: asBuffer(source.slice(start, end)) });
  }

  onReadable(): void {
    throw new Error("no reads are asked for here");
  }

  onFailed(ticket: number, code: StatusCode, message: string): void {
    this.#note(ticket, { ok: false, code, message });
  }

  #note(ticket: number, outcome: Outcome): void {
    if (this.byTicket.has(ticket)) throw new Error(`ticket ${ticket} was answered twice`);
    this.byTicket.set(ticket, outcome);
    this.order.push(ticket);
    this.onOutcome?.(ticket, outcome);
  }
}

export class MemberWorld {
  readonly disk: MemoryDisk;
  database = new CrashableDatabase();
  readonly databases = new CrashableDatabases(this);
  readonly options: MemberOptions;
  clock = new ManualClock();
  isUnlocked = true;
  #member: OpenedMember | undefined;
  #life: Life = { isOver: true, stall: () => undefined };
  #stall: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(seed = 1, options: Partial<MemberOptions> = {}) {
    this.disk = new MemoryDisk(seed);
    this.options = { ...testOptions, ...options };
  }

  get replica(): MemberReplica {
    if (!this.#member) throw new Error("the member is not open");
    return this.#member.replica;
  }

  async open(): Promise<MemberReplica> {
    this.clock = new ManualClock();
    this.#life = { isOver: false, stall: () => this.#stall?.promise };
    this.#member = await openMember(this.options, {
      clock: this.clock,
      disk: diskOfLife(this.disk, this.#life),
      databases: this.databases,
      lockFolder: async () => {
        this.isUnlocked = false;
        const release = async () => {
          this.isUnlocked = true;
        };
        return { release };
      },
    });
    return this.#member.replica;
  }

  async close(): Promise<void> {
    const member = this.#member;
    this.#member = undefined;
    await member?.close();
  }

  /** The process dies and the machine loses power. What the member still does has no effect. */
  async crash(): Promise<void> {
    this.#member = undefined;
    this.#life.isOver = true;
    this.disk.crash();
    await this.databases.crash();
  }

  async reopen(): Promise<MemberReplica> {
    await this.crash();
    return this.open();
  }

  /** Lets time pass in steps, with the work that comes of it. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let done = 0; done < ms; done += stepMs) {
      this.clock.advance(Math.min(stepMs, ms - done));
      await turns(6);
    }
  }

  /** From now on, writes to the log wait until `resume`. */
  stall(): void {
    let resolve = () => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    this.#stall = { promise, resolve };
  }

  resume(): void {
    this.#stall?.resolve();
    this.#stall = undefined;
  }

  async put(
    key: string,
    value: string,
    more: Parameters<typeof PutRequest.fromPartial>[0] = {},
  ): Promise<PutResponse> {
    return PutResponse.decode(await this.replica.proposeAsync(...putCommand(key, value, more)));
  }

  async delete(key: string, rangeEnd = ""): Promise<DeleteRangeResponse> {
    const request = DeleteRangeRequest.fromPartial({ key: bytes(key), rangeEnd: bytes(rangeEnd) });
    const message = DeleteRangeRequest.encode(request).finish();
    const reply = await this.replica.proposeAsync(CommandField.deleteRange, message);
    return DeleteRangeResponse.decode(reply);
  }

  async txn(request: Parameters<typeof TxnRequest.fromPartial>[0]): Promise<TxnResponse> {
    const message = TxnRequest.encode(TxnRequest.fromPartial(request)).finish();
    return TxnResponse.decode(await this.replica.proposeAsync(CommandField.txn, message));
  }

  async compact(revision: number): Promise<void> {
    const message = CompactionRequest.encode({ revision, physical: false }).finish();
    await this.replica.proposeAsync(CommandField.compaction, message);
  }

  async grant(id: bigint, ttl: number): Promise<void> {
    await this.replica.proposeAsync(...grantCommand(id, ttl));
  }

  async revoke(id: bigint): Promise<void> {
    await this.replica.proposeAsync(...revokeCommand(id));
  }

  /** The live value of a key. */
  get(key: string): string | undefined {
    return this.all().find((kv) => kv.key === key)?.value;
  }

  all(): ReturnType<typeof dump> {
    return dump(this.replica);
  }
}

/** What one life of a process sees of a disk: nothing it still does reaches the disk after the life's end. */
interface Life {
  isOver: boolean;
  /** Writes wait for this, if there is one. */
  stall(): Promise<void> | undefined;
}

function diskOfLife(disk: Disk, life: Life): Disk {
  const alive = (): Disk => {
    if (life.isOver) throw systemError("EIO", "after the end of the process");
    return disk;
  };
  return {
    open: async (path, mode) => {
      const file = await alive().open(path, mode);
      const write: DiskFile["write"] = async (source, start, end, position) => {
        await life.stall();
        await file.write(source, start, end, position);
      };
      return {
        write,
        read: (buffer, position) => file.read(buffer, position),
        datasync: () => file.datasync(),
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
    list: async (folder) => alive().list(folder),
    exists: async (path) => alive().exists(path),
    makeFolder: async (folder) => alive().makeFolder(folder),
    rename: async (from, to) => alive().rename(from, to),
    remove: async (path) => alive().remove(path),
    syncFolder: async (folder) => alive().syncFolder(folder),
  };
}

/** Proposes commands in one turn, with the next tickets of `outcomes`. */
export function proposeAll(
  world: MemberWorld,
  outcomes: Outcomes,
  commands: readonly Command[],
): void {
  for (const [field, message] of commands) {
    world.replica.propose(field, message, 0, message.length, outcomes, outcomes.issued++);
  }
}

export type Command = [CommandField, Uint8Array];

export function putCommand(
  key: string,
  value: string,
  more: Parameters<typeof PutRequest.fromPartial>[0] = {},
): Command {
  const request = PutRequest.fromPartial({ key: bytes(key), value: bytes(value), ...more });
  return [CommandField.put, PutRequest.encode(request).finish()];
}

export function grantCommand(id: bigint, ttl: number): Command {
  const request = LeaseGrantRequest.fromPartial({ ID: id, TTL: ttl });
  return [CommandField.leaseGrant, LeaseGrantRequest.encode(request).finish()];
}

export function revokeCommand(id: bigint): Command {
  const request = LeaseRevokeRequest.fromPartial({ ID: id });
  return [CommandField.leaseRevoke, LeaseRevokeRequest.encode(request).finish()];
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

/** All live keys, decoded; keys and values have one char per byte. */
export function dump(replica: MemberReplica, revision = 0) {
  const result = replica.store.range({ key: bytes("\0"), rangeEnd: bytes("\0"), revision });
  if ("error" in result) throw new Error(`can not read revision ${revision}: ${result.error}`);
  return result.kvs.map((encoded) => {
    const kv = KeyValue.decode(encoded);
    return {
      key: asBuffer(kv.key).toString("latin1"),
      value: asBuffer(kv.value).toString("latin1"),
      createRevision: kv.createRevision,
      modRevision: kv.modRevision,
      version: kv.version,
      lease: kv.lease,
    };
  });
}
