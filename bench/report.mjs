// Turns measurements into the tables of RESULTS.md. A measurement is { row, server, value }, several for each
// row and server (rounds); the tables show medians.

export function median(numbers) {
  const sorted = numbers.filter((number) => Number.isFinite(number)).sort((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** 48612.3 -> "48,600"; 0.1334 -> "0.133": three digits that mean something. */
export function formatNumber(number) {
  if (!Number.isFinite(number)) return "-";
  if (number === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number))));
  const rounded = Number(number.toPrecision(3));
  return rounded.toLocaleString("en-US", {
    minimumFractionDigits: Math.min(digits, 3),
    maximumFractionDigits: Math.min(digits, 3),
  });
}

/** Portal against etcd, as a factor: "4.1 x" for more, "0.24 x" for less. */
export function formatRatio(portal, etcd) {
  const ratio = portal / etcd;
  return Number.isFinite(ratio) ? `${ratio.toFixed(2)} x` : "-";
}

function medianOf(measurements, row, server, pick) {
  return median(
    measurements
      .filter((measurement) => measurement.row === row && measurement.server === server)
      .map((measurement) => pick(measurement.value)),
  );
}

function table(headings, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [
    line(headings),
    line(headings.map((_, index) => (index === 0 ? "---" : "---:"))),
    ...rows.map(line),
  ].join("\n");
}

export function rateTable(rows, measurements) {
  const fields = ["rate", "p50Ms", "p99Ms", "cpuMicros"];
  const headings = [
    "",
    "goal",
    "etcd /s",
    "Portal /s",
    "ratio",
    "etcd p50 / p99 ms",
    "Portal p50 / p99 ms",
    "etcd CPU µs",
    "Portal CPU µs",
    "ratio",
  ];
  const lines = rows.map((row) => {
    const [etcd, portal] = ["etcd", "portal"].map((server) =>
      Object.fromEntries(
        fields.map((field) => [
          field,
          medianOf(measurements, row.id, server, (value) => value[field]),
        ]),
      ),
    );
    return [
      row.title,
      row.goal,
      formatNumber(etcd.rate),
      formatNumber(portal.rate),
      formatRatio(portal.rate, etcd.rate),
      `${formatNumber(etcd.p50Ms)} / ${formatNumber(etcd.p99Ms)}`,
      `${formatNumber(portal.p50Ms)} / ${formatNumber(portal.p99Ms)}`,
      formatNumber(etcd.cpuMicros),
      formatNumber(portal.cpuMicros),
      formatRatio(portal.cpuMicros, etcd.cpuMicros),
    ];
  });
  return table(headings, lines);
}

export function valueTable(rows, measurements) {
  const lines = rows.map((row) => {
    const read = (server) => {
      const pick = (name) => (value) => (row.split ? value[name] : value);
      const total = medianOf(measurements, row.id, server, pick("total"));
      if (!row.split) return [total, `${formatNumber(total)} ${row.unit}`];
      const own = formatNumber(medianOf(measurements, row.id, server, pick("anonymous")));
      const file = formatNumber(medianOf(measurements, row.id, server, pick("file")));
      return [total, `${formatNumber(total)} ${row.unit} (${own} own, ${file} file)`];
    };
    const [etcdValue, etcdText] = read("etcd");
    const [portalValue, portalText] = read("portal");
    return [row.title, row.goal, etcdText, portalText, formatRatio(portalValue, etcdValue)];
  });
  return table(["", "goal", "etcd", "Portal", "ratio"], lines);
}
