// A bar on standard error for what takes longer than a second. Shown only on a terminal, and gone when
// the work is done.

import type { Cli } from "./command-run.ts";

const SHOW_AFTER_MS = 1_000;
const REDRAW_MS = 100;
const BAR_WIDTH = 24;
const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

export class ProgressBar implements Disposable {
  readonly #cli: Cli;
  readonly #label: string;
  readonly #format: (amount: number) => string;
  readonly #startedMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #shown = false;
  #done = 0;
  #total = 0;
  #frame = 0;

  /** `sharesTerminal`: results go to the same terminal meanwhile, where a bar would be in the way. */
  constructor(
    cli: Cli,
    label: string,
    options: {
      readonly sharesTerminal: boolean;
      readonly format?: (amount: number) => string;
    },
  ) {
    this.#cli = cli;
    this.#label = label;
    this.#format = options.format ?? ((amount) => amount.toLocaleString("en"));
    if (cli.io.stderr.isTTY !== true || options.sharesTerminal) return;
    this.#timer = setTimeout(() => this.#start(), SHOW_AFTER_MS);
    this.#timer.unref();
  }

  /** Without a total, only time passing is shown. */
  update(done: number, total: number): void {
    this.#done = done;
    this.#total = total;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    if (this.#shown) this.#cli.io.stderr.write("\r\x1b[K");
    this.#shown = false;
  }

  #start(): void {
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
    this.#timer.unref();
  }

  #draw(): void {
    this.#shown = true;
    const { stderr } = this.#cli.io;
    const colors = this.#cli.colors(stderr);
    const seconds = Math.floor((performance.now() - this.#startedMs) / 1_000);
    const line = this.#total > 0 ? this.#bar(colors) : this.#spin(colors);
    stderr.write(`\r\x1b[K${this.#label} ${line} ${colors.dim(`${seconds}s`)}`);
  }

  #bar(colors: ReturnType<Cli["colors"]>): string {
    const share = Math.min(1, this.#done / this.#total);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = colors.green("█".repeat(filled)) + colors.dim("░".repeat(BAR_WIDTH - filled));
    const counts = `${this.#format(this.#done)}/${this.#format(this.#total)}`;
    return `${bar} ${String(Math.floor(share * 100)).padStart(3)}% ${counts}`;
  }

  #spin(colors: ReturnType<Cli["colors"]>): string {
    this.#frame = (this.#frame + 1) % SPINNER.length;
    return colors.green(SPINNER[this.#frame] as string);
  }
}

/** Shows that `work` goes on, and that it is over before its result is printed. */
export async function withSpinner<Result>(
  cli: Cli,
  label: string,
  work: Promise<Result>,
): Promise<Result> {
  using _bar = new ProgressBar(cli, label, { sharesTerminal: false });
  return await work;
}
