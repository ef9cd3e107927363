// Numbers on the command line.

import { badArguments } from "./exit-code.ts";

/** A whole number that JavaScript holds exactly. */
export function parseInteger(what: string, text: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw badArguments(`bad ${what}: "${text}" is not a whole number`);
}

/** An id in hexadecimal, as leases and members are shown. */
export function parseHexId(what: string, text: string): bigint {
  if (/^[0-9a-f]{1,16}$/i.test(text)) return BigInt(`0x${text}`);
  throw badArguments(
    `bad ${what} "${text}", expecting ID in Hex`,
    `ids are shown by \`portal ${what.startsWith("lease") ? "lease" : "member"} list\``,
  );
}

/** For commander: an option that takes a whole number. */
export function integerOption(name: string): (text: string) => number {
  return (text) => parseInteger(`--${name}`, text);
}
