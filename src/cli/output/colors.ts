// Colours, only where they are seen: on a terminal, unless NO_COLOR says otherwise.

import picocolors from "picocolors";
import type { CliIo, OutputStream } from "../cli-io.ts";

export type Colors = ReturnType<typeof picocolors.createColors>;

export function colorsFor(stream: OutputStream, env: CliIo["env"]): Colors {
  const forced = env.FORCE_COLOR;
  const wanted = forced ? forced !== "0" : stream.isTTY === true && env.TERM !== "dumb";
  return picocolors.createColors(wanted && !env.NO_COLOR);
}
