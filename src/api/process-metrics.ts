// The metrics of the process itself, under the names that every Prometheus client uses. Read when
// the page is asked for; what a system does not tell (no /proc) is left out.

import { readdirSync, readFileSync } from "node:fs";
import type { MetricRegistry, Sample } from "./metrics.ts";

export function registerProcessMetrics(registry: MetricRegistry): void {
  const startedSeconds = Date.now() / 1_000 - process.uptime();
  registry.counter(
    "process_cpu_seconds_total",
    "User and system CPU time spent, in seconds.",
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  registry.gauge("process_resident_memory_bytes", "Resident memory in bytes.", () =>
    process.memoryUsage.rss(),
  );
  registry.gauge(
    "process_start_time_seconds",
    "Start of the process, in seconds since 1970.",
    () => startedSeconds,
  );
  const optional = (name: string, help: string, read: () => number | undefined) => {
    registry.labelled("gauge", name, help, (): Sample[] => {
      const value = read();
      return value === undefined ? [] : [[{}, value]];
    });
  };
  optional("process_virtual_memory_bytes", "Virtual memory in bytes.", virtualMemoryBytes);
  optional("process_open_fds", "Open file descriptors.", openDescriptors);
  optional("process_max_fds", "Most file descriptors the process may open.", maxDescriptors);
  optional("os_fd_used", "File descriptors in use.", openDescriptors);
  optional("os_fd_limit", "Limit of file descriptors.", maxDescriptors);
  const heap = (read: (usage: NodeJS.MemoryUsage) => number) => () => read(process.memoryUsage());
  registry.gauge(
    "nodejs_heap_size_used_bytes",
    "Memory of the JavaScript heap in use.",
    heap((usage) => usage.heapUsed),
  );
  registry.gauge(
    "nodejs_external_memory_bytes",
    "Memory of buffers outside of the JavaScript heap.",
    heap((usage) => usage.external),
  );
}

function virtualMemoryBytes(): number | undefined {
  const size = /^VmSize:\s+(\d+) kB$/m.exec(readProc("status"))?.[1];
  return size === undefined ? undefined : Number(size) * 1_024;
}

function maxDescriptors(): number | undefined {
  const limit = /^Max open files\s+(\d+)/m.exec(readProc("limits"))?.[1];
  return limit === undefined ? undefined : Number(limit);
}

function openDescriptors(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined; // No /proc on this system.
  }
}

/** Empty where there is no /proc. */
function readProc(name: string): string {
  try {
    return readFileSync(`/proc/self/${name}`, "utf8");
  } catch {
    return "";
  }
}
