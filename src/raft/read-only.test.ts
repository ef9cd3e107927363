import { expect, it } from "vitest";
import { makeMessage } from "./make-message.ts";
import { MessageType } from "./message.ts";
import { ReadOnly } from "./read-only.ts";

const request = makeMessage(MessageType.readIndex, 1n);

it("numbers its rounds, and each confirms all that waited when it began", () => {
  const reads = new ReadOnly();
  expect(reads.heartbeatContext()).toHaveLength(0);
  reads.add(5, request);
  const first = reads.heartbeatContext();
  reads.add(6, request);
  reads.add(7, request);
  const second = reads.heartbeatContext();
  expect([...first]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  expect([...second]).toEqual([3, 0, 0, 0, 0, 0, 0, 0]);
  reads.acknowledge(2n, first);
  expect(reads.acknowledged.get(2n)).toBe(1);
  expect(reads.confirmTo(1).map(({ index }) => index)).toEqual([5]);
  expect(reads.confirmTo(1)).toEqual([]);
  reads.acknowledge(2n, second);
  reads.acknowledge(2n, first);
  expect(reads.acknowledged.get(2n)).toBe(3);
  expect(reads.confirmTo(3).map(({ index }) => index)).toEqual([6, 7]);
  expect(reads.heartbeatContext()).toHaveLength(0);
  reads.add(8, request);
  expect([...reads.heartbeatContext()]).toEqual([4, 0, 0, 0, 0, 0, 0, 0]);
});

it("ignores what it never sent, and reads a context that lies within other bytes", () => {
  const reads = new ReadOnly();
  reads.add(5, request);
  reads.acknowledge(2n, Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0));
  reads.acknowledge(2n, Uint8Array.of(1));
  expect(reads.acknowledged.get(2n)).toBeUndefined();
  reads.acknowledge(2n, Buffer.from([7, 1, 0, 0, 0, 0, 0, 0, 0, 7]).subarray(1, 9));
  expect(reads.acknowledged.get(2n)).toBe(1);
});

it("bounds how many wait", () => {
  const reads = new ReadOnly();
  let taken = 0;
  while (reads.add(1, request)) taken += 1;
  expect(taken).toBe(10_000);
});
