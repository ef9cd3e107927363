import { crc32c as native } from "@node-rs/crc32";
import { expect, test } from "vitest";
import { updateCrc32c, updateCrc32cView } from "./crc32c.ts";
import { Random } from "./random.ts";

test("the check value of the standard", () => {
  expect(updateCrc32c(0, Buffer.from("123456789"))).toBe(0xe306_9283);
  expect(updateCrc32c(0, Buffer.alloc(0))).toBe(0);
});

test("all three ways agree at every length, offset and start value", () => {
  const random = new Random(5);
  const source = random.bytes(4096);
  const view = new DataView(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < 2000; i++) {
    const start = random.below(64);
    const length = random.chance(0.8) ? random.below(64) : random.below(2000);
    const crc = random.chance(0.5) ? 0 : random.uint32();
    const expected = native(source.subarray(start, start + length), crc);
    expect(updateCrc32c(crc, source, start, start + length)).toBe(expected);
    expect(updateCrc32cView(crc, view, start, start + length)).toBe(expected);
  }
});

test("rolls over parts", () => {
  const source = new Random(6).bytes(1000);
  let crc = 0;
  for (let at = 0; at < 1000; at += 77)
    crc = updateCrc32c(crc, source, at, Math.min(1000, at + 77));
  expect(crc).toBe(updateCrc32c(0, source));
});
