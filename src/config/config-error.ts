// The one error of bad settings: what is wrong, what to do about it, and the exit status that etcd
// gives for it (2 for a flag that can not be read, 1 for settings that can not be used).

export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** What to do next, one sentence; empty when the message says it all. */
  readonly hint: string;
  readonly exitCode: 1 | 2;

  constructor(
    message: string,
    options: { readonly hint?: string; readonly exitCode?: 1 | 2 } = {},
  ) {
    super(message);
    this.hint = options.hint ?? "";
    this.exitCode = options.exitCode ?? 1;
  }
}

/** The candidate nearest to `word` by edit distance, or undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
