// Holds what clients of real processes were told against what the members keep: every member has the same
// changes, each call fits into the one order that the revisions name, and, by search and without looking at
// revisions, each key was a linearizable register.

import { EqualState } from "../../sim/checkers/equal-state.ts";
import type { Call, Violation } from "../../sim/checkers/history.ts";
import { checkLinearizable, partition } from "../../sim/checkers/linearizability.ts";
import { registerModel } from "../../sim/checkers/register-model.ts";
import { checkRevisionOrder } from "../../sim/checkers/revision-order.ts";
import type { Cluster } from "../support/cluster.mjs";
import { readChanges, registerCalls } from "../support/recorded-load.mjs";

/** What is wrong, as lines to read; empty when all is well. `gaveUp`: keys too tangled for the search. */
export async function judgeHistory(cluster: Cluster, calls: readonly Call[]) {
  const violations: Violation[] = [];
  const report = (violation: Violation) => violations.push(violation);
  const equalState = new EqualState(report);
  const histories = await Promise.all(cluster.members.map((member) => readChanges(member)));
  for (const [index, { changes }] of histories.entries()) {
    const { name } = cluster.members[index] as { name: string };
    for (const [revision, events] of changes) equalState.noteChanges(revision, events, name);
  }
  const { changes, lastRevision } = equalState;
  checkRevisionOrder({ changes, lastRevision, calls }, report);
  const gaveUp = searchEachKey(calls, report);
  return { problems: violations.map(({ property, text }) => `${property}: ${text}`), gaveUp };
}

function searchEachKey(calls: readonly Call[], report: (violation: Violation) => void): string[] {
  const gaveUp: string[] = [];
  for (const [key, group] of partition(registerCalls(calls), (call) => call.key)) {
    const { verdict } = checkLinearizable(registerModel, group);
    if (verdict === "gaveUp") gaveUp.push(key);
    if (verdict !== "violated") continue;
    report({
      property: "linearizable",
      text: `no order explains the ${group.length} calls on ${key}`,
    });
  }
  return gaveUp;
}
