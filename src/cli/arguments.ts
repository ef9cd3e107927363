// Makes Go's way of writing flags readable to commander: `--prefix=true`, `--hex=false`, `-w=json`.
// What follows a bare `--` is left alone.

import type { Command } from "commander";

/** `argv` without the program's name. */
export function normalizeArguments(argv: readonly string[], program: Command): string[] {
  const switches = new Set<string>();
  collectSwitches(program, switches);
  const end = argv.indexOf("--");
  const ours = end < 0 ? argv : argv.slice(0, end);
  const normalized: string[] = [];
  for (const argument of ours) {
    const match = /^(--?[\w-]+)=(.*)$/s.exec(argument);
    const [flag, value] = match ? [match[1] as string, match[2] as string] : [argument, undefined];
    if (value === undefined) {
      normalized.push(argument);
    } else if (switches.has(flag) && /^(true|t|1|false|f|0)$/i.test(value)) {
      if (/^(true|t|1)$/i.test(value)) normalized.push(flag);
    } else if (/^-\w$/.test(flag)) {
      normalized.push(flag, value);
    } else {
      normalized.push(argument);
    }
  }
  return end < 0 ? normalized : [...normalized, ...argv.slice(end)];
}

/** Every flag that takes no value, long and short. */
function collectSwitches(command: Command, into: Set<string>): void {
  for (const option of command.options) {
    if (!option.isBoolean()) continue;
    if (option.long) into.add(option.long);
    if (option.short) into.add(option.short);
  }
  for (const child of command.commands) collectSwitches(child, into);
}
