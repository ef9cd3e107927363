// Random etcd commands for the property test, as fast-check arbitraries: mostly sensible, now and then wrong.
// Revisions are offsets from the beginning of a sequence (`since`), since both servers have a past.
import fc from "fast-check";

const keyNames = ["a", "ab", "b", "c", "ca", "\u00ff", "\u0000z"];
const key = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(...keyNames) },
  { weight: 1, arbitrary: fc.constant("") },
);
const rangeEnd = fc.oneof(
  { weight: 5, arbitrary: fc.constant("") },
  { weight: 6, arbitrary: fc.constantFrom("\u0000", "b", "c", "d", "cb", "a") },
);
const bytes = (text) => Buffer.from(text, "latin1");
const value = fc.constantFrom("", "1", "2", "10", "x".repeat(300));
const lease = fc.constantFrom(0n, 0n, 0n, 0n, 0n, 501n, 502n, 999n);
const rarely = (arbitrary, usual) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary });
const flag = fc.boolean();
/** 0: none; otherwise an offset from the sequence's first revision. */
const since = (weightOfNone) =>
  fc.oneof(
    { weight: weightOfNone, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 25 }) },
  );

const range = fc
  .record({
    key,
    rangeEnd,
    limit: rarely(fc.integer({ min: 0, max: 4 }), 0),
    revision: since(2),
    sortOrder: fc.constantFrom(0, 0, 1, 2),
    sortTarget: fc.constantFrom(0, 0, 1, 2, 3, 4),
    serializable: flag,
    keysOnly: rarely(flag, false),
    countOnly: rarely(flag, false),
    minModRevision: since(6),
    maxModRevision: since(6),
    minCreateRevision: since(6),
    maxCreateRevision: since(6),
  })
  .map((request) => ({ ...request, key: bytes(request.key), rangeEnd: bytes(request.rangeEnd) }));

const put = fc
  .record({
    key,
    value,
    lease,
    prevKv: flag,
    ignoreValue: rarely(flag, false),
    ignoreLease: rarely(flag, false),
  })
  .map((request) => ({
    ...request,
    key: bytes(request.key),
    // With ignore_value a value is an error; usually there is none then.
    value: bytes(request.ignoreValue && request.value !== "1" ? "" : request.value),
  }));

const deleteRange = fc
  .record({ key, rangeEnd, prevKv: flag })
  .map((request) => ({ ...request, key: bytes(request.key), rangeEnd: bytes(request.rangeEnd) }));

const compareTargets = [
  [0, "version", fc.integer({ min: 0, max: 4 }).map(BigInt)],
  [1, "createRevision", since(1)],
  [2, "modRevision", since(1)],
  [3, "value", value.map(bytes)],
  [4, "lease", lease],
];
const compare = fc
  .constantFrom(...compareTargets)
  .chain(([target, field, content]) =>
    fc.record({
      result: fc.constantFrom(0, 1, 2, 3),
      target: fc.constant(target),
      key,
      rangeEnd: rarely(rangeEnd, ""),
      targetUnion: content.map((each) => ({ $case: field, value: each })),
    }),
  )
  .map((each) => ({ ...each, key: bytes(each.key), rangeEnd: bytes(each.rangeEnd) }));

const operation = (depth) =>
  fc.oneof(
    { weight: 3, arbitrary: put.map((each) => wrap("requestPut", each)) },
    { weight: 3, arbitrary: range.map((each) => wrap("requestRange", each)) },
    { weight: 2, arbitrary: deleteRange.map((each) => wrap("requestDeleteRange", each)) },
    ...(depth > 0
      ? [{ weight: 1, arbitrary: txn(depth - 1).map((each) => wrap("requestTxn", each)) }]
      : []),
  );

function wrap($case, content) {
  return { request: { $case, value: content } };
}

function txn(depth) {
  return fc.record({
    compare: fc.array(compare, { maxLength: 2 }),
    success: fc.array(operation(depth), { maxLength: 4 }),
    failure: fc.array(operation(depth), { maxLength: 3 }),
  });
}

const leaseId = fc.constantFrom(501n, 502n, 503n);
const compaction = fc.record({ revision: fc.integer({ min: 0, max: 22 }), physical: flag });

const call = (name, arbitrary) => arbitrary.map((request) => ({ name, request }));

export const command = fc.oneof(
  { weight: 10, arbitrary: call("put", put) },
  { weight: 8, arbitrary: call("range", range) },
  { weight: 3, arbitrary: call("rangeStream", range) },
  { weight: 4, arbitrary: call("deleteRange", deleteRange) },
  { weight: 8, arbitrary: call("txn", txn(2)) },
  { weight: 1, arbitrary: call("compact", compaction) },
  {
    weight: 2,
    arbitrary: call(
      "leaseGrant",
      fc.record({ ID: leaseId, TTL: fc.constantFrom(3_000, 0, 4_000) }),
    ),
  },
  { weight: 1, arbitrary: call("leaseRevoke", fc.record({ ID: leaseId })) },
  { weight: 1, arbitrary: call("leaseTimeToLive", fc.record({ ID: leaseId, keys: flag })) },
  { weight: 1, arbitrary: call("leaseLeases", fc.constant({})) },
);

export const watch = fc
  .record({
    key,
    rangeEnd,
    startRevision: fc.integer({ min: 1, max: 12 }),
    prevKv: flag,
    filters: fc.subarray([0, 1]),
  })
  .map((request) => ({ ...request, key: bytes(request.key), rangeEnd: bytes(request.rangeEnd) }));

const revisionFields = new Set([
  "revision",
  "createRevision",
  "modRevision",
  "minModRevision",
  "maxModRevision",
  "minCreateRevision",
  "maxCreateRevision",
  "startRevision",
]);

/** The request with its offsets made into revisions after `base`. */
export function withBase(request, base) {
  if (Buffer.isBuffer(request) || typeof request !== "object" || request === null) return request;
  if (Array.isArray(request)) return request.map((each) => withBase(each, base));
  if (request.$case === "createRevision" || request.$case === "modRevision") {
    return { ...request, value: BigInt(request.value === undefined ? 0 : request.value + base) };
  }
  const entries = Object.entries(request).map(([name, content]) => {
    if (!revisionFields.has(name)) return [name, withBase(content, base)];
    return [name, content === undefined ? 0 : content + base];
  });
  return Object.fromEntries(entries);
}

const answerRevisionFields = new Set(["revision", "createRevision", "modRevision", "hashRevision"]);

/** An answer with revisions as offsets from `base`, and without what must differ between two servers. */
export function normalized(answer, base) {
  if (answer instanceof Uint8Array) return Buffer.from(answer).toString("latin1");
  if (typeof answer !== "object" || answer === null) return answer;
  if (Array.isArray(answer)) return answer.map((each) => normalized(each, base));
  const result = {};
  for (const [name, content] of Object.entries(answer)) {
    if (name === "clusterId" || name === "memberId" || name === "raftTerm") continue;
    if (name === "compactRevision" && content !== 0)
      result[name] = content <= base ? "old" : content - base;
    else if (answerRevisionFields.has(name) && content !== 0) result[name] = content - base;
    else result[name] = normalized(content, base);
  }
  return result;
}
