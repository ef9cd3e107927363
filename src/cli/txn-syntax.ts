// The text form of a transaction, as etcdctl reads it:
//   conditions, one a line:  mod("key") > "0"      version create mod value lease; = != > <
//   an empty line
//   steps when they hold:    put key "value"       with the flags of put, get and del
//   an empty line
//   steps when they do not
// The end of the input ends all that is still open.

import { Command } from "commander";
import type { Bytes } from "../client/bytes.ts";
import { type Comparison, compare, type Relation } from "../client/compare.ts";
import { type Operation, op } from "../client/operation.ts";
import { addDelFlags, type DelFlags } from "./del-command.ts";
import { CommandError, ExitCode } from "./exit-code.ts";
import { goUnquote } from "./go-quote.ts";
import type { TxnStep } from "./output/printer.ts";
import { addPutFlags, type PutFlags, putOptions } from "./put-command.ts";
import { addGetFlags, type GetFlags, keySelector, rangeCall } from "./range-flags.ts";
import { splitWords } from "./words.ts";

export interface ParsedStep {
  readonly kind: TxnStep["kind"];
  readonly operation: Operation<TxnStep["result"]>;
}

const CONDITION = /^(\w+)\(\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\)\s*(\S+)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)$/;
const RELATIONS: readonly string[] = ["=", "!=", ">", "<"];

export function parseCondition(line: string): Comparison {
  const match = CONDITION.exec(line);
  const [, target = "", quotedKey = "", relation = "", quotedValue = ""] = match ?? [];
  const key = goUnquote(quotedKey);
  const value = goUnquote(quotedValue);
  if (!match || !key || !value) {
    throw invalid(`malformed comparison: ${line}`, 'write it like mod("key") > "0"');
  }
  if (!RELATIONS.includes(relation)) {
    throw invalid(`malformed comparison: ${line} (unknown relation ${relation})`, "= != > or <");
  }
  return condition(line, target, key, relation as Relation, value);
}

function condition(
  line: string,
  target: string,
  key: Uint8Array,
  relation: Relation,
  value: Uint8Array,
): Comparison {
  switch (target) {
    case "ver":
    case "version":
      return compare.version(key, relation, number(line, value));
    case "c":
    case "create":
      return compare.createRevision(key, relation, number(line, value));
    case "m":
    case "mod":
      return compare.modRevision(key, relation, number(line, value));
    case "val":
    case "value":
      return compare.value(key, relation, value);
    case "lease":
      return compare.lease(key, relation, leaseId(line, value));
    default:
      throw invalid(
        `malformed comparison: ${line} (unknown target ${target})`,
        "one of version, create, mod, value, lease",
      );
  }
}

/** One step: a put, get or del line. */
export function parseStep(line: string): ParsedStep {
  const words = splitWords(line);
  if (!words || words.length < 2) throw invalid(`invalid txn compare request: ${line}`);
  let parsed: ParsedStep | undefined;
  const program = new Command()
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
    .helpCommand(false);
  const step = (name: string) => program.command(name).argument("[words...]").helpOption(false);
  // Escapes can make bytes that are no text: commander sees stand-ins for the words in quotes.
  const standIns = words.map((word, index) => standIn(word, index));
  const bytes = (given: readonly string[]) => given.map((text) => resolve(text, words));
  addPutFlags(step("put")).action((given: string[], flags: PutFlags) => {
    parsed = putStep(line, bytes(given), flags);
  });
  addGetFlags(step("get")).action((given: string[], flags: GetFlags) => {
    const call = rangeCall(bytes(given), flags);
    parsed = { kind: "range", operation: op.getAll(call.selector, call.options) };
  });
  addDelFlags(step("del")).action((given: string[], flags: DelFlags) => {
    const selector = keySelector("del", bytes(given), flags);
    const options = { prevKv: flags.prevKv ?? false };
    parsed = { kind: "delete", operation: op.delete(selector, options) };
  });
  try {
    program.parse(standIns, { from: "user" });
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw invalid(`invalid txn request: ${line}`, "a put, get or del with its flags");
  }
  if (!parsed) throw invalid(`invalid txn request: ${line}`, "a put, get or del with its flags");
  return parsed;
}

function putStep(line: string, words: readonly Bytes[], flags: PutFlags): ParsedStep {
  const [key, value] = words;
  if (key === undefined || words.length > 2 || (value === undefined && !flags.ignoreValue)) {
    throw invalid(`invalid txn request: ${line}`, 'write it like put key "value"');
  }
  const operation = op.put(key, value ?? "", putOptions(words, flags));
  return { kind: "put", operation };
}

function standIn(word: Uint8Array, index: number): string {
  const text = Buffer.from(word).toString();
  return Buffer.compare(Buffer.from(text), word) === 0 ? text : `\0${index}`;
}

function resolve(text: string, words: readonly Uint8Array[]): Bytes {
  const match = /^\0(\d+)$/.exec(text);
  return (match && words[Number(match[1])]) ?? text;
}

function number(line: string, value: Uint8Array): number {
  const text = Buffer.from(value).toString();
  const parsed = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(parsed)) return parsed;
  throw invalid(`invalid txn compare request: ${line}`, `"${text}" is not a whole number`);
}

function leaseId(line: string, value: Uint8Array): bigint {
  const text = Buffer.from(value).toString();
  if (/^[0-9a-f]{1,16}$/i.test(text)) return BigInt(`0x${text}`);
  throw invalid(`invalid txn compare request: ${line}`, `"${text}" is not a lease id in hex`);
}

function invalid(message: string, hint?: string): CommandError {
  return new CommandError(ExitCode.invalidInput, message, hint);
}
