// A program that starts programs of its own: all are in one process group, so that none outlives it.
import { spawn } from "node:child_process";

/** Like spawn, in a process group of its own; `endAll()` kills what is left of it. */
export function spawnTogether(command, args, options) {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
    detached: true,
  });
  const endAll = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing is left of it.
    }
  };
  process.on("exit", endAll);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      endAll();
      process.exit(1);
    });
  }
  return Object.assign(child, { endAll });
}
