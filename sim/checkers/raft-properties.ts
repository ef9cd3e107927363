// The safety properties of figure 3 of the Raft paper, from what members are seen to do: at most one leader in a
// term; equal index and term mean equal logs up to there; a leader has everything that was committed before its
// term; what is applied at an index is the same everywhere and for ever. Fed as things happen.

import type { Report } from "./history.ts";

export class ElectionSafety {
  readonly #report: Report;
  readonly #leaders = new Map<number, string>();

  constructor(report: Report) {
    this.#report = report;
  }

  noteLeader(term: number, member: string): void {
    const other = this.#leaders.get(term);
    if (other === undefined) this.#leaders.set(term, member);
    else if (other !== member) {
      this.#report({
        property: "one leader per term",
        text: `${member} leads in term ${term}, and so does ${other}`,
      });
    }
  }

  get terms(): number {
    return this.#leaders.size;
  }
}

interface LogPoint {
  /** What stands there: two entries with the same text are the same. */
  readonly content: string;
  readonly previousTerm: number;
}

/** Entries by index and term, each with the term of the one before: equal ones have equal pasts, by induction. */
export class LogMatching {
  readonly #report: Report;
  readonly #points = new Map<number, Map<number, LogPoint>>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** `content` is asked for only when it is needed. */
  noteEntry(
    index: number,
    term: number,
    previousTerm: number,
    content: string,
    member: string,
  ): void {
    let terms = this.#points.get(index);
    if (terms === undefined) {
      terms = new Map();
      this.#points.set(index, terms);
    }
    const known = terms.get(term);
    if (known === undefined) {
      terms.set(term, { content, previousTerm });
      return;
    }
    if (known.content === content && known.previousTerm === previousTerm) return;
    this.#report({
      property: "log matching",
      text: `entry ${index} of term ${term} at ${member} is not what it is elsewhere: ${content} after term ${previousTerm}, elsewhere ${known.content} after term ${known.previousTerm}`,
    });
  }
}

interface Applied {
  readonly term: number;
  /** The term of who applied it first: it was committed then, or earlier. */
  readonly committedIn: number;
  readonly content: string;
  readonly member: string;
}

/** What was committed where: `noteApplied` by whoever applies, `checkLeader` when one is elected. */
export class CommittedLog {
  readonly #report: Report;
  readonly #applied: (Applied | undefined)[] = [];

  constructor(report: Report) {
    this.#report = report;
  }

  get lastIndex(): number {
    return this.#applied.length - 1;
  }

  termAt(index: number): number | undefined {
    return this.#applied[index]?.term;
  }

  /** `currentTerm`: the member's own, not the entry's. */
  noteApplied(
    index: number,
    term: number,
    content: string,
    member: string,
    currentTerm: number,
  ): void {
    const known = this.#applied[index];
    if (known === undefined) {
      this.#applied[index] = { term, content, member, committedIn: currentTerm };
      return;
    }
    if (known.term === term && known.content === content) return;
    this.#report({
      property: "state machine safety",
      text: `${member} applies entry ${index} as ${content} of term ${term}, ${known.member} had ${known.content} of term ${known.term}`,
    });
  }

  /** `termAt` of the new leader's log; undefined where its log was compacted or does not reach. */
  checkLeader(
    member: string,
    term: number,
    log: {
      readonly firstIndex: number;
      readonly lastIndex: number;
      termAt(index: number): number | undefined;
    },
  ): void {
    for (let index = log.firstIndex; index < this.#applied.length; index++) {
      const committed = this.#applied[index];
      if (committed === undefined || committed.committedIn >= term) continue;
      const found = index > log.lastIndex ? undefined : log.termAt(index);
      if (found === committed.term) continue;
      this.#report({
        property: "leader completeness",
        text: `${member} leads in term ${term} without entry ${index} of term ${committed.term}, which is committed; it has ${found ?? "nothing"} there`,
      });
      return;
    }
  }
}
