// The metrics of the process itself, under the names that every Prometheus client uses.

import type { ProcessFacts } from "../io/process-facts.ts";
import type { MetricRegistry, Sample } from "./metrics.ts";

/** `startedSeconds`: since 1970. What the facts leave open is left out of the page. */
export function registerProcessMetrics(
  registry: MetricRegistry,
  startedSeconds: number,
  readFacts: () => ProcessFacts,
): void {
  const publish = (
    type: "counter" | "gauge",
    name: string,
    help: string,
    pick: (facts: ProcessFacts) => number | undefined,
  ) => {
    registry.labelled(type, name, help, (): Sample[] => {
      const value = pick(readFacts());
      return value === undefined ? [] : [[{}, value]];
    });
  };
  publish("counter", "process_cpu_seconds_total", "CPU time spent.", (facts) => facts.cpuSeconds);
  publish("gauge", "process_start_time_seconds", "Start, since 1970.", () => startedSeconds);
  publish("gauge", "process_resident_memory_bytes", "Resident memory.", (f) => f.residentBytes);
  publish("gauge", "process_virtual_memory_bytes", "Virtual memory.", (f) => f.virtualBytes);
  publish("gauge", "process_open_fds", "Open file descriptors.", (f) => f.openDescriptors);
  publish("gauge", "process_max_fds", "Limit of file descriptors.", (f) => f.descriptorsMax);
  publish("gauge", "os_fd_used", "Open file descriptors.", (f) => f.openDescriptors);
  publish("gauge", "os_fd_limit", "Limit of file descriptors.", (f) => f.descriptorsMax);
  publish("gauge", "nodejs_heap_size_used_bytes", "JavaScript heap.", (f) => f.heapUsedBytes);
  publish("gauge", "nodejs_external_memory_bytes", "Buffers.", (f) => f.externalBytes);
}
