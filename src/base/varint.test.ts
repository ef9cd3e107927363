import fc from "fast-check";
import { expect, test } from "vitest";
import { StatusError } from "./status.ts";
import {
  FieldReader,
  varintSize,
  varintSizeBig,
  WireType,
  writeVarint,
  writeVarintBig,
} from "./varint.ts";

const target = Buffer.alloc(32);
const edges = [
  0,
  1,
  2 ** 7,
  2 ** 14,
  2 ** 21,
  2 ** 28,
  2 ** 31,
  2 ** 32,
  2 ** 35,
  2 ** 42,
  2 ** 49,
];
const near = [...edges.flatMap((n) => [n, n + 1, Math.max(0, n - 1)]), Number.MAX_SAFE_INTEGER];

function readBack(from: number, to: number): FieldReader {
  const reader = new FieldReader(target, from - 1, to);
  target[from - 1] = 8;
  expect(reader.next()).toBe(true);
  expect(reader.wireType).toBe(WireType.varint);
  return reader;
}

test("numbers round trip at every size boundary", () => {
  for (const n of near) {
    const end = writeVarint(target, 5, n);
    expect(end - 5).toBe(varintSize(n));
    expect(readBack(5, end).int64()).toBe(n);
    expect(writeVarintBig(target, 5, BigInt(n))).toBe(end);
    expect(readBack(5, end).uint64Big()).toBe(BigInt(n));
  }
});

test("negative numbers take ten bytes", () => {
  for (const n of [-1, -2, -(2 ** 31), -(2 ** 40), Number.MIN_SAFE_INTEGER]) {
    const end = writeVarint(target, 5, n);
    expect(end).toBe(15);
    expect(varintSize(n)).toBe(10);
    const reader = readBack(5, end);
    expect(reader.int64()).toBe(n);
    expect(reader.int64Big()).toBe(BigInt(n));
    if (n >= -(2 ** 31)) expect(reader.int32()).toBe(n);
  }
});

test("64-bit values round trip", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
      const end = writeVarintBig(target, 5, value);
      expect(end - 5).toBe(varintSizeBig(value));
      expect(readBack(5, end).uint64Big()).toBe(BigInt.asUintN(64, value));
    }),
    { seed: 3, numRuns: 500 },
  );
});

test("int64 beyond 2^53 keeps its sign and order", () => {
  const end = writeVarintBig(target, 5, 2n ** 63n - 1n);
  expect(readBack(5, end).int64()).toBe(2 ** 63);
});

test("walks fields, skips groups", () => {
  const message = Buffer.from([
    0x08, 0x05, 0x12, 0x02, 0x61, 0x62, 0x1b, 0x08, 0x01, 0x23, 0x24, 0x1c, 0x25, 1, 0, 0, 0, 0x29,
    2, 0, 0, 0, 1, 0, 0, 0,
  ]);
  const reader = new FieldReader(message);
  const seen: unknown[] = [];
  while (reader.next()) {
    if (reader.wireType === WireType.bytes)
      seen.push([reader.field, reader.copyBytes().toString()]);
    else seen.push([reader.field, reader.int64()]);
  }
  expect(seen).toEqual([
    [1, 5],
    [2, "ab"],
    [4, 1],
    [5, 2 ** 32 + 2],
  ]);
});

test.each([
  ["cut off varint", [0x08, 0x80]],
  ["no value", [0x08]],
  ["overlong varint", [0x08, ...new Array(10).fill(0x80), 0x01]],
  ["more than 64 bits", [0x08, ...new Array(9).fill(0xff), 0x02]],
  ["length past the end", [0x0a, 0x02, 0x00]],
  ["huge length", [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
  ["field 0", [0x00, 0x00]],
  ["wire type 6", [0x0e, 0x00]],
  ["end of a group never opened", [0x0c]],
  ["group cut off", [0x0b, 0x08, 0x01]],
  ["group ends as another", [0x0b, 0x14]],
  ["groups too deep", new Array(100).fill(0x0b)],
  ["cut off fixed32", [0x0d, 1, 2, 3]],
  ["cut off fixed64", [0x09, 1, 2, 3]],
])("malformed: %s", (_, bytes) => {
  const reader = new FieldReader(Buffer.from(bytes));
  expect(() => {
    while (reader.next());
  }).toThrow(StatusError);
});

test("any bytes end in fields within bounds or a StatusError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const reader = new FieldReader(bytes, 2, bytes.length);
      try {
        while (reader.next()) {
          if (reader.wireType !== WireType.bytes) continue;
          expect(reader.valueStart).toBeGreaterThanOrEqual(2);
          expect(reader.valueEnd).toBeLessThanOrEqual(bytes.length);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(StatusError);
      }
    }),
    { seed: 4, numRuns: 1000 },
  );
});
