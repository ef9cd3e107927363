// What happened, for people: lines with a time and who it happened to. Kept only when somebody asked for it; the
// texts of a run without a story are never built.

interface StoryLine {
  readonly atMs: number;
  readonly who: string;
  readonly text: string;
}

const linesMax = 200_000;

export class Story {
  readonly isTold: boolean;
  readonly #now: () => number;
  readonly #lines: StoryLine[] = [];

  constructor(isTold: boolean, now: () => number) {
    this.isTold = isTold;
    this.#now = now;
  }

  note(who: string, text: () => string): void {
    if (!this.isTold || this.#lines.length >= linesMax) return;
    this.#lines.push({ atMs: this.#now(), who, text: text() });
  }

  /** One line each: the last `count` of those that are not about `without`. */
  lines({ count = linesMax, without = [] }: StoryView = {}): string[] {
    const lines = this.#lines.filter(({ who }) => !without.includes(who)).slice(-count);
    const width = Math.max(0, ...lines.map(({ who }) => who.length));
    return lines.map(
      ({ atMs, who, text }) => `${atMs.toFixed(1).padStart(9)} ms  ${who.padEnd(width)}  ${text}`,
    );
  }
}

export interface StoryView {
  readonly count?: number;
  readonly without?: readonly string[];
}
