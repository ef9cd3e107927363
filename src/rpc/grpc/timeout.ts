// The grpc-timeout header: at most eight digits and a unit.

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000001,
};

/** Milliseconds, or undefined when the value is malformed. */
export function parseTimeout(text: string): number | undefined {
  if (!/^[0-9]{1,8}[HMSmun]$/.test(text)) return undefined;
  const unit = unitMs[text.charAt(text.length - 1)] as number;
  return Number(text.slice(0, -1)) * unit;
}

/** The finest form that fits; rounds up, and a deadline that has passed becomes one nanosecond. */
export function formatTimeout(timeoutMs: number): string {
  if (timeoutMs <= 0) return "1n";
  for (const unit of ["u", "m", "S", "M", "H"]) {
    const count = Math.ceil(timeoutMs / (unitMs[unit] as number));
    if (count < 100_000_000) return `${count}${unit}`;
  }
  return "99999999H";
}
