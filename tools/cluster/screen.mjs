// One screen for a cluster, 80 columns wide: a row a member, what to type next, the last events, the keys.
// Pure but for Screen, which owns the terminal and gives it back as it was.

const width = 80;

/** The lines of the screen. `selected` is the index of the chosen member, `paint` colours words. */
export function screenLines({ members, events, selected, uptimeMs, folder, tool }, paint) {
  const furthest = Math.max(0, ...members.map(({ status }) => status?.raftIndex ?? 0));
  const leader = members.find(({ role }) => role === "leader");
  const clusterId = members.find(({ status }) => status)?.status.header.clusterId;
  const title = [
    paint.bold("Portal"),
    clusterId === undefined ? "cluster" : `cluster ${clusterId.toString(16)}`,
    leader ? `term ${leader.status.raftTerm}` : paint.red("no leader"),
    `up ${formatUptime(uptimeMs)}`,
  ].join("  ");
  const [first] = members;
  const endpoints = members.slice(0, 3).map(({ endpoint }) => endpoint);
  return [
    title,
    "",
    paint.bold(header),
    ...members.map((member, index) => row(member, index === selected, furthest, paint)),
    "",
    paint.dim(cut(`data and logs  ${folder}`)),
    "",
    "In another terminal:",
    `  etcdctl --endpoints=${endpoints.join(",")} put a 1`,
    `  ${tool} cluster health --endpoints=${first.endpoint}`,
    "",
    ...(events.length > 0 ? events : ["starting ..."]).map((line) => paint.dim(cut(line))),
    ...Array.from({ length: Math.max(0, 6 - events.length) }, () => ""),
    "",
    paint.dim(
      `1-${members.length} choose  k kill -9  t stop  s start  p pause, go on  l make leader  q quit`,
    ),
  ];
}

const numbers = ["REVISION", "INDEX", "LAG", "DB SIZE", "WRITES"];
const numberWidths = [12, 12, 8, 8, 8];
const alignRight = (cells) => cells.map((cell, at) => cell.padStart(numberWidths[at])).join("");
const header = `  ${"NAME".padEnd(4)} ${"ROLE".padEnd(9)} ${"CLIENTS".padEnd(15)}${alignRight(numbers)}`;

function row(member, isSelected, furthest, paint) {
  const { name, role, endpoint, status, rate } = member;
  const cells = [
    isSelected ? paint.cyan(">") : " ",
    name.padEnd(4),
    paintRole(role, role.padEnd(9), paint),
    endpoint.padEnd(15),
  ];
  const values = [
    text(status?.header.revision),
    text(status?.raftIndex),
    text(status && Math.max(0, furthest - status.raftAppliedIndex)),
    status ? formatBytes(status.dbSizeBytes) : "-",
    status ? `${Math.round(rate)}/s` : "-",
  ];
  return `${cells.join(" ")}${alignRight(values)}`;
}

function paintRole(role, cell, paint) {
  if (role === "leader") return paint.green(cell);
  if (role === "follower") return cell;
  return role === "stopped" || role === "no leader" || role === "silent"
    ? paint.red(cell)
    : paint.yellow(cell);
}

const text = (value) => (value === undefined ? "-" : String(value));

function cut(line) {
  return line.length > width ? `${line.slice(0, width - 3)}...` : line;
}

export function formatBytes(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  let amount = bytes;
  while (amount >= 1000 && power < units.length - 1) {
    amount /= 1000;
    power += 1;
  }
  return `${amount >= 100 || power === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`;
}

/** 3725000 -> "1:02:05" */
export function formatUptime(uptimeMs) {
  const seconds = Math.floor(uptimeMs / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part, index) => (index === 0 ? part : String(part).padStart(2, "0"))).join(":");
}

/** The alternate screen of a terminal, redrawn in place. */
export class Screen {
  #output;
  #isOpen = false;

  constructor(output) {
    this.#output = output;
  }

  open() {
    this.#isOpen = true;
    this.#output.write("\u001b[?1049h\u001b[?25l");
  }

  draw(lines) {
    if (!this.#isOpen) return;
    const rows = this.#output.rows ?? 24;
    const visible = lines.slice(0, rows);
    // Each line is cleared to its end, and all below: nothing of an earlier screen stays.
    const body = visible.map((line) => `${line}\u001b[K`).join("\r\n");
    this.#output.write(`\u001b[H${body}\u001b[J`);
  }

  close() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#output.write("\u001b[?25h\u001b[?1049l");
  }
}
