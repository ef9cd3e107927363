import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Keyspace } from "../client/keyspace.ts";
import { formatDuration, parseDurationMs } from "./duration.ts";
import { resolveGlobalOptions } from "./global-options.ts";
import { goQuote, goUnquote } from "./go-quote.ts";
import { humanBytes } from "./human-bytes.ts";
import { rangeCall } from "./range-flags.ts";
import { parseCondition, parseStep } from "./txn-syntax.ts";
import { parseWatchLine, watchCall } from "./watch-arguments.ts";
import { splitWords } from "./words.ts";

const everywhere = new Keyspace();
const text = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString();

describe("durations", () => {
  test.each([
    ["0", 0],
    ["5s", 5_000],
    ["1m30s", 90_000],
    ["1h2m3.5s", 3_723_500],
    ["250ms", 250],
    ["1.5us", 0.0015],
    ["7", 7_000],
  ])("%s is %d ms", (input, expected) => expect(parseDurationMs(input)).toBeCloseTo(expected, 9));

  test.each(["", "s", "5 s", "-5s", "5sec", "1e3s"])("%j is none", (input) =>
    expect(parseDurationMs(input)).toBeUndefined(),
  );

  test.each([
    [0, "0s"],
    [0.0005, "500ns"],
    [0.0015, "1.5µs"],
    [2.345678, "2.345678ms"],
    [1_500, "1.5s"],
    [90_000, "1m30s"],
    [3_723_500, "1h2m3.5s"],
  ])("%d ms is shown as %s", (input, expected) => expect(formatDuration(input)).toBe(expected));
});

describe("quoting", () => {
  test.each([
    ["plain", '"plain"'],
    ['say "hi"\n', '"say \\"hi\\"\\n"'],
    ["é☃😀", '"é☃😀"'],
    ["\u200b\x00\x7f", '"\\u200b\\x00\\x7f"'],
  ])("%j", (input, expected) => expect(goQuote(input)).toBe(expected));

  test("bytes that are not UTF-8 are escaped one by one", () => {
    expect(goQuote(Uint8Array.of(0x61, 0xff, 0xe2, 0x82))).toBe('"a\\xff\\xe2\\x82"');
  });

  test("unquoting undoes quoting for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(Buffer.compare(goUnquote(goQuote(bytes)) as Uint8Array, bytes)).toBe(0);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test.each(['"open', '"\\q"', '"\\x4"', "bare", '"a"b"', '"\\ud800"'])(
    "%s is malformed",
    (input) => expect(goUnquote(input)).toBeUndefined(),
  );
});

test("words are split as a shell would, with Go's escapes in double quotes", () => {
  expect(splitWords(`put "a b" 'c\\n d' "\\x00" --lease=1`)?.map(text)).toEqual([
    "put",
    "a b",
    "c\\n d",
    "\0",
    "--lease=1",
  ]);
  expect(splitWords('put "\\q"')).toBeUndefined();
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [16_384, "16 kB"],
  [20_480, "20 kB"],
  [2_147_483_648, "2.1 GB"],
])("%d bytes are shown as %s", (bytes, expected) => expect(humanBytes(bytes)).toBe(expected));

describe("global options", () => {
  test("a flag wins over PORTAL_X, which wins over ETCDCTL_X", () => {
    const env = { PORTAL_WRITE_OUT: "json", ETCDCTL_WRITE_OUT: "table", ETCDCTL_ENDPOINTS: "a,b" };
    expect(resolveGlobalOptions([], env)).toMatchObject({
      writeOut: "json",
      endpoints: ["a", "b"],
    });
    const flags = [{ writeOut: "fields" }, { endpoints: ["c"] }];
    expect(resolveGlobalOptions(flags, env)).toMatchObject({
      writeOut: "fields",
      endpoints: ["c"],
    });
  });

  test("user and password may be given together or apart", () => {
    expect(resolveGlobalOptions([{ user: "root:a:b" }], {})).toMatchObject({
      user: "root",
      password: "a:b",
    });
    expect(resolveGlobalOptions([{ user: "root", password: "pw" }], {})).toMatchObject({
      user: "root",
      password: "pw",
    });
  });

  test("bad values are refused with what would do", () => {
    expect(() => resolveGlobalOptions([{ writeOut: "yaml" }], {})).toThrow(
      expect.objectContaining({ exitCode: 4, message: "unsupported output format" }),
    );
    expect(() => resolveGlobalOptions([{ dialTimeout: "soon" }], {})).toThrow(/not a duration/);
  });
});

describe("ranges", () => {
  const flags = { consistency: "l" };
  test("prefix, from-key, range end and plain key", () => {
    expect(rangeCall(["a"], { ...flags, prefix: true }).selector).toEqual({ prefix: "a" });
    expect(rangeCall(["a"], { ...flags, fromKey: true }).selector).toEqual({ from: "a" });
    expect(rangeCall(["a", "c"], flags).selector).toEqual({ from: "a", to: "c" });
    expect(rangeCall(["a"], flags).selector).toBe("a");
  });

  test.each([
    [[], {}, 128],
    [["a", "b", "c"], {}, 128],
    [["a"], { prefix: true, fromKey: true }, 128],
    [["a", "b"], { prefix: true }, 128],
    [["a"], { keysOnly: true, countOnly: true }, 128],
    [["a"], { order: "UP" }, 4],
    [["a"], { sortBy: "SIZE" }, 4],
    [["a"], { minModRev: 5, maxModRev: 4 }, 4],
    [["a"], { consistency: "x" }, 4],
  ])("%j with %j is refused", (words, more, exitCode) => {
    expect(() => rangeCall(words, { ...flags, ...more })).toThrow(
      expect.objectContaining({ exitCode }),
    );
  });
});

describe("transactions", () => {
  test.each([
    ['mod("k") > "0"', { target: 2, result: 1, targetUnion: { $case: "modRevision", value: 0n } }],
    ['c("k") = "0"', { target: 1, result: 0 }],
    ['version("k") != "3"', { target: 0, result: 3, targetUnion: { $case: "version", value: 3n } }],
    ['value("k") < "v"', { target: 3, result: 2 }],
    ['lease("k") = "7b"', { target: 4, targetUnion: { $case: "lease", value: 123n } }],
  ])("%s", (line, expected) => {
    expect(parseCondition(line).toWire(everywhere)).toMatchObject(expected);
  });

  test("keys and values may hold any bytes", () => {
    const wire = parseCondition('val("\\x00\\xff") = "\\n"').toWire(everywhere);
    expect([...(wire.key as Uint8Array)]).toEqual([0, 255]);
    const { request } = parseStep('put "\\xff" "a b"').operation.toWire(everywhere);
    expect(request).toMatchObject({ $case: "requestPut" });
    if (request?.$case !== "requestPut" || !request.value) throw new Error("not a put");
    expect(Buffer.from(request.value.key as Uint8Array)).toEqual(Buffer.of(255));
    expect(text(request.value.value)).toBe("a b");
  });

  test("steps take the flags of their commands", () => {
    const { kind, operation } = parseStep("get k --prefix --limit 3 --keys-only");
    expect(kind).toBe("range");
    expect(operation.toWire(everywhere).request).toMatchObject({
      value: { limit: 3, keysOnly: true, rangeEnd: Uint8Array.of(108) },
    });
    expect(parseStep("del k --prev-kv").operation.toWire(everywhere).request).toMatchObject({
      value: { prevKv: true },
    });
  });

  test.each(["mod(k) > 0", 'mod("k") >= "0"', 'size("k") = "0"', 'mod("k") = "x"', 'mod("k")'])(
    "the condition %s is refused",
    (line) => {
      expect(() => parseCondition(line)).toThrow(expect.objectContaining({ exitCode: 3 }));
    },
  );

  test.each(["put", "put k", "move a b", "get k --wat", 'put "k'])(
    "the step %s is refused",
    (line) => {
      expect(() => parseStep(line)).toThrow(expect.objectContaining({ exitCode: 3 }));
    },
  );
});

describe("watch", () => {
  test("the key may come from the environment, and then only from there", () => {
    const env = { ETCDCTL_WATCH_KEY: "a", ETCDCTL_WATCH_RANGE_END: "c" };
    expect(watchCall({ words: [], exec: ["true"] }, {}, env).selector).toEqual({
      from: "a",
      to: "c",
    });
    expect(() => watchCall({ words: ["b"], exec: undefined }, {}, env)).toThrow(/conflicting/);
    expect(() => watchCall({ words: [], exec: undefined }, {}, {})).toThrow(/bad number/);
    expect(() => watchCall({ words: ["a"], exec: [] }, {}, {})).toThrow(/no commands/);
  });

  test("lines of the interactive mode", () => {
    expect(parseWatchLine("progress", {})).toBe("progress");
    expect(parseWatchLine('watch --prefix "a b" --rev 4 -- echo "x y"', {})).toMatchObject({
      selector: { prefix: "a b" },
      options: { startRevision: 4 },
      exec: ["echo", "x y"],
    });
    expect(parseWatchLine("look a", {})).toMatch(/Invalid command/);
    expect(parseWatchLine("watch", {})).toMatch(/bad number/);
    expect(parseWatchLine("watch a --wat", {})).toMatch(/Invalid command/);
  });
});
