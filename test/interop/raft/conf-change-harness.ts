// Runs the confchange transcripts: `simple`, `enter-joint` and `leave-joint` one after the other on one
// configuration, printing it and everybody's progress after each step.

import {
  type ConfigResult,
  changeSimply,
  enterJoint,
  leaveJoint,
} from "../../../src/raft/confchange/changer.ts";
import type { MemberChange } from "../../../src/raft/confchange/conf-change.ts";
import { Tracker } from "../../../src/raft/tracker/tracker.ts";
import { describeConfig, describeProgress } from "./describe.ts";
import type { Command } from "./transcript.ts";

export class ConfChangeHarness {
  readonly #tracker = new Tracker({ maxInflightMessages: 10, maxInflightBytes: 0 });
  /** Grows with every command, so that `next` tells when a member came. */
  #lastIndex = 0;

  run(command: Command): string {
    const lastIndex = this.#lastIndex++;
    const result = this.#change(command);
    if ("refused" in result) return result.refused;
    this.#tracker.change(result, lastIndex);
    const progress = this.#tracker.all.map((each) => describeProgress(each.status()));
    return [describeConfig(this.#tracker.config), ...progress].join("\n");
  }

  #change(command: Command): ConfigResult {
    const config = this.#tracker.config;
    const changes = parseChanges(command.input);
    switch (command.name) {
      case "simple":
        return changeSimply(config, changes);
      case "enter-joint": {
        const autoLeave = command.args.find((arg) => arg.key === "autoleave")?.values[0] === "true";
        return enterJoint(config, autoLeave, changes);
      }
      case "leave-joint":
        if (changes.length > 0) return { refused: "this command takes no input" };
        return leaveJoint(config);
      default:
        return { refused: "unknown command" };
    }
  }
}

const kinds = { v: "addVoter", l: "addLearner", r: "remove", u: "update" } as const;

/** `v1 l2 r3 u4`: make voter, make learner, remove, update. */
export function parseChanges(text: string): MemberChange[] {
  const words = text.trim() === "" ? [] : text.trim().split(" ");
  return words.map((word) => {
    const kind = kinds[word[0] as keyof typeof kinds];
    if (kind === undefined || !/^.\d+$/.test(word)) throw new Error(`unknown input: ${word}`);
    return { kind, id: BigInt(word.slice(1)) };
  });
}
