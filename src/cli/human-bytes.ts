// Sizes for people, in powers of 1,000 as etcdctl shows them: "20 kB", "2.1 GB".

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

export function humanBytes(bytes: number): string {
  if (bytes < 10) return `${bytes} B`;
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const amount = Math.floor((bytes / 1_000 ** power) * 10 + 0.5) / 10;
  return `${amount < 10 ? amount.toFixed(1) : roundHalfEven(amount)} ${UNITS[power]}`;
}

/** As Go's %.0f rounds, so that sizes look the same. */
function roundHalfEven(amount: number): number {
  const floor = Math.floor(amount);
  if (amount - floor !== 0.5) return Math.round(amount);
  return floor % 2 === 0 ? floor : floor + 1;
}
