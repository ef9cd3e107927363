// Keys longer than a table can take. All keys that share their first 950 bytes and are at least that long
// live in one row, named by these bytes and holding their suffixes in order; so rows, and keys within rows,
// keep the order of the keys exactly.

/** Keys of this length or more are folded. Escaped and with a revision appended, 950 bytes still fit a table's key. */
export const foldedKeyBytes = 950;

/** The name of the row that holds `key`. */
export function rowNameOf(key: string): string {
  return key.length < foldedKeyBytes ? key : key.slice(0, foldedKeyBytes);
}

/** Whether a row of this name holds several keys. */
export function isFolded(rowName: string): boolean {
  return rowName.length === foldedKeyBytes;
}

/** The exclusive bound for row names such that all keys below `end` are in rows below it. */
export function rowBound(end: string): string {
  return end.length <= foldedKeyBytes ? end : successor(end.slice(0, foldedKeyBytes));
}

/** The next key in byte order. */
export function successor(key: string): string {
  return `${key}\0`;
}

/** The first key that can lie in a row after the one of this name; undefined when none can. */
export function afterRow(rowName: string): string | undefined {
  if (!isFolded(rowName)) return successor(rowName);
  // All keys that continue a folded name are in its row.
  let length = rowName.length;
  while (length > 0 && rowName.charCodeAt(length - 1) === 0xff) length--;
  if (length === 0) return undefined;
  return rowName.slice(0, length - 1) + String.fromCharCode(rowName.charCodeAt(length - 1) + 1);
}
