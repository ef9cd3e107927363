// What the parts of a member count about themselves. An instrument is plain numbers: cheap to change
// on a hot path, without a name; whoever publishes metrics reads them and gives them names.

/** Counts up. On hot paths add a whole batch at once: `counter.value += n`. */
export class Counter {
  value = 0;
}

/** How measured values are spread. Bounds ascend; a value falls into the first bucket it does not exceed. */
export class Histogram {
  readonly bounds: readonly number[];
  /** By bucket, not cumulative; the last one takes what exceeds all bounds. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** `times`: so often the same value. */
  observe(value: number, times = 1): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + times;
    this.sum += value * times;
    this.count += times;
  }
}

/** `count` bounds: start, start x factor, start x factor², ... */
export function exponentialBounds(start: number, factor: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, at) => Number((start * factor ** at).toPrecision(12)));
}
