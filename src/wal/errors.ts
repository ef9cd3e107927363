// What can go wrong with the log, as types: callers tell them apart with instanceof, never by text.

import { Status, StatusError } from "../base/status.ts";

/** The log on disk does not say what was once acknowledged. It is not opened; nothing was changed. */
export class WalCorruptError extends StatusError {
  /** The damaged or missing file. */
  readonly file: string;
  /** Where in the file the damaged record begins. */
  readonly offsetBytes: number;

  constructor(file: string, offsetBytes: number, what: string) {
    super(
      Status.DATA_LOSS,
      `Cannot open the log: ${file} is damaged at byte ${offsetBytes}: ${what}. Nothing was changed. ` +
        "Restore this member's data directory from a backup, or remove the member from its cluster and add it " +
        "again with an empty data directory; deleting log files loses acknowledged writes.",
    );
    this.file = file;
    this.offsetBytes = offsetBytes;
  }
}

/** No space left. Nothing of the rejected batch is in the log; appending works again once there is space. */
export class WalFullError extends StatusError {
  constructor(file: string, cause: unknown) {
    super(Status.RESOURCE_EXHAUSTED, `Cannot append to ${file}: no space left on the disk`, {
      cause,
    });
  }
}

/**
 * The disk failed. What of the rejected batch is on disk is unknown, and so is what the system still holds in its
 * cache, so the log takes nothing more in this process; opening it again reads what the disk really has.
 */
export class WalFailedError extends StatusError {
  constructor(file: string, cause: unknown) {
    const text = cause instanceof Error ? cause.message : String(cause);
    super(
      Status.UNAVAILABLE,
      `Cannot append to ${file}: the disk failed (${text}); restart this member when the disk is sound`,
      { cause },
    );
  }
}

/** True for the errors that mean "no space": ENOSPC and a used-up quota. */
export function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT";
}
