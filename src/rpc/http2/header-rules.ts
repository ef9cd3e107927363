// Which header lists are well formed (RFC 9113 section 8). Each check returns "" or what is wrong, and
// keeps its verdict on the block, so that a repeated block is checked once.

import type { HeaderBlock } from "./hpack-decoder.ts";

// Lower-case token characters of field names.
const NAME_CHARS = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
  NAME_CHARS[char.charCodeAt(0)] = 1;
}

const CONNECTION_HEADERS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

const REQUEST_PSEUDO = new Set([":method", ":scheme", ":authority", ":path", ":protocol"]);

export function checkRequest(block: HeaderBlock): string {
  block.verdict ??= findRequestFault(block);
  return block.verdict;
}

export function checkResponse(block: HeaderBlock): string {
  block.verdict ??= findResponseFault(block);
  return block.verdict;
}

export function checkTrailers(block: HeaderBlock): string {
  block.verdict ??= findFieldFault(block, 0);
  return block.verdict;
}

function findRequestFault(block: HeaderBlock): string {
  const list = block.list;
  const seen = new Map<string, string>();
  let i = 0;
  for (; i < list.length && (list[i] as string).startsWith(":"); i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (!REQUEST_PSEUDO.has(name)) return `unknown pseudo header ${name}`;
    if (seen.has(name)) return `duplicate ${name}`;
    if (!isValue(value)) return `bad value of ${name}`;
    seen.set(name, value);
  }
  const method = seen.get(":method");
  if (!method) return "no :method";
  if (method === "CONNECT" && !seen.has(":protocol")) {
    if (seen.has(":scheme") || seen.has(":path")) return "CONNECT with :scheme or :path";
    if (!seen.get(":authority")) return "CONNECT without :authority";
  } else {
    if (!seen.get(":scheme")) return "no :scheme";
    if (!seen.get(":path")) return "no :path";
  }
  return findFieldFault(block, i);
}

function findResponseFault(block: HeaderBlock): string {
  const list = block.list;
  if (list[0] !== ":status") return "no :status";
  if (!/^[1-9][0-9][0-9]$/.test(list[1] as string)) return "bad :status";
  return findFieldFault(block, 2);
}

/** Checks the ordinary fields from `first` on, and reads content-length. */
function findFieldFault(block: HeaderBlock, first: number): string {
  const list = block.list;
  for (let i = first; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (name.startsWith(":")) return `${name} after an ordinary header or twice`;
    if (!isName(name)) return `bad header name ${JSON.stringify(name)}`;
    if (!isValue(value)) return `bad value of ${name}`;
    if (CONNECTION_HEADERS.has(name)) return `connection header ${name}`;
    if (name === "te" && value !== "trailers") return "te other than trailers";
    if (name === "content-length") {
      if (!/^[0-9]{1,15}$/.test(value)) return "bad content-length";
      const length = Number(value);
      if (block.contentLength >= 0 && block.contentLength !== length) return "two content-lengths";
      block.contentLength = length;
    }
  }
  return "";
}

function isName(name: string): boolean {
  if (name.length === 0) return false;
  for (let i = 0; i < name.length; i++) {
    if (NAME_CHARS[name.charCodeAt(i) & 0xff] === 0) return false;
  }
  return true;
}

function isValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if (char === 0 || char === 10 || char === 13) return false;
  }
  return true;
}
