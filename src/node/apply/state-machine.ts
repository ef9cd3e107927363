// What a committed entry means: finds the command in it and applies it to the store, the leases, the
// alarms or the membership. The same entries in the same order give the same state on every member.

import { asBuffer } from "../../base/bytes.ts";
import { failpoints } from "../../base/failpoint.ts";
import type { Lessor } from "../../lease/lessor.ts";
import type { Store } from "../../mvcc/store.ts";
import {
  decodeMembershipChange,
  type MembershipChange,
  membershipChangeOfV1,
} from "../../raft/confchange/conf-change.ts";
import type { ConfState } from "../../raft/message.ts";
import { type Entry, EntryType } from "../../raft/types.ts";
import { decodeRequest, UnreadableRequest } from "../../wire/decode-request.ts";
import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import {
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from "../../wire/generated/membership.ts";
import { ConfChange } from "../../wire/generated/raft.ts";
import { AlarmRequest, AlarmResponse, TxnRequest } from "../../wire/generated/rpc.ts";
import { HeaderEncoder, ReplyWriter } from "../../wire/reply-writer.ts";
import type { MemberMetrics } from "../member-metrics.ts";
import { confStateOf, decodeConfState, encodeConfState } from "../members/conf-state.ts";
import type { Membership, MembershipEffect } from "../members/membership.ts";
import { type Alarm, CommandField } from "../replica-types.ts";
import { AlarmSet, AlarmType } from "./alarm-set.ts";
import { KvApplier } from "./apply-kv.ts";
import { LeaseApplier } from "./apply-lease.ts";
import { CommandView } from "./command.ts";
import { costOfTxn } from "./quota.ts";

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
  /** Hands a committed change of members to the core; returns who votes from now on. */
  readonly changeVoters: (change: MembershipChange) => ConfState;
  /** Someone was added, removed, promoted, or is reached elsewhere. */
  readonly onMembership: (effect: MembershipEffect) => void;
}

/** Rows of the meta table that the state machine owns. */
export const MetaKey = {
  alarms: "alarms",
  members: "members",
  term: "term",
  /** Encoded raftpb.ConfState. */
  confState: "confState",
} as const;

/** While members are known to differ, nothing is changed that could make it worse. */
const refusedWhenCorrupt: ReadonlySet<number> = new Set([
  CommandField.put,
  CommandField.deleteRange,
  CommandField.txn,
  CommandField.compaction,
  CommandField.leaseGrant,
  CommandField.leaseRevoke,
]);

export type LoggedCommand = [field: CommandField, message: Uint8Array];

export class StateMachine {
  /** After `apply` returned undefined, the writer's current message is the encoded reply. */
  readonly writer = new ReplyWriter();
  readonly alarms: AlarmSet;
  #confState: ConfState;
  readonly #store: Store;
  readonly #membership: Membership;
  readonly #metrics: MemberMetrics;
  readonly #kv: KvApplier;
  readonly #lease: LeaseApplier;
  readonly #command = new CommandView();
  readonly #now: () => number;
  readonly #changeVoters: (change: MembershipChange) => ConfState;
  readonly #onMembership: (effect: MembershipEffect) => void;
  /** Of the request in the entry that was applied last, as in request-id.ts; 0 and 0 when it had none. */
  idPrefix = 0;
  idCounter = 0;
  /** Of the last applied entry; stored with it. */
  #appliedTerm: number;

  constructor(options: StateMachineOptions, parts: StateMachineParts) {
    const { store, lessor, membership, metrics, now } = parts;
    this.#now = now;
    this.#changeVoters = parts.changeVoters;
    this.#onMembership = parts.onMembership;
    this.#confState = confStateOfStore(store, membership);
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

  /** Who votes after the last applied entry. */
  get confState(): ConfState {
    return this.#confState;
  }

  /** The store goes on from another state, as after a snapshot: reads again what is kept here. */
  reload(): void {
    this.#membership.load(this.#store.getMeta(MetaKey.members));
    this.#confState = confStateOfStore(this.#store, this.#membership);
    this.#appliedTerm = appliedTermOf(this.#store);
    this.alarms.load(this.#store.getMeta(MetaKey.alarms));
  }

  /** Applies one entry. Returns why its command was refused, or undefined; `term` goes into the reply. */
  apply(entry: Entry, term: number): EtcdError | undefined {
    if (entry.term !== this.#appliedTerm) {
      this.#appliedTerm = entry.term;
      this.#store.setMeta(MetaKey.term, Buffer.from(String(entry.term)));
    }
    this.idPrefix = 0;
    this.idCounter = 0;
    if (entry.type !== EntryType.normal) return this.#applyConfChange(entry);
    // A new leader's empty entry.
    if (entry.data.length === 0) return undefined;
    const command = this.#command.read(entry.data);
    this.idPrefix = command.idPrefix;
    this.idCounter = command.idCounter;
    const data = asBuffer(entry.data);
    const { applyTimes } = this.#metrics;
    applyTimes.next(command.field, this.#now);
    let refusal: EtcdError | undefined;
    try {
      refusal = this.#dispatch(command.field, data, command.start, command.end, term);
    } catch (error) {
      // A request that can not be read is refused before it changed anything, and again at every replay.
      if (!(error instanceof UnreadableRequest)) throw error;
      refusal = { code: error.code, message: error.message };
    }
    applyTimes.count(refusal === undefined);
    return refusal;
  }

  /** What a member tells the cluster when it starts: its name and where clients reach it. */
  publishCommands(
    memberId: bigint,
    attributes: { readonly name: string; readonly clientUrls: readonly string[] },
  ): LoggedCommand[] {
    const request = ClusterMemberAttrSetRequest.fromPartial({
      memberID: memberId,
      memberAttributes: { name: attributes.name, clientUrls: [...attributes.clientUrls] },
    });
    return [
      [CommandField.clusterMemberAttrSet, ClusterMemberAttrSetRequest.encode(request).finish()],
    ];
  }

  versionCommand(ver: string): LoggedCommand {
    const request = ClusterVersionSetRequest.fromPartial({ ver });
    return [CommandField.clusterVersionSet, ClusterVersionSetRequest.encode(request).finish()];
  }

  downgradeCommand(enabled: boolean, ver: string): LoggedCommand {
    const request = DowngradeInfoSetRequest.fromPartial({ enabled, ver });
    return [CommandField.downgradeInfoSet, DowngradeInfoSetRequest.encode(request).finish()];
  }

  #dispatch(
    field: number,
    data: Buffer,
    start: number,
    end: number,
    term: number,
  ): EtcdError | undefined {
    if (this.alarms.has(AlarmType.corrupt) && refusedWhenCorrupt.has(field)) {
      return EtcdErrors.corrupt;
    }
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
      case CommandField.downgradeInfoSet: {
        const { enabled, ver } = decodeRequest(DowngradeInfoSetRequest, data, start, end);
        this.#membership.setDowngrade({ enabled, targetVersion: ver });
        return this.#saveMembership();
      }
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

  #applyConfChange(entry: Entry): EtcdError | undefined {
    failpoints.beforeApplyOneConfChange?.reachNow();
    if (entry.type !== EntryType.confChange) {
      // The second form: nobody proposes it here, and an empty one ends a joint configuration.
      this.#setConfState(this.#changeVoters(decodeMembershipChange(entry.type, entry.data)));
      return undefined;
    }
    const proposed = ConfChange.decode(entry.data);
    const id = proposed.id ?? 0n;
    this.idPrefix = Number(id >> 48n);
    this.idCounter = Number(id & 0xffff_ffff_ffffn);
    const { refusal, effect, change } = this.#membership.applyConfChange(proposed);
    this.#setConfState(this.#changeVoters(membershipChangeOfV1(change)));
    if (effect) {
      this.#saveMembership();
      this.#onMembership(effect);
    }
    this.writer.begin(0);
    return refusal;
  }

  #setConfState(confState: ConfState): void {
    this.#confState = confState;
    this.#store.setMeta(MetaKey.confState, encodeConfState(confState));
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

/** Who votes, by a store's word. Databases of before there were clusters name the members only. */
export function confStateOfStore(store: Store, membership: Membership): ConfState {
  const stored = store.getMeta(MetaKey.confState);
  return stored ? decodeConfState(stored) : confStateOf(membership.list());
}
