// Assertions for our own bugs. They stay on in production: a member whose invariants do not hold
// must stop before it tells anyone something wrong.

/** Throws when `condition` is false. A failure is a bug in Portal, never bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a place that a complete union can not reach. */
export function unreachable(value: never, message = "unreachable"): never {
  throw new AssertionError(`${message}: ${String(value)}`);
}

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}
