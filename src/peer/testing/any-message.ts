import fc from "fast-check";
import type { ConfState, Message, MessageType, Snapshot } from "../../raft/message.ts";
import type { Entry } from "../../raft/types.ts";

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const id = fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
const bytes = fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one));

export const anyEntry: fc.Arbitrary<Entry> = fc.record({
  term: number,
  index: number,
  type: fc.nat(2),
  data: fc.oneof(
    bytes,
    fc.nat(9000).map((size) => Buffer.alloc(size, size)),
  ),
});

const ids = fc
  .uniqueArray(id, { maxLength: 4 })
  .map((list) => list.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));

const confState: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  learners: ids,
  votersOutgoing: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});

const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  data: bytes,
  metadata: fc.record({ index: number.map((n) => n || 1), term: number, confState }),
});

function messageOf(responses: fc.Arbitrary<Message[]>): fc.Arbitrary<Message> {
  return fc.record({
    type: fc.nat(23) as fc.Arbitrary<MessageType>,
    to: id,
    from: id,
    term: number,
    logTerm: number,
    index: number,
    entries: fc.array(anyEntry, { maxLength: 4 }),
    commit: number,
    vote: id,
    snapshot: fc.option(snapshot, { nil: undefined, freq: 4 }),
    reject: fc.boolean(),
    rejectHint: number,
    context: bytes,
    responses,
  });
}

export const anyMessage: fc.Arbitrary<Message> = messageOf(
  fc.array(messageOf(fc.constant([])), { maxLength: 2 }),
);

/** A message with these fields, all else empty. */
export function aMessage(fields: Partial<Message>): Message {
  return {
    type: 8,
    to: 0n,
    from: 0n,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: [],
    commit: 0,
    vote: 0n,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: Buffer.alloc(0),
    responses: [],
    ...fields,
  };
}

/** As a text that can be compared fast. */
export function plain(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, one) {
    const raw = this[key];
    if (raw instanceof Uint8Array) return Buffer.from(raw).toString("latin1");
    return typeof one === "bigint" ? `${one}n` : one;
  });
}
