// portal get

import type { Command } from "commander";
import type { Client } from "../client/client.ts";
import {
  isKeyRange,
  isOpenEnded,
  type KeyRange,
  keyAfter,
  toWireRange,
} from "../client/key-range.ts";
import type { RangeResult } from "../client/results.ts";
import { type Cli, type CommandRun, clientCommand } from "./command-run.ts";
import { badArguments } from "./exit-code.ts";
import type { Printer, RangePrintOptions } from "./output/printer.ts";
import { ProgressBar } from "./progress-bar.ts";
import { addGetFlags, type GetFlags, type RangeCall, rangeCall } from "./range-flags.ts";

/** Up to here a range comes in one reply. */
const FIRST_PAGE_KEYS = 512;

export function getCommand(cli: Cli, program: Command): Command {
  const command = clientCommand<GetFlags>(
    cli,
    program,
    {
      usage: "get <key> [range-end]",
      summary: "Get a key or a range of keys",
      details: "Large ranges come in chunks, all as of one revision, and are printed as they come.",
      examples: [
        "portal get greeting",
        "portal get --prefix users/ --limit 10",
        "portal get --prefix '' --keys-only",
        "portal get greeting --rev 42 -w json",
      ],
    },
    get,
  );
  return addGetFlags(command);
}

async function get(run: CommandRun, words: string[], flags: GetFlags): Promise<void> {
  const call = rangeCall(words, flags);
  const printer = await run.printer();
  if (flags.printValueOnly && printer.format !== "simple") {
    throw badArguments("print-value-only is only for `--write-out=simple`");
  }
  const shown: RangePrintOptions = {
    valueOnly: flags.printValueOnly ?? false,
    countOnly: call.options.countOnly,
  };
  await run.withClient(async (client) => {
    const chunks = readRange(run, client, call, flags.stream ?? false);
    const sharesTerminal = printer.format === "simple" && run.cli.io.stdout.isTTY === true;
    using bar = new ProgressBar(run.cli, "get", { sharesTerminal });
    await printRange(run, printer, shown, withProgress(chunks, bar));
  });
}

/** The range in one piece where it must be, in chunks where it is large. */
async function* readRange(
  run: CommandRun,
  client: Client,
  { selector, options }: RangeCall,
  stream: boolean,
): AsyncGenerator<RangeResult, void> {
  const isWhole = options.limit || options.sortBy || options.order || hasRevisionBounds(options);
  if (stream) {
    yield* client.kv.stream(selector, { ...options, ...run.longCallOptions });
  } else if (options.countOnly) {
    yield await client.kv.count(selector, { ...options, ...run.callOptions });
  } else if (isWhole || !isKeyRange(selector)) {
    yield await client.getAll(selector, { ...options, ...run.callOptions });
  } else {
    const limit = FIRST_PAGE_KEYS;
    const first = await client.getAll(selector, { ...options, limit, ...run.callOptions });
    yield first;
    const last = first.kvs.at(-1);
    if (first.more && last) yield* readRest(run, client, { selector, options }, first, last.key);
  }
}

/** What comes after `lastKey`, as of the revision of the first page. */
async function* readRest(
  run: CommandRun,
  client: Client,
  { selector, options }: RangeCall,
  first: RangeResult,
  lastKey: Uint8Array,
): AsyncGenerator<RangeResult, void> {
  const { rangeEnd } = toWireRange(selector);
  const from = keyAfter(lastKey);
  const rest: KeyRange = isOpenEnded(rangeEnd) ? { from } : { from, to: rangeEnd };
  const pinned = { ...options, revision: options.revision ?? first.revision };
  let chunks = 0;
  try {
    // One walk over the keys. For a page, etcd counts all that follow it, every time.
    for await (const chunk of client.kv.stream(rest, { ...pinned, ...run.longCallOptions })) {
      chunks += 1;
      yield chunk;
    }
  } catch (error) {
    const { hasReason } = await import("../client/errors.ts");
    if (chunks > 0 || !hasReason(error, "unimplemented")) throw error;
    yield* client.kv.pages(rest, { ...pinned, ...run.callOptions });
  }
}

/** Bounds filter after the limit was applied, so pages would not fit together. */
function hasRevisionBounds(options: RangeCall["options"]): boolean {
  return Boolean(
    options.minCreateRevision ??
      options.maxCreateRevision ??
      options.minModRevision ??
      options.maxModRevision,
  );
}

async function* withProgress(chunks: AsyncIterable<RangeResult>, bar: ProgressBar) {
  let done = 0;
  let total = 0;
  for await (const chunk of chunks) {
    done += chunk.kvs.length;
    total = Math.max(total, chunk.count);
    bar.update(done, total);
    yield chunk;
  }
}

async function printRange(
  run: CommandRun,
  printer: Printer,
  shown: RangePrintOptions,
  chunks: AsyncIterable<RangeResult>,
): Promise<void> {
  if (printer.format === "simple") {
    for await (const chunk of chunks) await run.cli.print(printer.range(chunk, shown));
    return;
  }
  // The other formats are one document with the totals in it.
  let whole: RangeResult | undefined;
  const kvs: RangeResult["kvs"][number][] = [];
  for await (const chunk of chunks) {
    whole = whole ? { ...whole, count: Math.max(whole.count, chunk.count) } : chunk;
    for (const kv of chunk.kvs) kvs.push(kv);
    whole = { ...whole, more: chunk.more };
  }
  if (whole) await run.cli.print(printer.range({ ...whole, kvs }, shown));
}
