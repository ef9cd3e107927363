// Runs the interaction transcripts: members that are driven one step at a time, and messages that lie
// between them until a command delivers or drops them. Everything that happens is printed, except while
// the log level is "none".

import {
  localAppendThread,
  localApplyThread,
  type Message,
  MessageType,
  type Snapshot,
} from "../../../src/raft/message.ts";
import { EntryType, type Proposal } from "../../../src/raft/types.ts";
import {
  describeEntries,
  describeMessage,
  describeProgress,
  describeReady,
  messageTypeNamed,
  roleName,
} from "./describe.ts";
import { argument, confChangeOf, optionsOf } from "./interaction-arguments.ts";
import { emptySnapshot, Member } from "./member.ts";
import type { Argument, Command } from "./transcript.ts";

const refusals = {
  dropped: "raft proposal dropped",
  local: "raft: cannot step raft local message",
  unknownPeer: "raft: cannot step as peer not found",
};

const levels = ["debug", "info", "warn", "error", "fatal", "none"];

export class InteractionHarness {
  readonly #members: Member[] = [];
  #messages: Message[] = [];
  #output = "";
  #isQuiet = false;

  /** Runs a command and returns what it prints, "ok" if that is nothing. */
  run(command: Command): string {
    this.#output = "";
    const error = this.#handle(command);
    if (error !== undefined && this.#isQuiet) return error;
    this.#write(error ?? "");
    return this.#output === "" ? "ok" : this.#output;
  }

  #handle(command: Command): string | undefined {
    const { name, args } = command;
    const numbers = args.filter((arg) => arg.values.length === 0).map((arg) => Number(arg.key));
    switch (name) {
      case "add-nodes":
        return this.#addMembers(numbers[0] as number, args.slice(1));
      case "log-level":
        return this.#setLevel(args[0]?.key ?? "");
      case "raft-state":
        return this.#describeAll();
      case "stabilize":
        return this.#stabilizeAt(numbers, args);
      case "deliver-msgs":
        return this.#deliverTo(numbers, args);
      case "dup-msgs": {
        const to = BigInt(numbers[0] as number);
        this.#messages.push(...this.#messages.filter((it) => it.to === to && !isLocal(it)));
        return undefined;
      }
      case "process-ready":
        return this.#each(numbers, "handling Ready", (member) => this.#processReady(member));
      case "process-append-thread":
        return this.#each(numbers, "processing append thread", (it) => this.#processAppend(it));
      case "process-apply-thread":
        return this.#each(numbers, "processing apply thread", (it) => this.#processApply(it));
      case "transfer-leadership": {
        const [from, to] = [argument(args, "from"), argument(args, "to")];
        this.#member(Number(from)).raft.transferLeader(BigInt(to as string));
        return undefined;
      }
      default:
        return this.#handleAtMember(command, this.#member(numbers[0] as number), numbers);
    }
  }

  /** Commands to one member. */
  #handleAtMember(command: Command, member: Member, numbers: number[]): string | undefined {
    const { raft } = member;
    switch (command.name) {
      case "campaign":
        raft.campaign();
        return undefined;
      case "compact":
        member.storage.compact(numbers[1] as number);
        return this.#describeLog(member);
      case "forget-leader":
        raft.forgetLeader();
        return undefined;
      case "propose":
        return this.#propose(member, {
          type: EntryType.normal,
          data: Buffer.from(command.args[1]?.key ?? ""),
        });
      case "propose-conf-change":
        return this.#propose(member, confChangeOf(command));
      case "raft-log":
        return this.#describeLog(member);
      case "read-index":
        raft.readIndex(Buffer.from(command.args[1]?.key ?? ""));
        return undefined;
      case "report-snapshot":
        raft.reportSnapshot(
          BigInt(numbers[1] as number),
          argument(command.args, "result") === "ok",
        );
        return undefined;
      case "report-unreachable":
        raft.reportUnreachable(BigInt(numbers[1] as number));
        return undefined;
      case "send-snapshot":
        return this.#sendSnapshot(member, BigInt(numbers[1] as number));
      case "set-randomized-election-timeout":
        raft.setElectionTimeout(Number(argument(command.args, "timeout")));
        return undefined;
      case "status":
        for (const each of raft.status().progress) this.#write(`${describeProgress(each)}\n`);
        return undefined;
      case "tick-election":
        for (let i = 0; i < member.options.electionTick; i++) raft.tick();
        return undefined;
      case "tick-heartbeat":
        for (let i = 0; i < member.options.heartbeatTick; i++) raft.tick();
        return undefined;
      default:
        return "unknown command";
    }
  }

  #addMembers(count: number, args: readonly Argument[]): string | undefined {
    const ids = (key: string) =>
      args.filter((arg) => arg.key === key).flatMap((arg) => arg.values.map(BigInt));
    const index = Number(argument(args, "index") ?? 0);
    const start: Snapshot = {
      metadata: {
        index,
        term: 1,
        confState: {
          ...emptySnapshot.metadata.confState,
          voters: ids("voters"),
          learners: ids("learners"),
        },
      },
      data: Buffer.from(argument(args, "content") ?? ""),
    };
    for (let i = 0; i < count; i++) {
      const id = BigInt(this.#members.length + 1);
      const snapshot = args.length === 0 || index === 0 ? emptySnapshot : start;
      this.#members.push(new Member(id, optionsOf(args, index), snapshot));
    }
    return undefined;
  }

  #setLevel(name: string): string | undefined {
    if (!levels.includes(name.toLowerCase())) return `no such log level: ${name}`;
    this.#isQuiet = name.toLowerCase() === "none";
    return undefined;
  }

  #describeAll(): undefined {
    for (const { raft } of this.#members) {
      const { id, role, confState, term, leader } = raft.status();
      const votes = [...confState.voters, ...confState.votersOutgoing].includes(id);
      const vote = votes ? "(Voter)" : "(Non-Voter)";
      this.#write(`${id}: ${roleName(role)} ${vote} Term:${term} Lead:${leader}\n`);
    }
  }

  #describeLog({ storage }: Member): undefined {
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    if (last < first) {
      this.#write(`log is empty: first index=${first}, last index=${last}`);
    } else {
      const entries = storage.entries(first, last + 1, Number.MAX_SAFE_INTEGER);
      this.#write(describeEntries(entries ?? []));
    }
  }

  #propose({ raft }: Member, proposal: Proposal): string | undefined {
    const refused = raft.propose([proposal]);
    return refused === undefined ? undefined : refusals[refused];
  }

  #sendSnapshot(member: Member, to: bigint): undefined {
    const message: Message = {
      ...{ type: MessageType.snap, to, from: member.id, term: member.raft.term },
      ...{ logTerm: 0, index: 0, entries: [], commit: 0, vote: 0n, snapshot: member.snapshot() },
      ...{ reject: false, rejectHint: 0, context: new Uint8Array(0), responses: [] },
    };
    this.#messages.push(message);
    this.#write(describeMessage(message));
  }

  #deliverTo(ids: readonly number[], args: readonly Argument[]): undefined {
    const typeName = argument(args, "type");
    const type = typeName === undefined ? undefined : messageTypeNamed(typeName);
    const dropped = args.filter((arg) => arg.key === "drop").flatMap((arg) => arg.values);
    let handled = 0;
    for (const id of ids) handled += this.#deliver(BigInt(id), type, false);
    for (const id of dropped) handled += this.#deliver(BigInt(id), type, true);
    if (handled === 0) this.#write("no messages\n");
  }

  /** Delivers or drops what lies there for a member; returns how many messages that were. */
  #deliver(to: bigint, type: MessageType | undefined, isDrop: boolean): number {
    const isMeant = (message: Message) =>
      message.to === to &&
      (type === undefined || message.type === type) &&
      !(isDrop && isLocal(message));
    const meant = this.#messages.filter(isMeant);
    this.#messages = this.#messages.filter((message) => !isMeant(message));
    for (const message of meant) {
      this.#write(`${isDrop ? "dropped: " : ""}${describeMessage(message)}\n`);
      if (isDrop) continue;
      const refused = this.#member(Number(to)).raft.step(message);
      if (refused !== undefined) this.#write(`${refusals[refused]}\n`);
    }
    return meant.length;
  }

  #processReady(member: Member): void {
    const ready = member.raft.ready();
    this.#write(describeReady(ready));
    const isAsync = member.options.asyncStorageWrites ?? false;
    if (!isAsync) {
      member.persist(ready.hardState, ready.entries, ready.snapshot);
      member.apply(ready.committedEntries);
    }
    for (const message of ready.messages) {
      if (message.to === localAppendThread) member.appendWork.push(message);
      else if (message.to === localApplyThread) member.applyWork.push(message);
      else this.#messages.push(message);
    }
    if (!isAsync) member.raft.advance();
  }

  #processAppend(member: Member): void {
    const message = member.appendWork.shift();
    if (message === undefined) {
      this.#write("no append work to perform");
      return;
    }
    this.#write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`);
    const { term, vote, commit, entries, snapshot, responses } = message;
    member.persist({ term, vote, commit }, entries, snapshot);
    this.#send(responses);
  }

  #processApply(member: Member): void {
    const message = member.applyWork.shift();
    if (message === undefined) {
      this.#write("no apply work to perform");
      return;
    }
    this.#write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`);
    member.apply(message.entries);
    this.#send(message.responses);
  }

  #send(responses: readonly Message[]): void {
    this.#write("Responses:\n");
    for (const response of responses) this.#write(`${describeMessage(response)}\n`);
    this.#messages.push(...responses);
  }

  #stabilizeAt(ids: readonly number[], args: readonly Argument[]): string | undefined {
    const wasQuiet = this.#isQuiet;
    const level = argument(args, "log-level");
    const error = level === undefined ? undefined : this.#setLevel(level);
    const members = ids.length === 0 ? this.#members : ids.map((id) => this.#member(id));
    if (error === undefined) while (this.#stabilizeOnce(members));
    this.#isQuiet = wasQuiet;
    return error;
  }

  /** Every member does what it can; false when there was nothing to do. */
  #stabilizeOnce(members: readonly Member[]): boolean {
    let isDone = true;
    const step = (member: Member, what: string, body: () => void): void => {
      isDone = false;
      this.#write(`> ${member.id} ${what}\n`);
      body();
    };
    for (const member of members) {
      if (!member.raft.hasReady()) continue;
      step(member, "handling Ready", () => this.#indented(() => this.#processReady(member)));
    }
    for (const member of members) {
      if (!this.#messages.some((message) => message.to === member.id)) continue;
      step(member, "receiving messages", () =>
        this.#indented(() => this.#deliver(member.id, undefined, false)),
      );
    }
    for (const member of members) {
      if (member.appendWork.length === 0) continue;
      step(member, "processing append thread", () => {
        while (member.appendWork.length > 0) this.#indented(() => this.#processAppend(member));
      });
    }
    for (const member of members) {
      if (member.applyWork.length === 0) continue;
      step(member, "processing apply thread", () => {
        while (member.applyWork.length > 0) this.#indented(() => this.#processApply(member));
      });
    }
    return !isDone;
  }

  /** One member's output stands alone; that of several is indented under a line for each. */
  #each(ids: readonly number[], what: string, body: (member: Member) => void): undefined {
    for (const id of ids) {
      const member = this.#member(id);
      if (ids.length === 1) {
        body(member);
      } else {
        this.#write(`> ${id} ${what}\n`);
        this.#indented(() => body(member));
      }
    }
  }

  #indented(body: () => void): void {
    const before = this.#output;
    this.#output = "";
    body();
    const lines = this.#output === "" ? [] : this.#output.replace(/\n$/, "").split("\n");
    this.#output = before + lines.map((line) => `  ${line}\n`).join("");
  }

  #write(text: string): void {
    if (!this.#isQuiet) this.#output += text;
  }

  #member(id: number): Member {
    const member = this.#members[id - 1];
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }
}

/** Messages between a member and its own threads, which are never lost. */
function isLocal({ from, to }: Message): boolean {
  return (
    from === to || [from, to].some((id) => id === localAppendThread || id === localApplyThread)
  );
}
