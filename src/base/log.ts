// Structured log lines in the form of etcd's (zap): level, ts, caller, msg, then fields. Where the
// lines go and what time it is are given; this file decides only what a line looks like.

export const logLevels = ["debug", "info", "warn", "error", "dpanic", "panic", "fatal"] as const;

export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  /** Whether a line of this level would be written; ask before gathering costly fields. */
  isEnabled(level: LogLevel): boolean;
  /** The same log under another caller ("node/replica"), with fields that every line gets. */
  named(caller: string, fields?: LogFields): Logger;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "console";
  /** Receives one line, with its line feed. */
  readonly write: (line: string) => void;
  /** Milliseconds since 1970, with a fraction. */
  readonly now: () => number;
}

export function createLogger(options: LogOptions, caller = "portal"): Logger {
  return new LineLogger(options, caller, {});
}

class LineLogger implements Logger {
  readonly #options: LogOptions;
  readonly #caller: string;
  readonly #fields: LogFields;
  readonly #least: number;

  constructor(options: LogOptions, caller: string, fields: LogFields) {
    this.#options = options;
    this.#caller = caller;
    this.#fields = fields;
    this.#least = logLevels.indexOf(options.level);
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  fatal(message: string, fields?: LogFields): void {
    this.#log("fatal", message, fields);
  }

  isEnabled(level: LogLevel): boolean {
    return logLevels.indexOf(level) >= this.#least;
  }

  named(caller: string, fields: LogFields = {}): Logger {
    return new LineLogger(this.#options, caller, { ...this.#fields, ...fields });
  }

  #log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.isEnabled(level)) return;
    const ts = timestamp(this.#options.now());
    const all = { ...this.#fields, ...fields };
    const line =
      this.#options.format === "json"
        ? toJson({ level, ts, caller: this.#caller, msg: message, ...all })
        : toConsole([ts, level, this.#caller, message], all);
    this.#options.write(`${line}\n`);
  }
}

/** "2026-01-02T03:04:05.678901Z". */
function timestamp(nowMs: number): string {
  const micros = Math.floor((nowMs - Math.floor(nowMs)) * 1_000);
  const iso = new Date(Math.floor(nowMs)).toISOString();
  return `${iso.slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}

function toJson(value: unknown): string {
  return JSON.stringify(value, plain);
}

function toConsole(columns: readonly string[], fields: LogFields): string {
  const rest = Object.keys(fields).length > 0 ? [toJson(fields)] : [];
  return [...columns, ...rest].join("\t").replaceAll("\n", "\\n");
}

/** Values that JSON has no form for. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) return value.message;
  return value;
}

/** Writes nothing; for tests and embedded members. */
export const silentLogger: Logger = createLogger({
  level: "fatal",
  format: "json",
  write: () => undefined,
  now: () => 0,
});
