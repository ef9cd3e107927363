// Splits a line into words as etcdctl does in its interactive modes: blanks separate, double quotes hold
// Go's escapes, single quotes hold everything as it is.

import { goUnquote } from "./go-quote.ts";

const WORD = /"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?/g;

/** The words, as bytes because escapes can make any; undefined when a quoted word is malformed. */
export function splitWords(line: string): Uint8Array[] | undefined {
  const words: Uint8Array[] = [];
  for (const [word] of line.matchAll(WORD)) {
    if (word.startsWith('"')) {
      const bytes = goUnquote(word);
      if (!bytes) return undefined;
      words.push(bytes);
    } else {
      words.push(Buffer.from(word.startsWith("'") ? word.slice(1, -1) : word));
    }
  }
  return words;
}
