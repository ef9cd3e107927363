import fc from "fast-check";
import { expect, test } from "vitest";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { huffmanDecode, huffmanDecodedBytesMax, huffmanEncode, huffmanLength } from "./huffman.ts";
import { prepareHeaders } from "./prepared-headers.ts";

function decodeHex(decoder: HpackDecoder, hex: string): readonly string[] | undefined {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return decoder.decode(bytes, 0, bytes.length, 0)?.list;
}

// RFC 7541 C.3 and C.4: the same three requests, plain and Huffman coded.
const requests = [
  [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"],
  // biome-ignore format: one request a line
  [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com", "cache-control", "no-cache"],
  // biome-ignore format: one request a line
  [":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com", "custom-key", "custom-value"],
];

test.each([
  [
    "C.3",
    [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
  ],
  [
    "C.4",
    [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  ],
])("RFC 7541 %s decodes", (_name, blocks) => {
  const decoder = new HpackDecoder(4096, 65536);
  expect(blocks.map((hex) => decodeHex(decoder, hex))).toEqual(requests);
});

test("RFC 7541 C.4: our encoder makes the same bytes", () => {
  const encoder = new HpackEncoder(4096);
  const made = requests.map((list) => {
    const block = encoder.encode(list);
    return block.bytes.toString("hex", 0, block.length);
  });
  expect(made).toEqual([
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
  ]);
});

test("RFC 7541 C.5: a table of 256 bytes evicts", () => {
  const decoder = new HpackDecoder(4096, 65536);
  const first =
    "3fe1 01 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133" +
    "2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d";
  const fields = [
    "cache-control",
    "private",
    "date",
    "Mon, 21 Oct 2013 20:13:21 GMT",
    "location",
    "https://www.example.com",
  ];
  expect(decodeHex(decoder, first)).toEqual([":status", "302", ...fields]);
  expect(decodeHex(decoder, "4803 3330 37c1 c0bf")).toEqual([":status", "307", ...fields]);
  expect(decodeHex(decoder, "88c1 c0bf")).toEqual([":status", "200", ...fields]);
});

test("Huffman coding round-trips every string of bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = Buffer.from(bytes).toString("latin1");
      const coded = new Uint8Array(huffmanLength(text));
      expect(huffmanEncode(text, coded, 0)).toBe(coded.length);
      const decoded = Buffer.alloc(huffmanDecodedBytesMax(coded.length));
      const length = huffmanDecode(coded, 0, coded.length, decoded);
      expect(decoded.toString("latin1", 0, length)).toBe(text);
    }),
    { seed: 7541, numRuns: 300 },
  );
});

test.each([
  ["padding of eight bits", "f8ff"],
  ["padding with zeros", "18"],
  ["the end-of-string symbol", "ffffffff"],
])("Huffman code with %s is refused", (_name, hex) => {
  const coded = Buffer.from(hex, "hex");
  expect(huffmanDecode(coded, 0, coded.length, Buffer.alloc(64))).toBe(-1);
});

test("encoder and decoder stay in step over random lists, table sizes and repeats", () => {
  const field = fc.tuple(
    fc.constantFrom("a", "content-type", ":path", "grpc-timeout", "authorization", "x-long-name"),
    fc.oneof(fc.constantFrom("", "1", "200", "/x"), fc.string({ maxLength: 80 })),
  );
  const step = fc.oneof(
    { weight: 9, arbitrary: fc.array(field, { maxLength: 12 }).map((list) => list.flat()) },
    { weight: 1, arbitrary: fc.constantFrom(0, 64, 256, 4096) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const encoder = new HpackEncoder(4096);
      const decoder = new HpackDecoder(4096, 1 << 20);
      const latin1 = (text: string) => Buffer.from(text, "latin1").toString("latin1");
      for (const item of steps) {
        if (typeof item === "number") {
          encoder.setTableBytes(item);
          continue;
        }
        const list = item.map(latin1);
        for (const headers of [list, list]) {
          const block = encoder.encodeAny(headers);
          const got = decoder.decode(block.bytes, 0, block.length, 0);
          expect(got?.list).toEqual(headers);
        }
        const prepared = prepareHeaders(list);
        for (let i = 0; i < 3; i++) {
          const block = encoder.encodePrepared(prepared);
          expect(decoder.decode(block.bytes, 0, block.length, 0)?.list).toEqual(list);
        }
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});

test("a repeated block gives the same object until the table changes", () => {
  const decoder = new HpackDecoder(4096, 65536);
  decodeHex(decoder, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d");
  const first = decodeHex(decoder, "8286 84be");
  expect(decodeHex(decoder, "8286 84be")).toBe(first);
  decodeHex(decoder, "4001 6101 62");
  expect(decodeHex(decoder, "8286 84be")).toEqual([
    ...[":method", "GET", ":scheme", "http", ":path", "/", "a", "b"],
  ]);
});

test("prepared response headers and trailers become one byte a field", () => {
  const encoder = new HpackEncoder(4096);
  const headers = prepareHeaders([":status", "200", "content-type", "application/grpc"]);
  const trailers = prepareHeaders(["grpc-status", "0"]);
  for (let i = 0; i < 2; i++) {
    encoder.encodePrepared(headers);
    encoder.encodePrepared(trailers);
  }
  expect(encoder.encodePrepared(headers).length).toBe(2);
  expect(encoder.encodePrepared(trailers).length).toBe(1);
});

test.each([
  ["index 0", "80"],
  ["an index past the table", "be"],
  ["a cut integer", "ff"],
  ["an integer over 2^28", "ffffffffffff7f"],
  ["a string longer than the block", "400a61"],
  ["a size update over the limit", "3fe2ff03"],
  ["a size update after a field", "8220"],
])("a block with %s fails", (_name, hex) => {
  const decoder = new HpackDecoder(4096, 65536);
  expect(decodeHex(decoder, hex)).toBeUndefined();
  expect(decoder.failure).toBe("compression");
});

test("a list over the limit is marked; an HPACK bomb fails", () => {
  const decoder = new HpackDecoder(4096, 8192);
  const encoder = new HpackEncoder(4096);
  const big = ["x", "y".repeat(400)];
  const first = encoder.encode(big);
  decoder.decode(first.bytes, 0, first.length, 0);
  const some = Buffer.alloc(30, 0xbe);
  expect(decoder.decode(some, 0, some.length, 0)?.tooLarge).toBe(true);
  const bomb = Buffer.alloc(16_000, 0xbe);
  expect(decoder.decode(bomb, 0, bomb.length, 0)).toBeUndefined();
  expect(decoder.failure).toBe("far-too-large");
});
