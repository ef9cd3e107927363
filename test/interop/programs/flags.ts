// Flags of the form --name=value.

export function readFlags(): Readonly<Record<string, string>> {
  const flags: Record<string, string> = {};
  for (const argument of process.argv.slice(2)) {
    const match = /^--?([a-z_]+)=(.*)$/s.exec(argument);
    if (match === null) throw new Error(`unknown argument: ${argument}`);
    flags[match[1] as string] = match[2] as string;
  }
  return flags;
}
