// How commands end. The numbers are etcdctl's, because scripts test them.

export const ExitCode = {
  success: 0,
  error: 1,
  badConnection: 2,
  /** Of txn and watch: what was read from standard input makes no sense. */
  invalidInput: 3,
  /** A flag is fine and its value is not. */
  badFeature: 4,
  interrupted: 5,
  badArguments: 128,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Ends the command: a message, perhaps with what to do about it, and the exit code. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

export function badArguments(message: string, hint?: string): CommandError {
  return new CommandError(ExitCode.badArguments, message, hint);
}
