import { expect, test } from "vitest";
import { createLogger, type LogLevel, silentLogger } from "./log.ts";

function capture(level: LogLevel, format: "json" | "console") {
  const lines: string[] = [];
  const logger = createLogger(
    { level, format, write: (line) => lines.push(line), now: () => 1_767_323_045_678.5 },
    "test/log",
  );
  return { lines, logger };
}

test("a JSON line has level, ts, caller, msg and the fields, in this order", () => {
  const { lines, logger } = capture("info", "json");
  logger.info("ready", { id: 10276657743932975437n, error: new Error("no") });
  expect(lines).toEqual([
    '{"level":"info","ts":"2026-01-02T03:04:05.678500Z","caller":"test/log","msg":"ready","id":"10276657743932975437","error":"no"}\n',
  ]);
});

test("levels below the least are left out", () => {
  const { lines, logger } = capture("warn", "json");
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["c", "d"]);
  expect([logger.isEnabled("info"), logger.isEnabled("error")]).toEqual([false, true]);
});

test("a named logger keeps its fields, and a console line stays one line", () => {
  const { lines, logger } = capture("info", "console");
  logger.named("other", { member: 1 }).info("two\nlines", { more: true });
  expect(lines).toEqual([
    '2026-01-02T03:04:05.678500Z\tinfo\tother\ttwo\\nlines\t{"member":1,"more":true}\n',
  ]);
});

test("the silent logger takes everything", () => {
  expect(() => silentLogger.named("x").fatal("y")).not.toThrow();
});
