// Types of recorded-load.mjs, seeded.mjs and disasters.mjs, for tests in TypeScript.

import type { Call, EventSeen } from "../../sim/checkers/history.ts";
import type { RegisterInput, RegisterOutput } from "../../sim/checkers/register-model.ts";
import type { Member } from "./cluster.mjs";
import type { Seeded } from "./seeded.mjs";

export interface LoadOptions {
  /** Those that may be asked, looked at before each call. */
  readonly members: () => readonly Member[];
  readonly random: Seeded;
  readonly keys?: number;
  readonly clients?: number;
  /** Between two calls of one client, on average. */
  readonly pauseMs?: number;
}

export class RecordedLoad {
  constructor(options: LoadOptions);
  readonly calls: readonly Call[];
  readonly acknowledgedWrites: number;
  stop(): Promise<readonly Call[]>;
}

export interface RegisterCall {
  readonly client: string;
  readonly key: string;
  readonly input: RegisterInput;
  readonly output: RegisterOutput | undefined;
  readonly invokedAt: number;
  readonly returnedAt: number;
}

export function registerCalls(calls: readonly Call[]): RegisterCall[];
export function readChanges(
  member: Member,
  startRevision?: number,
): Promise<{ changes: Map<number, EventSeen[]>; lastRevision: number }>;
