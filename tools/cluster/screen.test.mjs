import { expect, test } from "vitest";
import { formatBytes, formatUptime, Screen, screenLines } from "./screen.mjs";

const same = (text) => text;
const plain = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };
const member = (number, role, status) => ({
  name: `m${number}`,
  role,
  endpoint: `127.0.0.1:${2377 + 2 * number}`,
  rate: 25_000,
  status: status && {
    header: { revision: 1_000_000_000, clusterId: 0xcdf818194e3a8c32n },
    raftIndex: 1_000_000_010,
    raftAppliedIndex: 999_999_910,
    raftTerm: 12,
    dbSizeBytes: 1_234_567_890,
    ...status,
  },
});

test("seven busy members fit 80 columns and 30 rows, with what stands where", () => {
  const members = [1, 2, 3, 4, 5, 6].map((number) =>
    member(number, number === 2 ? "leader" : "follower", {}),
  );
  members.push(member(7, "stopped", undefined));
  const events = Array.from(
    { length: 6 },
    (_, index) => `07:00:0${index}  ${"m1 leads ".repeat(20)}`,
  );
  const facts = { members, events, selected: 6, uptimeMs: 3_725_000 };
  const lines = screenLines(
    { ...facts, folder: `/tmp/${"x".repeat(100)}`, tool: "bin/portal" },
    plain,
  );
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.length).toBeLessThanOrEqual(30);
  expect(lines[0]).toBe("Portal  cluster cdf818194e3a8c32  term 12  up 1:02:05");
  expect(lines[4]).toMatch(
    /^ {2}m2 +leader +127\.0\.0\.1:2381 +1000000000 +1000000010 +100 +1\.2 GB +25000\/s$/,
  );
  expect(lines[9]).toMatch(/^> m7 +stopped +127\.0\.0\.1:2391( +-){5}$/);
});

test("sizes and times", () => {
  expect([0, 999, 1000, 20_480, 303_104_000].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "20.5 kB",
    "303 MB",
  ]);
  expect(formatUptime(59_999)).toBe("0:00:59");
});

test("the terminal is given back as it was, once", () => {
  const written = [];
  const screen = new Screen({ rows: 2, write: (text) => written.push(text) });
  screen.draw(["before it is open"]);
  screen.open();
  screen.draw(["a", "b", "c"]);
  screen.close();
  screen.close();
  expect(written).toEqual([
    "\u001b[?1049h\u001b[?25l",
    "\u001b[Ha\u001b[K\r\nb\u001b[K\u001b[J",
    "\u001b[?25h\u001b[?1049l",
  ]);
});
