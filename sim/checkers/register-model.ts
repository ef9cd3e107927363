// One key as a register: puts, deletes, reads and compare-and-swap, by value alone. For `checkLinearizable`,
// one key at a time; revisions play no part in it, so it judges also what the revisions might hide.

import type { SequentialModel } from "./linearizability.ts";

export type RegisterInput =
  | { readonly kind: "write"; readonly value: string | undefined }
  | { readonly kind: "read" }
  /** Writes `value` when the register holds `expected` (undefined: nothing). */
  | {
      readonly kind: "swap";
      readonly expected: string | undefined;
      readonly value: string | undefined;
    };

export type RegisterOutput =
  | { readonly kind: "written" }
  | { readonly kind: "value"; readonly value: string | undefined }
  | { readonly kind: "swapped"; readonly succeeded: boolean };

interface Register {
  readonly value: string | undefined;
}

export const registerModel: SequentialModel<Register, RegisterInput, RegisterOutput> = {
  initial: { value: undefined },
  step(state, input, output) {
    switch (input.kind) {
      case "write":
        return { value: input.value };
      case "read":
        return output?.kind === "value" && output.value !== state.value ? undefined : state;
      case "swap": {
        const succeeds = state.value === input.expected;
        if (output?.kind === "swapped" && output.succeeded !== succeeds) return undefined;
        return succeeds ? { value: input.value } : state;
      }
    }
  },
  keyOf: ({ value }) => (value === undefined ? "" : `=${value}`),
};
