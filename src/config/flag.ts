// What a setting is: its kind, its default, its words in the help, and how its text is read. The
// makers below give each flag its type, so that the table of flags is also the type of the settings.

import { formatDuration, parseDuration } from "./durations.ts";
import { type ListenUrl, parseListenUrls } from "./listen-url.ts";

export type FlagKind = "text" | "boolean" | "number" | "duration" | "urls" | "list" | "choice";

export interface Flag<Value> {
  readonly kind: FlagKind;
  readonly defaultValue: Value;
  /** The default as it would be written. */
  readonly defaultText: string;
  readonly help: string;
  /** False while the flag is only accepted, so that scripts made for etcd run. */
  readonly hasEffect: boolean;
  /** Reads a value; a thrown FlagValueError says what would be right. */
  readonly parse: (text: string) => Value;
}

export class FlagValueError extends Error {
  override readonly name = "FlagValueError";
}

/** Marks a flag that etcd has and that does nothing here yet. */
export function inert<Value>(flag: Flag<Value>): Flag<Value> {
  return { ...flag, hasEffect: false };
}

export function text(defaultValue: string, help: string): Flag<string> {
  return make("text", defaultValue, defaultValue, help, (value) => value);
}

export function boolean(defaultValue: boolean, help: string): Flag<boolean> {
  return make("boolean", defaultValue, String(defaultValue), help, parseBoolean);
}

/** A whole number from `least` up. */
export function number(defaultValue: number, help: string, least = 0): Flag<number> {
  const parse = (value: string) => {
    const parsed = /^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(parsed) || parsed < least) {
      throw new FlagValueError(`it must be a whole number, ${least} or more`);
    }
    return parsed;
  };
  return make("number", defaultValue, String(defaultValue), help, parse);
}

/** Milliseconds in memory, Go's form in text. */
export function duration(defaultMs: number, help: string): Flag<number> {
  const parse = (value: string) => {
    const parsed = parseDuration(value);
    if (parsed === undefined) {
      throw new FlagValueError('it must be a duration with a unit, for example "300ms" or "1h30m"');
    }
    return parsed;
  };
  return make("duration", defaultMs, formatDuration(defaultMs), help, parse);
}

export function urls(defaultText: string, help: string): Flag<readonly ListenUrl[]> {
  const parse = (value: string): readonly ListenUrl[] => {
    if (value === "") return [];
    const parsed = parseListenUrls(value);
    if (typeof parsed === "string") throw new FlagValueError(parsed);
    return parsed;
  };
  return make("urls", parse(defaultText), defaultText, help, parse);
}

/** Comma-separated words. */
export function list(defaultText: string, help: string): Flag<readonly string[]> {
  const parse = (value: string) => (value === "" ? [] : [...new Set(value.split(","))]);
  return make("list", parse(defaultText), defaultText, help, parse);
}

export function choice<const Choice extends string>(
  choices: readonly [Choice, ...Choice[]],
  help: string,
): Flag<Choice> {
  const parse = (value: string) => {
    const found = choices.find((one) => one === value);
    if (found === undefined) throw new FlagValueError(`it must be one of ${choices.join(", ")}`);
    return found;
  };
  return make("choice", choices[0], choices[0], help, parse);
}

function make<Value>(
  kind: FlagKind,
  defaultValue: Value,
  defaultText: string,
  help: string,
  parse: (text: string) => Value,
): Flag<Value> {
  return { kind, defaultValue, defaultText, help, hasEffect: true, parse };
}

/** The spellings that Go takes. */
function parseBoolean(value: string): boolean {
  if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(value)) return false;
  throw new FlagValueError("it must be true or false");
}
