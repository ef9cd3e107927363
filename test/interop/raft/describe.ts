// What the transcripts print of messages, entries, states and configurations, in their format.

import { decodeMembershipChange } from "../../../src/raft/confchange/conf-change.ts";
import {
  type ConfState,
  localAppendThread,
  localApplyThread,
  type Message,
  MessageType,
  type Snapshot,
} from "../../../src/raft/message.ts";
import type { ProgressStatus, Ready, Role } from "../../../src/raft/ready.ts";
import { type Entry, EntryType, type HardState } from "../../../src/raft/types.ts";

export function describeReady(ready: Ready): string {
  const { softState, hardState, readStates, entries, snapshot, committedEntries } = ready;
  const parts: string[] = [];
  if (softState !== undefined) {
    parts.push(`Lead:${softState.leader} State:${roleName(softState.role)}\n`);
  }
  if (hardState !== undefined && !isEmptyHardState(hardState)) {
    parts.push(`HardState ${describeHardState(hardState)}\n`);
  }
  if (readStates.length > 0) {
    const states = readStates.map(({ index, context }) => `{${index} [${context.join(" ")}]}`);
    parts.push(`ReadStates [${states.join(" ")}]\n`);
  }
  if (entries.length > 0) parts.push(`Entries:\n${describeEntries(entries)}`);
  if (isSnapshot(snapshot)) parts.push(`Snapshot ${describeSnapshot(snapshot)}\n`);
  if (committedEntries.length > 0) {
    parts.push(`CommittedEntries:\n${describeEntries(committedEntries)}`);
  }
  if (ready.messages.length > 0) {
    parts.push("Messages:\n", ...ready.messages.map((each) => `${describeMessage(each)}\n`));
  }
  if (parts.length === 0) return "<empty Ready>";
  return `Ready MustSync=${ready.mustSync}:\n${parts.join("")}`;
}

export function describeMessage(message: Message, indent = ""): string {
  const { from, to, type, term, logTerm, index, entries, snapshot, responses } = message;
  let text = `${indent}${target(from)}->${target(to)} ${messageTypeName(type)}`;
  text += ` Term:${term} Log:${logTerm}/${index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== 0n) text += ` Vote:${message.vote}`;
  if (entries.length === 1) {
    text += ` Entries:[${describeEntry(entries[0] as Entry)}]`;
  } else if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`);
    text += ` Entries:[${lines.join("")}\n${indent}]`;
  }
  if (isSnapshot(snapshot)) text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  if (responses.length > 0) {
    const lines = responses.map((each) => `\n${describeMessage(each, `${indent}  `)}`);
    text += ` Responses:[${lines.join("")}\n${indent}]`;
  }
  return text;
}

export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join("");
}

const entryTypeNames = {
  [EntryType.normal]: "EntryNormal",
  [EntryType.confChange]: "EntryConfChange",
  [EntryType.confChangeV2]: "EntryConfChangeV2",
};

function describeEntry({ term, index, type, data }: Entry): string {
  const name = entryTypeNames[type as keyof typeof entryTypeNames];
  const content = type === EntryType.normal ? quote(data) : describeChange(type, data);
  return `${term}/${index} ${name}${content === "" ? "" : ` ${content}`}`;
}

const changeLetters = { addVoter: "v", addLearner: "l", remove: "r", update: "u" };

function describeChange(type: number, data: Uint8Array): string {
  const { changes } = decodeMembershipChange(type, data);
  return changes.map(({ kind, id }) => `${changeLetters[kind]}${id}`).join(" ");
}

/** `voters=(1 2)&&(1) learners=(3) learners_next=(4) autoleave` */
export function describeConfig(config: ConfState): string {
  let text = `voters=${idList(config.voters)}`;
  if (config.votersOutgoing.length > 0) text += `&&${idList(config.votersOutgoing)}`;
  if (config.learners.length > 0) text += ` learners=${idList(config.learners)}`;
  if (config.learnersNext.length > 0) text += ` learners_next=${idList(config.learnersNext)}`;
  return config.autoLeave ? `${text} autoleave` : text;
}

const progressStates = {
  probe: "StateProbe",
  replicate: "StateReplicate",
  snapshot: "StateSnapshot",
};

export function describeProgress(progress: ProgressStatus): string {
  let text = `${progress.id}: ${progressStates[progress.state]}`;
  text += ` match=${progress.match} next=${progress.next}`;
  if (progress.isLearner) text += " learner";
  if (progress.isPaused) text += " paused";
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.recentActive) text += " inactive";
  if (progress.inflight > 0) text += ` inflight=${progress.inflight}`;
  return progress.inflight > 0 && progress.isWindowFull ? `${text}[full]` : text;
}

const roleNames: Record<Role, string> = {
  follower: "StateFollower",
  preCandidate: "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

export function roleName(role: Role): string {
  return roleNames[role];
}

export function messageTypeName(type: MessageType): string {
  const entry = Object.entries(MessageType).find(([, value]) => value === type);
  const name = entry?.[0] ?? "?";
  return `Msg${name[0]?.toUpperCase()}${name.slice(1)}`;
}

export function messageTypeNamed(name: string): MessageType {
  const type = Object.values(MessageType).find((each) => messageTypeName(each) === name);
  if (type === undefined) throw new Error(`unknown message type ${name}`);
  return type;
}

/** Index 0 is how "none" looks. */
export function isSnapshot(snapshot: Snapshot | undefined): snapshot is Snapshot {
  return snapshot !== undefined && snapshot.metadata.index !== 0;
}

export function isEmptyHardState(state: HardState): boolean {
  return state.term === 0 && state.vote === 0n && state.commit === 0;
}

function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === 0n ? "" : ` Vote:${vote}`} Commit:${commit}`;
}

function describeSnapshot({ metadata }: Snapshot): string {
  const { index, term, confState } = metadata;
  const list = (ids: readonly bigint[]) => `[${ids.join(" ")}]`;
  const lists = [
    `Voters:${list(confState.voters)}`,
    `VotersOutgoing:${list(confState.votersOutgoing)}`,
    `Learners:${list(confState.learners)}`,
    `LearnersNext:${list(confState.learnersNext)}`,
    `AutoLeave:${confState.autoLeave}`,
  ];
  return `Index:${index} Term:${term} ConfState:${lists.join(" ")}`;
}

function target(id: bigint): string {
  if (id === 0n) return "None";
  if (id === localAppendThread) return "AppendThread";
  if (id === localApplyThread) return "ApplyThread";
  return id.toString(16);
}

function idList(ids: readonly bigint[]): string {
  return `(${ids.map((id) => id.toString(16)).join(" ")})`;
}

function quote(data: Uint8Array): string {
  return JSON.stringify(Buffer.from(data).toString());
}
