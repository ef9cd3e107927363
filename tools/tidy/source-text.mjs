// Splits TypeScript and JavaScript text into code, comments and strings, as far as the tidy rules need
// it: enough to know that a word is code and not prose. It is a scanner, not a parser.

const keywordsBeforeRegex =
  /(?:^|[^\w$.])(?:return|typeof|case|of|in|do|else|void|delete|await|yield)$/;

/**
 * The text with comments and the insides of strings, templates and regular expressions replaced by
 * spaces, line for line; code inside `${}` is kept.
 */
export function codeOnly(text) {
  let output = "";
  let at = 0;
  /** Open braces inside each template expression that we are in. */
  const templateDepths = [];

  const blank = (end) => {
    output += text.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  const keep = (end) => {
    output += text.slice(at, end);
    at = end;
  };

  while (at < text.length) {
    const character = text[at];
    const next = text[at + 1];
    if (character === "/" && next === "/") {
      blank(indexOrEnd(text, "\n", at));
    } else if (character === "/" && next === "*") {
      blank(Math.min(text.length, indexOrEnd(text, "*/", at + 2) + 2));
    } else if (character === '"' || character === "'") {
      blank(endOfString(text, at));
    } else if (character === "`") {
      at = blankTemplate(at + 1, blank, templateDepths, text);
    } else if (character === "{" && templateDepths.length > 0) {
      templateDepths[templateDepths.length - 1] += 1;
      keep(at + 1);
    } else if (character === "}" && templateDepths.length > 0) {
      if (templateDepths[templateDepths.length - 1] === 0) {
        templateDepths.pop();
        at = blankTemplate(at + 1, blank, templateDepths, text);
      } else {
        templateDepths[templateDepths.length - 1] -= 1;
        keep(at + 1);
      }
    } else if (character === "/" && startsRegex(output)) {
      blank(endOfRegex(text, at));
    } else {
      keep(at + 1);
    }
  }
  return output;
}

/** Blanks template text from `from` up to its end or to the next `${`, and returns where to go on. */
function blankTemplate(from, blank, templateDepths, text) {
  let end = from;
  while (end < text.length) {
    if (text[end] === "\\") {
      end += 2;
    } else if (text[end] === "`") {
      blank(end + 1);
      return end + 1;
    } else if (text[end] === "$" && text[end + 1] === "{") {
      blank(end + 2);
      templateDepths.push(0);
      return end + 2;
    } else {
      end += 1;
    }
  }
  blank(text.length);
  return text.length;
}

function endOfString(text, start) {
  const quote = text[start];
  let end = start + 1;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") {
    end += text[end] === "\\" ? 2 : 1;
  }
  return Math.min(text.length, end + 1);
}

function endOfRegex(text, start) {
  let end = start + 1;
  let inClass = false;
  while (end < text.length && text[end] !== "\n") {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") inClass = true;
    else if (text[end] === "]") inClass = false;
    else if (text[end] === "/" && !inClass) break;
    end += 1;
  }
  return Math.min(text.length, end + 1);
}

/** A slash after a value divides; anywhere else it opens a regular expression. */
function startsRegex(before) {
  const code = before.slice(-400).trimEnd();
  if (code === "") return true;
  if (keywordsBeforeRegex.test(code.slice(-12))) return true;
  return !/[\w$)\]}"'`]/.test(code[code.length - 1]);
}

function indexOrEnd(text, wanted, from) {
  const index = text.indexOf(wanted, from);
  return index === -1 ? text.length : index;
}

/**
 * Every import and re-export: `{ specifier, line, typeOnly }`. `typeOnly` is true for `import type`,
 * `export type` and an import whose every name says `type`.
 */
export function importsOf(text) {
  const code = codeOnly(text);
  const found = [];
  const statement = /(?:^|[\n;}])[ \t]*(import|export)\b([^;"'`()]*?\bfrom)?[ \t\n]*(?=[ ]*;?)/g;
  for (let match = statement.exec(code); match; match = statement.exec(code)) {
    const clause = match[2];
    if (clause === undefined && match[1] === "export") continue;
    const quoteAt = firstQuote(text, match.index + match[0].length, code);
    if (quoteAt === undefined) continue;
    const specifier = text.slice(quoteAt + 1, endOfString(text, quoteAt) - 1);
    found.push({ specifier, line: lineAt(text, quoteAt), typeOnly: isTypeOnly(clause) });
  }
  const dynamic = /\bimport\s*\(\s*/g;
  for (let match = dynamic.exec(code); match; match = dynamic.exec(code)) {
    const quoteAt = match.index + match[0].trimEnd().length;
    const start = text.slice(quoteAt).search(/\S/) + quoteAt;
    if (text[start] !== '"' && text[start] !== "'") continue;
    const specifier = text.slice(start + 1, endOfString(text, start) - 1);
    found.push({
      specifier,
      line: lineAt(text, start),
      typeOnly: isTypePosition(code, match.index),
    });
  }
  return found;
}

/** Where the specifier's quote stands; undefined when this was no import statement. */
function firstQuote(text, from, code) {
  // The scanner blanked the string, so the match may have swallowed it: look back over the blanks.
  let at = from;
  while (at > 0 && /\s/.test(code[at - 1] ?? "")) at -= 1;
  const rest = text.slice(at);
  const offset = rest.search(/\S/);
  if (offset === -1) return undefined;
  const quote = rest[offset];
  return quote === '"' || quote === "'" ? at + offset : undefined;
}

function isTypeOnly(clause) {
  if (clause === undefined) return false;
  if (/^\s*type\b(?!\s*(?:,|from\b))/.test(clause)) return true;
  const names = clause.match(/^\s*\{([^}]*)\}\s*from$/);
  if (!names) return false;
  const list = names[1].split(",").filter((name) => name.trim() !== "");
  return list.length > 0 && list.every((name) => /^\s*type\s/.test(name));
}

/** `import("./x.ts").Name` in a type: after `:`, `<`, `|`, `&`, `typeof` or `type X =`. */
function isTypePosition(code, index) {
  const before = code.slice(Math.max(0, index - 200), index).trimEnd();
  return /(?:[:<|&]|\btypeof)$/.test(before) || /\btype\s+\w+[^=]*=$/.test(before);
}

export function lineAt(text, index) {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1))
    line += 1;
  return line;
}
