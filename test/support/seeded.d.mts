// Types of seeded.mjs, for tests in TypeScript.

export class Seeded {
  constructor(seed: number);
  next(): number;
  between(low: number, high: number): number;
  pick<Each>(list: readonly Each[]): Each;
  chance(probability: number): boolean;
  shuffled<Each>(list: readonly Each[]): Each[];
}
