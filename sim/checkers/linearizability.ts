// Is there an order of calls that explains what each of them returned, and that keeps every call between its
// invocation and its return? The search of Wing and Gong with Lowe's memory of what was tried, for any model.
// It knows nothing of stores or networks; calls without an outcome may take effect at any later time, or never.

/** What the thing under test should do, one call at a time. States are never changed in place. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /** The state after the call, or undefined when it can not give `output`. Without `output`, any is right. */
  step(state: State, input: Input, output: Output | undefined): State | undefined;
  /** Equal states give equal texts. */
  keyOf(state: State): string;
}

export interface TimedCall<Input, Output> {
  readonly input: Input;
  /** undefined: unknown. */
  readonly output: Output | undefined;
  /** Places in one common order of invocations and returns; `Infinity` for a return that never came. */
  readonly invokedAt: number;
  readonly returnedAt: number;
}

export type LinearizabilityResult =
  | { readonly verdict: "linearizable"; readonly order: readonly number[] }
  /** `longest`: the most calls that could be put in order, by their places in the list. */
  | { readonly verdict: "violated"; readonly longest: readonly number[] }
  | { readonly verdict: "gaveUp"; readonly steps: number };

/** An invocation or a return, in a list from which calls are taken out once they have their place. */
interface Mark {
  readonly call: number;
  readonly isReturn: boolean;
  /** The return that belongs to an invocation. */
  match: Mark | undefined;
  previous: Mark | undefined;
  next: Mark | undefined;
}

const stepsMaxDefault = 1_000_000;

/** Decides for one independent part of a history (see `partition`); gives up after `stepsMax` model steps. */
export function checkLinearizable<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  calls: readonly TimedCall<Input, Output>[],
  stepsMax = stepsMaxDefault,
): LinearizabilityResult {
  const head = markList(calls);
  let open = calls.filter((call) => call.returnedAt !== Number.POSITIVE_INFINITY).length;
  const placed = new Uint32Array(Math.ceil(calls.length / 32));
  const tried = new Set<string>();
  const path: { mark: Mark; before: State }[] = [];
  let longest: number[] = [];
  let state = model.initial;
  let steps = 0;
  let at = head.next;
  while (open > 0) {
    if (at !== undefined && !at.isReturn) {
      const call = calls[at.call] as TimedCall<Input, Output>;
      if (++steps > stepsMax) return { verdict: "gaveUp", steps };
      const after = model.step(state, call.input, call.output);
      if (after !== undefined && isNew(tried, placed, at.call, model.keyOf(after))) {
        path.push({ mark: at, before: state });
        if (path.length > longest.length) longest = path.map(({ mark }) => mark.call);
        place(placed, at.call);
        if (call.returnedAt !== Number.POSITIVE_INFINITY) open--;
        takeOut(at);
        state = after;
        at = head.next;
      } else {
        at = at.next;
      }
      continue;
    }
    // A return is reached before its call found a place (or nothing is left to try): undo the last choice.
    const last = path.pop();
    if (last === undefined) return { verdict: "violated", longest };
    unplace(placed, last.mark.call);
    if (calls[last.mark.call]?.returnedAt !== Number.POSITIVE_INFINITY) open++;
    putBack(last.mark);
    state = last.before;
    at = last.mark.next;
  }
  return { verdict: "linearizable", order: path.map(({ mark }) => mark.call) };
}

/** Groups calls by what they touch; the whole is linearizable when each group is. */
export function partition<Call>(
  calls: readonly Call[],
  keyOf: (call: Call) => string,
): Map<string, Call[]> {
  const groups = new Map<string, Call[]>();
  for (const call of calls) {
    const key = keyOf(call);
    const group = groups.get(key);
    if (group) group.push(call);
    else groups.set(key, [call]);
  }
  return groups;
}

function markList(calls: readonly TimedCall<unknown, unknown>[]): Mark {
  const marks: { mark: Mark; at: number }[] = [];
  for (const [call, { invokedAt, returnedAt }] of calls.entries()) {
    const invocation = newMark(call, false);
    marks.push({ mark: invocation, at: invokedAt });
    // What never returned has no mark that it would have to be placed before.
    if (returnedAt === Number.POSITIVE_INFINITY) continue;
    invocation.match = newMark(call, true);
    marks.push({ mark: invocation.match, at: returnedAt });
  }
  // At one moment, invocations come first: such calls overlap.
  marks.sort((a, b) => a.at - b.at || Number(a.mark.isReturn) - Number(b.mark.isReturn));
  const head = newMark(-1, false);
  let last = head;
  for (const { mark } of marks) {
    last.next = mark;
    mark.previous = last;
    last = mark;
  }
  return head;
}

function newMark(call: number, isReturn: boolean): Mark {
  return { call, isReturn, match: undefined, previous: undefined, next: undefined };
}

function takeOut(mark: Mark): void {
  for (const gone of [mark, mark.match]) {
    if (gone?.previous) gone.previous.next = gone.next;
    if (gone?.next) gone.next.previous = gone.previous;
  }
}

/** In the opposite order of `takeOut`. */
function putBack(mark: Mark): void {
  for (const back of [mark.match, mark]) {
    if (back?.previous) back.previous.next = back;
    if (back?.next) back.next.previous = back;
  }
}

function isNew(tried: Set<string>, placed: Uint32Array, call: number, state: string): boolean {
  place(placed, call);
  const key = `${placed.join()}|${state}`;
  unplace(placed, call);
  if (tried.has(key)) return false;
  tried.add(key);
  return true;
}

function place(placed: Uint32Array, call: number): void {
  placed[call >>> 5] = (placed[call >>> 5] as number) | (1 << (call & 31));
}

function unplace(placed: Uint32Array, call: number): void {
  placed[call >>> 5] = (placed[call >>> 5] as number) & ~(1 << (call & 31));
}
