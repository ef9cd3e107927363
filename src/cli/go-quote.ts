// Strings as Go writes them in source: what etcdctl prints with %q and reads in transactions.

const SHORT: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

const decoder = new TextDecoder("utf-8", { fatal: true });
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u;

/** `bytes` in double quotes; what is not printable or not UTF-8 is escaped. */
export function goQuote(input: Uint8Array | string): string {
  const bytes = typeof input === "string" ? Buffer.from(input) : input;
  let quoted = '"';
  for (let index = 0; index < bytes.length; ) {
    const width = runeWidth(bytes, index);
    const rune = width > 0 ? decodeRune(bytes, index, width) : undefined;
    quoted += rune === undefined ? hexByte(bytes[index] as number) : escapeRune(rune);
    index += rune === undefined ? 1 : width;
  }
  return `${quoted}"`;
}

/** The bytes behind a quoted string ("…" with escapes, or `…` without); undefined when it is malformed. */
export function goUnquote(quoted: string): Uint8Array | undefined {
  const quote = quoted[0];
  if (quoted.length < 2 || quoted.at(-1) !== quote) return undefined;
  const body = quoted.slice(1, -1);
  if (quote === "`") return body.includes("`") ? undefined : Buffer.from(body);
  if (quote !== '"') return undefined;
  const parts: Uint8Array[] = [];
  const token =
    /\\x([0-9a-fA-F]{2})|\\([0-7]{3})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\([abfnrtv\\"'])|([^\\"\n]+)/y;
  while (token.lastIndex < body.length) {
    const match = token.exec(body);
    if (!match) return undefined;
    const part = unescapeToken(match);
    if (!part) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function unescapeToken(match: RegExpExecArray): Uint8Array | undefined {
  const [, hex, octal, short, long, letter, plain] = match;
  if (plain !== undefined) return Buffer.from(plain);
  if (hex !== undefined) return Uint8Array.of(Number.parseInt(hex, 16));
  if (octal !== undefined) {
    const byte = Number.parseInt(octal, 8);
    return byte < 256 ? Uint8Array.of(byte) : undefined;
  }
  if (letter !== undefined) return Uint8Array.of(letterByte(letter));
  const point = Number.parseInt((short ?? long) as string, 16);
  const isScalar = point <= 0x10_ffff && !(point >= 0xd800 && point < 0xe000);
  return isScalar ? Buffer.from(String.fromCodePoint(point)) : undefined;
}

function letterByte(letter: string): number {
  const found = Object.entries(SHORT).find(([, text]) => text === `\\${letter}`);
  return found ? Number(found[0]) : letter.charCodeAt(0);
}

function escapeRune(rune: string): string {
  const point = rune.codePointAt(0) as number;
  const short = SHORT[point];
  if (short !== undefined) return short;
  if (rune === " " || printable.test(rune)) return rune;
  if (point < 0x20 || point === 0x7f) return hexByte(point);
  const hex = point.toString(16);
  return point < 0x1_0000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

function decodeRune(bytes: Uint8Array, start: number, width: number): string | undefined {
  try {
    return decoder.decode(bytes.subarray(start, start + width));
  } catch {
    return undefined;
  }
}

function runeWidth(bytes: Uint8Array, index: number): number {
  const first = bytes[index] as number;
  const width = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  return index + width <= bytes.length ? width : 0;
}

function hexByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
