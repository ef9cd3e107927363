// raftpb.Message and what it holds, on bytes. Written: fields in order of their numbers, zeros and
// empty bytes left out, as etcd 3.7 mostly does. Read: any order, zeros present or not (older etcds
// write them all). Bytes that are read are views of the source, never copies. Malformed input throws a
// StatusError; numbers beyond 2^53 (terms, indexes) count as malformed.

import { emptyBytes } from "../base/bytes.ts";
import { Status, StatusError } from "../base/status.ts";
import {
  FieldReader,
  varintSize,
  varintSizeBig,
  WireType,
  writeVarint,
  writeVarintBig,
} from "../base/varint.ts";
import type {
  ConfState,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";

/** Responses hold responses only by mistake. */
const nestingMax = 3;
const messageTypeMax = 23;

/** More than an entry takes beside its data, whatever its numbers. */
export const entryOverheadBytes = 32;

const noEntries: readonly Entry[] = [];
const noMessages: readonly Message[] = [];
const noVoters: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

// ---- sizes -------------------------------------------------------------------------------------

export function entrySize(entry: Entry): number {
  const { type, term, index, data } = entry;
  return (
    (type === 0 ? 0 : 1 + varintSize(type)) +
    (term === 0 ? 0 : 1 + varintSize(term)) +
    (index === 0 ? 0 : 1 + varintSize(index)) +
    (data.length === 0 ? 0 : 1 + varintSize(data.length) + data.length)
  );
}

export function messageSize(message: Message): number {
  let size =
    1 +
    varintSize(message.type) +
    idSize(message.to) +
    idSize(message.from) +
    numberSize(message.term) +
    numberSize(message.logTerm) +
    numberSize(message.index) +
    numberSize(message.commit) +
    numberSize(message.rejectHint) +
    idSize(message.vote) +
    (message.reject ? 2 : 0) +
    bytesSize(message.context);
  for (const entry of message.entries) size += nestedSize(entrySize(entry));
  if (message.snapshot !== undefined) size += nestedSize(snapshotSize(message.snapshot));
  for (const response of message.responses) size += nestedSize(messageSize(response));
  return size;
}

/** Of a field with a number up to 15: tag and varint, nothing for 0. */
function numberSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

function idSize(id: bigint): number {
  return id === 0n ? 0 : 1 + varintSizeBig(id);
}

function bytesSize(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : nestedSize(bytes.length);
}

function nestedSize(length: number): number {
  return 1 + varintSize(length) + length;
}

function snapshotSize(snapshot: Snapshot): number {
  return bytesSize(snapshot.data) + nestedSize(metadataSize(snapshot.metadata));
}

function metadataSize(metadata: SnapshotMetadata): number {
  return (
    nestedSize(confStateSize(metadata.confState)) +
    numberSize(metadata.index) +
    numberSize(metadata.term)
  );
}

function confStateSize(state: ConfState): number {
  let size = state.autoLeave ? 2 : 0;
  for (const list of [state.voters, state.learners, state.votersOutgoing, state.learnersNext]) {
    for (const id of list) size += 1 + varintSizeBig(id);
  }
  return size;
}

// ---- writing -----------------------------------------------------------------------------------

/** Writes `entrySize` bytes at `at`; returns the offset after them. */
export function writeEntry(target: Uint8Array, at: number, entry: Entry): number {
  const { type, term, index, data } = entry;
  let next = at;
  if (type !== 0) {
    target[next++] = 0x08;
    next = writeVarint(target, next, type);
  }
  if (term !== 0) {
    target[next++] = 0x10;
    next = writeVarint(target, next, term);
  }
  if (index !== 0) {
    target[next++] = 0x18;
    next = writeVarint(target, next, index);
  }
  return data.length === 0 ? next : writeBytes(target, next, 0x22, data);
}

/** Writes `messageSize` bytes at `at`; returns the offset after them. */
export function writeMessage(target: Uint8Array, at: number, message: Message): number {
  let next = at;
  target[next++] = 0x08;
  next = writeVarint(target, next, message.type);
  next = writeId(target, next, 0x10, message.to);
  next = writeId(target, next, 0x18, message.from);
  next = writeNumber(target, next, 0x20, message.term);
  next = writeNumber(target, next, 0x28, message.logTerm);
  next = writeNumber(target, next, 0x30, message.index);
  for (const entry of message.entries) {
    target[next++] = 0x3a;
    next = writeVarint(target, next, entrySize(entry));
    next = writeEntry(target, next, entry);
  }
  next = writeNumber(target, next, 0x40, message.commit);
  if (message.snapshot !== undefined) next = writeSnapshot(target, next, message.snapshot);
  if (message.reject) {
    target[next++] = 0x50;
    target[next++] = 1;
  }
  next = writeNumber(target, next, 0x58, message.rejectHint);
  if (message.context.length > 0) next = writeBytes(target, next, 0x62, message.context);
  next = writeId(target, next, 0x68, message.vote);
  for (const response of message.responses) {
    target[next++] = 0x72;
    next = writeVarint(target, next, messageSize(response));
    next = writeMessage(target, next, response);
  }
  return next;
}

function writeNumber(target: Uint8Array, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  target[at] = tag;
  return writeVarint(target, at + 1, value);
}

function writeId(target: Uint8Array, at: number, tag: number, id: bigint): number {
  if (id === 0n) return at;
  target[at] = tag;
  return writeVarintBig(target, at + 1, id);
}

function writeBytes(target: Uint8Array, at: number, tag: number, bytes: Uint8Array): number {
  target[at] = tag;
  const start = writeVarint(target, at + 1, bytes.length);
  target.set(bytes, start);
  return start + bytes.length;
}

function writeSnapshot(target: Uint8Array, at: number, snapshot: Snapshot): number {
  const { data, metadata } = snapshot;
  let next = at;
  target[next++] = 0x4a;
  next = writeVarint(target, next, snapshotSize(snapshot));
  if (data.length > 0) next = writeBytes(target, next, 0x0a, data);
  target[next++] = 0x12;
  next = writeVarint(target, next, metadataSize(metadata));
  target[next++] = 0x0a;
  next = writeVarint(target, next, confStateSize(metadata.confState));
  next = writeConfState(target, next, metadata.confState);
  next = writeNumber(target, next, 0x10, metadata.index);
  return writeNumber(target, next, 0x18, metadata.term);
}

function writeConfState(target: Uint8Array, at: number, state: ConfState): number {
  let next = writeIds(target, at, 0x08, state.voters);
  next = writeIds(target, next, 0x10, state.learners);
  next = writeIds(target, next, 0x18, state.votersOutgoing);
  next = writeIds(target, next, 0x20, state.learnersNext);
  if (state.autoLeave) {
    target[next++] = 0x28;
    target[next++] = 1;
  }
  return next;
}

/** A repeated field of proto2: not packed, zeros written too. */
function writeIds(target: Uint8Array, at: number, tag: number, ids: readonly bigint[]): number {
  let next = at;
  for (const id of ids) {
    target[next++] = tag;
    next = writeVarintBig(target, next, id);
  }
  return next;
}

// ---- reading -----------------------------------------------------------------------------------

/** Reads messages and entries; keeps its field readers between calls, nothing else. */
export class MessageReader {
  readonly #entryFields = new FieldReader(emptyBytes);
  readonly #messageFields = new FieldReader(emptyBytes);

  /** The entry in source[start, end). Its data is a view. */
  entry(source: Buffer, start: number, end: number): Entry {
    const fields = this.#entryFields.reset(source, start, end);
    let type = 0;
    let term = 0;
    let index = 0;
    let data: Uint8Array = emptyBytes;
    while (fields.next()) {
      if (fields.field === 4 && fields.wireType === WireType.bytes) {
        data = source.subarray(fields.valueStart, fields.valueEnd);
      } else if (fields.field === 3 && fields.wireType === WireType.varint) {
        index = safe(fields);
      } else if (fields.field === 2 && fields.wireType === WireType.varint) {
        term = safe(fields);
      } else if (fields.field === 1 && fields.wireType === WireType.varint) {
        type = fields.int32();
      } else {
        refuseKnown(fields, 4);
      }
    }
    return { term, index, type, data };
  }

  /** The message in source[start, end). Its bytes are views. */
  message(source: Buffer, start: number, end: number): Message {
    return this.#read(this.#messageFields.reset(source, start, end), source, 0);
  }

  #read(fields: FieldReader, source: Buffer, depth: number): Message {
    const result = new MutableMessage();
    let entries: Entry[] | undefined;
    let responses: Message[] | undefined;
    while (fields.next()) {
      const { valueStart, valueEnd } = fields;
      if (fields.wireType === WireType.varint) {
        if (!result.setNumber(fields)) refuseKnown(fields, 14);
      } else if (fields.wireType !== WireType.bytes) {
        refuseKnown(fields, 14);
      } else if (fields.field === 7) {
        entries ??= [];
        entries.push(this.entry(source, valueStart, valueEnd));
      } else if (fields.field === 12) {
        result.context = source.subarray(valueStart, valueEnd);
      } else if (fields.field === 9) {
        result.snapshot = readSnapshot(source, valueStart, valueEnd);
      } else if (fields.field === 14) {
        if (depth === nestingMax) throw malformed("messages are nested too deeply");
        responses ??= [];
        const nested = new FieldReader(source, valueStart, valueEnd);
        responses.push(this.#read(nested, source, depth + 1));
      } else {
        refuseKnown(fields, 14);
      }
    }
    if (entries !== undefined) result.entries = entries;
    if (responses !== undefined) result.responses = responses;
    return result;
  }
}

/** A message being read. A class, so that all messages have one shape. */
class MutableMessage {
  type: MessageType = 0;
  to = 0n;
  from = 0n;
  term = 0;
  logTerm = 0;
  index = 0;
  entries: readonly Entry[] = noEntries;
  commit = 0;
  vote = 0n;
  snapshot: Snapshot | undefined = undefined;
  reject = false;
  rejectHint = 0;
  context: Uint8Array = emptyBytes;
  responses: readonly Message[] = noMessages;

  /** False for a field that holds no number. */
  setNumber(fields: FieldReader): boolean {
    switch (fields.field) {
      case 1:
        this.type = messageType(fields);
        return true;
      case 2:
        this.to = fields.uint64Big();
        return true;
      case 3:
        this.from = fields.uint64Big();
        return true;
      case 4:
        this.term = safe(fields);
        return true;
      case 5:
        this.logTerm = safe(fields);
        return true;
      case 6:
        this.index = safe(fields);
        return true;
      case 8:
        this.commit = safe(fields);
        return true;
      case 10:
        this.reject = fields.bool();
        return true;
      case 11:
        this.rejectHint = safe(fields);
        return true;
      case 13:
        this.vote = fields.uint64Big();
        return true;
      default:
        return false;
    }
  }
}

function messageType(fields: FieldReader): MessageType {
  const type = fields.int32();
  if (type < 0 || type > messageTypeMax) throw malformed(`message type ${type}`);
  return type as MessageType;
}

/** An empty snapshot, which older etcds write into every message, counts as none. */
function readSnapshot(source: Buffer, start: number, end: number): Snapshot | undefined {
  let data: Uint8Array = emptyBytes;
  let metadata: SnapshotMetadata = { index: 0, term: 0, confState: noVoters };
  const fields = new FieldReader(source, start, end);
  while (fields.next()) {
    if (fields.wireType !== WireType.bytes) refuseKnown(fields, 2);
    else if (fields.field === 1) data = source.subarray(fields.valueStart, fields.valueEnd);
    else if (fields.field === 2)
      metadata = readMetadata(source, fields.valueStart, fields.valueEnd);
  }
  return metadata.index === 0 && data.length === 0 ? undefined : { data, metadata };
}

function readMetadata(source: Buffer, start: number, end: number): SnapshotMetadata {
  let index = 0;
  let term = 0;
  let confState = noVoters;
  const fields = new FieldReader(source, start, end);
  while (fields.next()) {
    if (fields.field === 1 && fields.wireType === WireType.bytes) {
      confState = readConfState(source, fields.valueStart, fields.valueEnd);
    } else if (fields.field === 2 && fields.wireType === WireType.varint) {
      index = safe(fields);
    } else if (fields.field === 3 && fields.wireType === WireType.varint) {
      term = safe(fields);
    } else {
      refuseKnown(fields, 3);
    }
  }
  return { index, term, confState };
}

function readConfState(source: Buffer, start: number, end: number): ConfState {
  const lists: bigint[][] = [[], [], [], []];
  let autoLeave = false;
  const fields = new FieldReader(source, start, end);
  while (fields.next()) {
    const list = lists[fields.field - 1];
    if (fields.wireType === WireType.varint && list !== undefined) list.push(fields.uint64Big());
    else if (fields.wireType === WireType.bytes && list !== undefined) readPacked(fields, list);
    else if (fields.wireType === WireType.varint && fields.field === 5) autoLeave = fields.bool();
    else refuseKnown(fields, 5);
  }
  const [voters, learners, votersOutgoing, learnersNext] = lists.map(sortedIds) as [
    bigint[],
    bigint[],
    bigint[],
    bigint[],
  ];
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}

function sortedIds(ids: bigint[]): bigint[] {
  return ids.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Some writers pack repeated numbers; readers of proto2 take both forms. */
function readPacked(fields: FieldReader, list: bigint[]): void {
  let value = 0n;
  let shift = 0n;
  for (let at = fields.valueStart; at < fields.valueEnd; at++) {
    const byte = fields.source[at] as number;
    if (shift > 63n) throw malformed("a number is longer than 64 bits");
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte < 0x80) {
      list.push(BigInt.asUintN(64, value));
      value = 0n;
      shift = 0n;
    }
  }
  if (shift !== 0n) throw malformed("a number is cut off");
}

function safe(fields: FieldReader): number {
  const value = fields.uint64();
  if (!Number.isSafeInteger(value)) throw malformed(`field ${fields.field} exceeds 2^53`);
  return value;
}

/** Fields that are not known yet are skipped; a known one of another kind is refused. */
function refuseKnown(fields: FieldReader, known: number): void {
  if (fields.field <= known) throw malformed(`wire type ${fields.wireType} in ${fields.field}`);
}

function malformed(what: string): StatusError {
  return new StatusError(Status.INVALID_ARGUMENT, `malformed raft message: ${what}`);
}
