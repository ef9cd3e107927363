// What a committed entry means: finds the command in it and applies it to the store, the leases, the
// alarms or the membership. The same entries in the same order give the same state on every member.

import { assert } from "../base/assert.ts";
import { asBuffer } from "../base/bytes.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import { type Entry, EntryType } from "../raft/types.ts";
import { decodeRequest, UnreadableRequest } from "../wire/decode-request.ts";
import { type EtcdError, EtcdErrors } from "../wire/errors.ts";
import {
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
} from "../wire/generated/membership.ts";
import { ConfChange } from "../wire/generated/raft.ts";
import { AlarmRequest, AlarmResponse, TxnRequest } from "../wire/generated/rpc.ts";
import { HeaderEncoder, ReplyWriter } from "../wire/reply-writer.ts";
import { AlarmSet, AlarmType } from "./alarm-set.ts";
import { KvApplier } from "./apply-kv.ts";
import { LeaseApplier } from "./apply-lease.ts";
import { CommandView } from "./command.ts";
import type { MemberMetrics } from "./member-metrics.ts";
import type { Membership } from "./membership.ts";
import { costOfTxn } from "./quota.ts";
import { type Alarm, CommandField } from "./replica-types.ts";

export interface StateMachineOptions {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

export interface StateMachineParts {
  readonly store: Store;
  readonly lessor: Lessor;
  readonly membership: Membership;
  readonly metrics: MemberMetrics;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Rows of the meta table that the state machine owns. */
export const MetaKey = { alarms: "alarms", members: "members", term: "term" } as const;

const versionOfCluster = "3.7.0";

export class StateMachine {
  /** After `apply` returned undefined, the writer's current message is the encoded reply. */
  readonly writer = new ReplyWriter();
  readonly alarms: AlarmSet;
  readonly #store: Store;
  readonly #membership: Membership;
  readonly #metrics: MemberMetrics;
  readonly #kv: KvApplier;
  readonly #lease: LeaseApplier;
  readonly #command = new CommandView();
  /** Of the last applied entry; stored with it. */
  #appliedTerm: number;

  constructor(options: StateMachineOptions, parts: StateMachineParts) {
    const { store, lessor, membership, metrics, now } = parts;
    this.#metrics = metrics;
    const header = new HeaderEncoder(options.clusterId, options.memberId);
    this.#store = store;
    this.#membership = membership;
    this.#appliedTerm = appliedTermOf(store);
    this.alarms = new AlarmSet(store.getMeta(MetaKey.alarms));
    this.#kv = new KvApplier(store, lessor, header, this.writer);
    this.#lease = new LeaseApplier(store, lessor, header, this.writer, now);
  }

  /** The term of the last applied entry; during a replay it is older than the member's own. */
  get appliedTerm(): number {
    return this.#appliedTerm;
  }

  /** Applies one entry. Returns why its command was refused, or undefined; `term` goes into the reply. */
  apply(entry: Entry, term: number): EtcdError | undefined {
    if (entry.term !== this.#appliedTerm) {
      this.#appliedTerm = entry.term;
      this.#store.setMeta(MetaKey.term, Buffer.from(String(entry.term)));
    }
    if (entry.type !== EntryType.normal) {
      this.#applyConfChange(entry);
      return undefined;
    }
    // A new leader's empty entry.
    if (entry.data.length === 0) return undefined;
    const command = this.#command.read(entry.data);
    const data = asBuffer(entry.data);
    try {
      return this.#dispatch(command.field, data, command.start, command.end, term);
    } catch (error) {
      // A request that can not be read is refused before it changed anything, and again at every replay.
      if (!(error instanceof UnreadableRequest)) throw error;
      return { code: error.code, message: error.message };
    }
  }

  /** What a member tells the cluster when it starts: its attributes, and the version if there is none. */
  publishCommands(
    memberId: bigint,
    attributes: { readonly name: string; readonly clientUrls: readonly string[] },
  ): [CommandField, Uint8Array][] {
    const request = ClusterMemberAttrSetRequest.fromPartial({
      memberID: memberId,
      memberAttributes: { name: attributes.name, clientUrls: [...attributes.clientUrls] },
    });
    const commands: [CommandField, Uint8Array][] = [
      [CommandField.clusterMemberAttrSet, ClusterMemberAttrSetRequest.encode(request).finish()],
    ];
    if (this.#membership.clusterVersion !== versionOfCluster) {
      const version = ClusterVersionSetRequest.fromPartial({ ver: versionOfCluster });
      commands.push([
        CommandField.clusterVersionSet,
        ClusterVersionSetRequest.encode(version).finish(),
      ]);
    }
    return commands;
  }

  #dispatch(
    field: number,
    data: Buffer,
    start: number,
    end: number,
    term: number,
  ): EtcdError | undefined {
    switch (field) {
      case CommandField.put:
        this.#metrics.puts.value += 1;
        return this.#isFull() ? EtcdErrors.noSpace : this.#kv.put(data, start, end, term);
      case CommandField.txn:
        this.#metrics.txns.value += 1;
        return this.#txn(data, start, end, term);
      case CommandField.deleteRange:
        this.#metrics.deletes.value += 1;
        return this.#kv.deleteRange(data, start, end, term);
      case CommandField.compaction:
        return this.#kv.compact(data, start, end, term);
      case CommandField.leaseGrant:
        this.#metrics.leasesGranted.value += 1;
        return this.#isFull() ? EtcdErrors.noSpace : this.#lease.grant(data, start, end, term);
      case CommandField.leaseRevoke:
        this.#metrics.leasesRevoked.value += 1;
        return this.#lease.revoke(data, start, end, term);
      case CommandField.leaseCheckpoint:
        return this.#lease.checkpoint(data, start, end, term);
      case CommandField.alarm:
        return this.#applyAlarm(data.subarray(start, end));
      case CommandField.clusterVersionSet:
        this.#membership.setClusterVersion(
          decodeRequest(ClusterVersionSetRequest, data, start, end).ver,
        );
        return this.#saveMembership();
      case CommandField.clusterMemberAttrSet:
        this.#applyAttributes(decodeRequest(ClusterMemberAttrSetRequest, data, start, end));
        return this.#saveMembership();
      default:
        throw new Error(`the log holds a command of an unknown kind: field ${field}`);
    }
  }

  /** While the space alarm stands, what adds data is refused; what frees it goes through. */
  #isFull(): boolean {
    return this.alarms.has(AlarmType.noSpace);
  }

  #txn(data: Buffer, start: number, end: number, term: number): EtcdError | undefined {
    if (this.#isFull() && costOfTxn(decodeRequest(TxnRequest, data, start, end)) > 0) {
      return EtcdErrors.noSpace;
    }
    return this.#kv.txn(data, start, end, term);
  }

  #applyAlarm(message: Uint8Array): EtcdError | undefined {
    const request = decodeRequest(AlarmRequest, message, 0, message.length);
    const changed = this.#changeAlarms(request);
    this.#store.setMeta(MetaKey.alarms, this.alarms.encode());
    const response = AlarmResponse.encode(
      AlarmResponse.fromPartial({
        alarms: changed.map((alarm) => ({ memberID: alarm.memberId, alarm: alarm.type as never })),
      }),
    ).finish();
    this.writer.begin(response.length);
    this.writer.raw(response);
    return undefined;
  }

  #changeAlarms(request: AlarmRequest): readonly Alarm[] {
    switch (request.action) {
      case 0:
        return this.alarms.list(request.alarm);
      case 1:
        return request.alarm === AlarmType.none
          ? []
          : [this.alarms.activate(request.memberID, request.alarm)];
      case 2: {
        const gone = this.alarms.deactivate(request.memberID, request.alarm);
        return gone ? [gone] : [];
      }
      default:
        return [];
    }
  }

  #applyAttributes(request: ClusterMemberAttrSetRequest): void {
    const { name, clientUrls } = request.memberAttributes ?? { name: "", clientUrls: [] };
    this.#membership.setAttributes(request.memberID, name, clientUrls);
  }

  #applyConfChange(entry: Entry): void {
    assert(entry.type === EntryType.confChange, `unknown entry type ${entry.type}`);
    const change = ConfChange.decode(entry.data);
    const member = JSON.parse(Buffer.from(change.context ?? []).toString()) as {
      readonly peerURLs: readonly string[];
      readonly isLearner?: boolean;
    };
    this.#membership.add(change.nodeId ?? 0n, member.peerURLs, member.isLearner === true);
    this.#saveMembership();
  }

  #saveMembership(): undefined {
    this.#store.setMeta(MetaKey.members, this.#membership.encode());
    this.writer.begin(0);
  }
}

/** The term of the last entry that `store` has applied; 0 for a new one. */
export function appliedTermOf(store: Store): number {
  const stored = store.getMeta(MetaKey.term);
  return stored ? Number(Buffer.from(stored).toString()) : 0;
}
