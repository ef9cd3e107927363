// Reads data-driven transcripts: a command line, its input, `----`, and what it must print. A blank line
// ends the expected text, unless `----` stands twice before it; then it ends with two more of them.

export interface Argument {
  readonly key: string;
  /** Of `key=value` and `key=(value, value)`; empty for a bare key. */
  readonly values: readonly string[];
}

export interface Command {
  /** Of the command line, from 1. */
  readonly line: number;
  readonly name: string;
  readonly args: readonly Argument[];
  readonly input: string;
  readonly expected: string;
}

const separator = "----";

export function readTranscript(text: string): Command[] {
  const reader = new LineReader(text);
  const commands: Command[] = [];
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const at = reader.position;
    const { name, args } = parseCommandLine(reader.continued(trimmed));
    const input = reader.until((each) => each === separator).join("\n");
    commands.push({ line: at, name, args, input: input.trim(), expected: readExpected(reader) });
  }
  return commands;
}

function readExpected(reader: LineReader): string {
  if (reader.peek() !== separator) {
    return reader.until((line) => line.trim() === "").join("\n");
  }
  reader.next();
  const lines: string[] = [];
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    if (line === separator && reader.peek() === separator) {
      reader.next();
      break;
    }
    lines.push(line);
  }
  return lines.join("\n");
}

/** `name key key=value key=(value, value)`. Values may hold parentheses of their own. */
function parseCommandLine(line: string): { name: string; args: Argument[] } {
  const [name = ""] = line.split(" ", 1);
  const args: Argument[] = [];
  let rest = line.slice(name.length).trim();
  while (rest !== "") {
    const key = /^[^ =]+/.exec(rest)?.[0];
    if (key === undefined) throw new Error(`cannot read the command line: ${line}`);
    rest = rest.slice(key.length);
    if (!rest.startsWith("=")) {
      args.push({ key, values: [] });
    } else if (rest.startsWith("=(")) {
      const { values, length } = parseList(rest.slice(2));
      args.push({ key, values });
      rest = rest.slice(2 + length);
    } else {
      const value = /^[^ ]*/.exec(rest.slice(1))?.[0] ?? "";
      args.push({ key, values: [value] });
      rest = rest.slice(1 + value.length);
    }
    rest = rest.trim();
  }
  return { name, args };
}

/** The values up to the parenthesis that closes the list, and how much text they took. */
function parseList(text: string): { values: string[]; length: number } {
  const values: string[] = [];
  let value = "";
  let depth = 1;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char === "(") depth++;
    if (char === ")") depth--;
    if (depth === 0 || (depth === 1 && char === ",")) {
      values.push(value.trim());
      value = "";
      if (depth === 0) return { values, length: i + 1 };
    } else {
      value += char;
    }
  }
  throw new Error(`a list is not closed: (${text}`);
}

class LineReader {
  readonly #lines: readonly string[];
  /** Lines read so far, which is the number of the last one. */
  position = 0;

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  next(): string | undefined {
    const line = this.#lines[this.position];
    if (line !== undefined) this.position++;
    return line;
  }

  peek(): string | undefined {
    return this.#lines[this.position];
  }

  /** The lines before the first that ends them; that one is read too. */
  until(isEnd: (line: string) => boolean): string[] {
    const lines: string[] = [];
    for (let line = this.next(); line !== undefined && !isEnd(line); line = this.next()) {
      lines.push(line);
    }
    return lines;
  }

  /** A line that ends in a backslash goes on in the next one. */
  continued(first: string): string {
    let line = first;
    while (line.endsWith("\\")) line = `${line.slice(0, -1)} ${(this.next() ?? "").trim()}`;
    return line;
  }
}
