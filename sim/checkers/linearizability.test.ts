import { describe, expect, it } from "vitest";
import { Random } from "../../src/base/random.ts";
import { checkLinearizable, type TimedCall } from "./linearizability.ts";
import { type RegisterInput, type RegisterOutput, registerModel } from "./register-model.ts";

type Call = TimedCall<RegisterInput, RegisterOutput>;

const write = (value: string, invokedAt: number, returnedAt: number): Call => ({
  input: { kind: "write", value },
  output: returnedAt === Number.POSITIVE_INFINITY ? undefined : { kind: "written" },
  invokedAt,
  returnedAt,
});
const read = (value: string | undefined, invokedAt: number, returnedAt: number): Call => ({
  input: { kind: "read" },
  output: { kind: "value", value },
  invokedAt,
  returnedAt,
});
const swap = (
  expected: string | undefined,
  value: string,
  succeeded: boolean | undefined,
  invokedAt: number,
  returnedAt: number,
): Call => ({
  input: { kind: "swap", expected, value },
  output: succeeded === undefined ? undefined : { kind: "swapped", succeeded },
  invokedAt,
  returnedAt,
});
const never = Number.POSITIVE_INFINITY;
const verdict = (calls: readonly Call[]) => checkLinearizable(registerModel, calls).verdict;

describe("checkLinearizable", () => {
  it("accepts what overlaps in either order", () => {
    expect(verdict([write("a", 0, 10), read("a", 1, 2), read("a", 3, 4)])).toBe("linearizable");
    expect(verdict([write("a", 0, 10), read(undefined, 1, 2), read("a", 3, 4)])).toBe(
      "linearizable",
    );
  });

  it("refuses a read that goes back", () => {
    expect(verdict([write("a", 0, 10), read("a", 1, 2), read(undefined, 3, 4)])).toBe("violated");
  });

  it("refuses a stale read after a write has returned", () => {
    expect(verdict([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)])).toBe("violated");
  });

  it("lets a write of unknown outcome happen late, or never", () => {
    const unknown = write("b", 2, never);
    const before = [write("a", 0, 1), unknown];
    expect(verdict([...before, read("a", 3, 4), read("a", 5, 6)])).toBe("linearizable");
    expect(verdict([...before, read("a", 3, 4), read("b", 5, 6)])).toBe("linearizable");
    expect(verdict([...before, read("b", 3, 4), read("a", 5, 6)])).toBe("violated");
  });

  it("refuses two swaps that both won", () => {
    const first = swap(undefined, "a", true, 0, 10);
    expect(verdict([first, swap(undefined, "b", false, 0, 10)])).toBe("linearizable");
    expect(verdict([first, swap(undefined, "b", true, 0, 10)])).toBe("violated");
    expect(verdict([swap(undefined, "a", undefined, 0, never), swap("a", "b", true, 1, 2)])).toBe(
      "linearizable",
    );
  });

  it("agrees with trying every order", () => {
    const random = new Random(7);
    const seen = { linearizable: 0, violated: 0, gaveUp: 0 };
    for (let round = 0; round < 1500; round++) {
      const calls = randomHistory(random);
      const result = verdict(calls);
      seen[result]++;
      expect(result, JSON.stringify(calls)).toBe(
        someOrderFits(calls, new Set(), registerModel.initial) ? "linearizable" : "violated",
      );
    }
    expect(seen.linearizable).toBeGreaterThan(200);
    expect(seen.violated).toBeGreaterThan(200);
  });

  it("decides a long history with many unknown outcomes in time", () => {
    const random = new Random(3);
    const calls: Call[] = [];
    let value: string | undefined;
    for (let i = 0; i < 400; i++) {
      if (random.chance(0.1)) calls.push(write(`lost${i}`, i * 10, never));
      else if (random.chance(0.5)) {
        value = `v${i}`;
        calls.push(write(value, i * 10, i * 10 + random.between(1, 9)));
      } else calls.push(read(value, i * 10, i * 10 + random.between(1, 9)));
    }
    expect(verdict(calls)).toBe("linearizable");
    calls.push(read("lost nowhere", 5000, 5001));
    expect(checkLinearizable(registerModel, calls, 50_000).verdict).not.toBe("linearizable");
  });
});

function randomHistory(random: Random): Call[] {
  const values = ["a", "b"];
  return Array.from({ length: random.between(2, 5) }, () => {
    const invokedAt = random.below(8);
    const returnedAt = invokedAt + random.between(1, 4);
    const value = random.pick(values);
    switch (random.below(5)) {
      case 0:
        return write(value, invokedAt, never);
      case 1:
        return write(value, invokedAt, returnedAt);
      case 2:
        return swap(
          random.pick([undefined, "a", "b"]),
          value,
          random.chance(0.5),
          invokedAt,
          returnedAt,
        );
      default:
        return read(random.pick([undefined, "a", "b"]), invokedAt, returnedAt);
    }
  });
}

/** The definition itself, without any cleverness. */
function someOrderFits(
  calls: readonly Call[],
  done: ReadonlySet<Call>,
  state: typeof registerModel.initial,
): boolean {
  const left = calls.filter((call) => !done.has(call));
  if (left.every((call) => call.returnedAt === never)) return true;
  const firstReturn = Math.min(...left.map((call) => call.returnedAt));
  return left.some((call) => {
    if (call.invokedAt > firstReturn) return false;
    const after = registerModel.step(state, call.input, call.output);
    return after !== undefined && someOrderFits(calls, new Set([...done, call]), after);
  });
}
