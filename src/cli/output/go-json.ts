// JSON as Go's encoder writes it: 64-bit integers as bare digits, bytes as base64, `<`, `>` and `&`
// escaped in strings, fields in the given order, undefined fields left out.

export type GoJson =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Uint8Array
  | readonly GoJson[]
  | { readonly [field: string]: GoJson };

export function goJson(value: GoJson): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    case "undefined":
      return "null";
    default:
      return value === null ? "null" : structure(value);
  }
}

function structure(value: Uint8Array | readonly GoJson[] | { readonly [field: string]: GoJson }) {
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString("base64")}"`;
  if (isList(value)) return `[${value.map(goJson).join(",")}]`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([name, field]) => `"${name}":${goJson(field)}`).join(",")}}`;
}

function isList(value: object): value is readonly GoJson[] {
  return Array.isArray(value);
}

/** Go's `omitempty`: zero, false, empty strings, bytes and lists are left out. */
export function nonEmpty<Value extends GoJson>(value: Value): Value | undefined {
  if (value === 0 || value === 0n || value === false || value === "") return undefined;
  if (value instanceof Uint8Array || Array.isArray(value)) {
    return value.length === 0 ? undefined : value;
  }
  return value;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

function quote(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (char) => ESCAPES[char] as string);
}
