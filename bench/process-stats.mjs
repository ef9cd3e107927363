// What the kernel says of a running server: CPU time of all its threads, and memory. Linux only.
import { readFileSync } from "node:fs";

const ticksPerSecond = 100;

/** CPU time in seconds, user and system, of the whole process so far. */
export function cpuSeconds(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The command name is in parentheses and may hold blanks; fields count from after it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory in MiB: all of it, what the process allocated, and mapped file pages. */
export function memoryMegabytes(pid) {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1024;
  return { total: read("VmRSS"), anonymous: read("RssAnon"), file: read("RssFile") };
}
