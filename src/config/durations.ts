// Durations as Go writes them ("1h30m", "300ms", "1.5s"), which is how etcd's flags take them.
// In memory a duration is a number of milliseconds, with a fraction where needed.

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds, or undefined when `text` is no duration. */
export function parseDuration(text: string): number | undefined {
  const body = text.replace(/^[+-]/, "");
  if (body === "0") return 0;
  const parts = [...body.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy)];
  const matched = parts.reduce((length, part) => length + part[0].length, 0);
  if (parts.length === 0 || matched !== body.length) return undefined;
  const total = parts.reduce((sum, part) => sum + Number(part[1]) * unitMs[part[2]!]!, 0);
  return text.startsWith("-") ? -total : total;
}

/** As Go prints it: 90000 -> "1m30s", 0.25 -> "250µs". */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return "0s";
  if (durationMs < 0) return `-${formatDuration(-durationMs)}`;
  if (durationMs < 1e-3) return `${round(durationMs * 1e6)}ns`;
  if (durationMs < 1) return `${round(durationMs * 1e3)}µs`;
  if (durationMs < 1_000) return `${round(durationMs)}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000);
  const seconds = `${round((durationMs % 60_000) / 1_000)}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
