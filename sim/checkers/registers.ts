// Judges the keys that are only ever put, read, deleted and swapped by value, one by one, as registers: by values and
// times alone. What the revisions say is left to revision-order.ts.

import { type Call, describeAction, describeOutcome, type Report } from "./history.ts";
import { checkLinearizable, partition, type TimedCall } from "./linearizability.ts";
import { type RegisterInput, type RegisterOutput, registerModel } from "./register-model.ts";

interface RegisterCall extends TimedCall<RegisterInput, RegisterOutput> {
  readonly key: string;
  readonly call: Call;
}

const stepsMax = 300_000;

/** Keys that begin with `r` are registers. A history that is too hard to decide passes. */
export function checkRegisters(calls: readonly Call[], report: Report): void {
  const registerCalls = calls.map(toRegisterCall).filter((call) => call !== undefined);
  for (const [key, group] of partition(registerCalls, (call) => call.key)) {
    const result = checkLinearizable(registerModel, group, stepsMax);
    if (result.verdict !== "violated") continue;
    const placed = new Set(result.longest);
    const stuck = group.find((_, i) => !placed.has(i));
    const { action, outcome, id } = (stuck as RegisterCall).call;
    report({
      property: "linearizable",
      text: `key ${key}: no order explains its ${group.length} calls; ${result.longest.length} have a place, and then not call ${id}: ${describeAction(action)} → ${describeOutcome(outcome)}`,
    });
  }
}

function toRegisterCall(call: Call): RegisterCall | undefined {
  const { action, outcome, invokedAt } = call;
  if (outcome.kind === "refused") return undefined;
  const isKnown = outcome.kind === "ok";
  const returnedAt = isKnown ? call.returnedAt : Number.POSITIVE_INFINITY;
  const timed = { call, invokedAt, returnedAt };
  if (action.kind === "read") {
    if (!action.key.startsWith("r") || action.isSerializable || !isKnown) return undefined;
    const [result] = outcome.results;
    const value = result?.kind === "get" ? result.kvs[0]?.value : undefined;
    return { ...timed, key: action.key, input: { kind: "read" }, output: { kind: "value", value } };
  }
  if (action.kind !== "write") return undefined;
  const [step] = action.success;
  if (step === undefined || step.kind === "get" || !step.key.startsWith("r")) return undefined;
  const value = step.kind === "put" ? step.value : undefined;
  const [compare] = action.compares;
  if (compare === undefined) {
    const output = isKnown ? ({ kind: "written" } as const) : undefined;
    return { ...timed, key: step.key, input: { kind: "write", value }, output };
  }
  const expected = String(compare.equals);
  const output = isKnown ? ({ kind: "swapped", succeeded: outcome.succeeded } as const) : undefined;
  return { ...timed, key: step.key, input: { kind: "swap", expected, value }, output };
}
