import fc from "fast-check";
import { expect, test } from "vitest";
import {
  asBuffer,
  compareBytes,
  compareRanges,
  equalBytes,
  latin1Bytes,
  latin1Key,
  prefixEnd,
  readUint64,
  readUint64Big,
  writeUint64,
  writeUint64Big,
} from "./bytes.ts";

const bytes = () => fc.uint8Array({ maxLength: 12 });

test("compareRanges orders as compareBytes does", () => {
  fc.assert(
    fc.property(bytes(), bytes(), (a, b) => {
      const byRange = Math.sign(compareRanges(a, 0, a.length, b, 0, b.length));
      expect(byRange).toBe(Math.sign(compareBytes(a, b)));
      expect(equalBytes(a, b)).toBe(byRange === 0);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("latin1 keys keep every byte and the order", () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  expect(latin1Bytes(latin1Key(all, 0, 256))).toEqual(all);
  expect(latin1Key(all, 65, 68)).toBe("ABC");
});

test("uint64 round trips, big-endian", () => {
  const target = Buffer.alloc(16);
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (n, big) => {
      expect(writeUint64(target, 3, n)).toBe(11);
      expect(readUint64(target, 3)).toBe(n);
      expect(target.readBigUInt64BE(3)).toBe(BigInt(n));
      writeUint64Big(target, 5, big);
      expect(readUint64Big(target, 5)).toBe(big);
    }),
    { seed: 2, numRuns: 300 },
  );
  expect(() => writeUint64(target, 0, -1)).toThrow("safe range");
  target.fill(0xff);
  expect(() => readUint64(target, 0)).toThrow("safe range");
});

test("prefixEnd is the first key after the prefix", () => {
  expect(prefixEnd(Buffer.from("ab"))).toEqual(Buffer.from("ac"));
  expect(prefixEnd(Buffer.from([1, 255, 255]))).toEqual(Buffer.from([2]));
  expect(prefixEnd(Buffer.from([255]))).toBeUndefined();
  expect(prefixEnd(Buffer.alloc(0))).toBeUndefined();
});

test("asBuffer shares the memory", () => {
  const source = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  const view = asBuffer(source);
  source[0] = 9;
  expect([...view]).toEqual([9, 3]);
});
