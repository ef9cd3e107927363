// Metrics in Prometheus' text form. The registry only knows names and how to read values: nothing is
// stored here and nothing happens until someone asks for the page.

import type { Histogram } from "../base/instruments.ts";

export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

export type Labels = Readonly<Record<string, string>>;

export type Sample = readonly [labels: Labels, value: number];

export type HistogramSample = readonly [labels: Labels, histogram: Histogram];

type Family = { readonly name: string; readonly help: string } & (
  | { readonly type: "counter" | "gauge"; readonly read: () => Iterable<Sample> }
  | { readonly type: "histogram"; readonly read: () => Iterable<HistogramSample> }
);

const noLabels: Labels = {};

export class MetricRegistry {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string, read: () => number): void {
    this.#add({ name, help, type: "counter", read: () => [[noLabels, read()]] });
  }

  gauge(name: string, help: string, read: () => number): void {
    this.#add({ name, help, type: "gauge", read: () => [[noLabels, read()]] });
  }

  /** A family with labels; a family without samples is left out of the page. */
  labelled(
    type: "counter" | "gauge",
    name: string,
    help: string,
    read: () => Iterable<Sample>,
  ): void {
    this.#add({ name, help, type, read });
  }

  histogram(name: string, help: string, histogram: Histogram): void {
    this.#add({ name, help, type: "histogram", read: () => [[noLabels, histogram]] });
  }

  labelledHistogram(name: string, help: string, read: () => Iterable<HistogramSample>): void {
    this.#add({ name, help, type: "histogram", read });
  }

  /** The whole page, families by name. */
  expose(): string {
    const names = [...this.#families.keys()].sort();
    return names.map((name) => exposeFamily(this.#families.get(name)!)).join("");
  }

  /** The later of two families with one name counts. */
  #add(family: Family): void {
    this.#families.set(family.name, family);
  }
}

function exposeFamily(family: Family): string {
  const lines: string[] = [];
  if (family.type === "histogram") {
    for (const [labels, histogram] of family.read()) {
      exposeHistogram(family.name, labels, histogram, lines);
    }
  } else {
    for (const [labels, value] of family.read()) {
      lines.push(`${family.name}${formatLabels(labels)} ${formatNumber(value)}`);
    }
  }
  if (lines.length === 0) return "";
  const head = `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`;
  return `${head}${lines.join("\n")}\n`;
}

function exposeHistogram(
  name: string,
  labels: Labels,
  histogram: Histogram,
  lines: string[],
): void {
  let below = 0;
  for (const [bucket, bound] of histogram.bounds.entries()) {
    below += histogram.counts[bucket]!;
    const le = formatLabels({ ...labels, le: formatNumber(bound) });
    lines.push(`${name}_bucket${le} ${formatNumber(below)}`);
  }
  lines.push(`${name}_bucket${formatLabels({ ...labels, le: "+Inf" })} ${histogram.count}`);
  lines.push(`${name}_sum${formatLabels(labels)} ${formatNumber(histogram.sum)}`);
  lines.push(`${name}_count${formatLabels(labels)} ${histogram.count}`);
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}
