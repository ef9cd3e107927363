// The printer for an output format; each format's code is loaded only when it is asked for.

import { unreachable } from "../../base/assert.ts";
import type { OutputFormat } from "../global-options.ts";
import type { Colors } from "./colors.ts";
import type { Printer } from "./printer.ts";

export interface PrinterOptions {
  readonly hex: boolean;
  readonly colors: Colors;
}

export async function createPrinter(
  format: OutputFormat,
  options: PrinterOptions,
): Promise<Printer> {
  switch (format) {
    case "simple":
      return new (await import("./simple-printer.ts")).SimplePrinter(options);
    case "json":
      return new (await import("./json-printer.ts")).JsonPrinter(options);
    case "fields":
      return new (await import("./fields-printer.ts")).FieldsPrinter(options);
    case "table":
      return new (await import("./table-printer.ts")).TablePrinter(options);
    default:
      return unreachable(format);
  }
}
