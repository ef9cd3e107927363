// The conditions of a transaction.

import {
  Compare_CompareResult as CompareResult,
  Compare_CompareTarget as CompareTarget,
  type DeepPartial,
  type Compare as WireCompare,
} from "../wire/generated/rpc.ts";
import { type Bytes, toBytes } from "./bytes.ts";
import { type KeySelector, toWireRange } from "./key-range.ts";
import type { Keyspace } from "./keyspace.ts";

export type Relation = "=" | "!=" | ">" | "<";

/** One condition. Make them with `compare`. With a range it must hold for every key in it. */
export interface Comparison {
  toWire(keyspace: Keyspace): DeepPartial<WireCompare>;
}

type TargetUnion = NonNullable<WireCompare["targetUnion"]>;

const RESULTS: Readonly<Record<Relation, CompareResult>> = {
  "=": CompareResult.EQUAL,
  "!=": CompareResult.NOT_EQUAL,
  ">": CompareResult.GREATER,
  "<": CompareResult.LESS,
};

const TARGETS: Readonly<Record<TargetUnion["$case"], CompareTarget>> = {
  version: CompareTarget.VERSION,
  createRevision: CompareTarget.CREATE,
  modRevision: CompareTarget.MOD,
  value: CompareTarget.VALUE,
  lease: CompareTarget.LEASE,
};

export const compare = {
  value(selector: KeySelector, relation: Relation, value: Bytes): Comparison {
    return comparison(selector, relation, { $case: "value", value: toBytes(value) });
  },
  version(selector: KeySelector, relation: Relation, version: number): Comparison {
    return comparison(selector, relation, { $case: "version", value: BigInt(version) });
  },
  createRevision(selector: KeySelector, relation: Relation, revision: number): Comparison {
    return comparison(selector, relation, { $case: "createRevision", value: BigInt(revision) });
  },
  modRevision(selector: KeySelector, relation: Relation, revision: number): Comparison {
    return comparison(selector, relation, { $case: "modRevision", value: BigInt(revision) });
  },
  lease(selector: KeySelector, relation: Relation, lease: bigint): Comparison {
    return comparison(selector, relation, { $case: "lease", value: lease });
  },
  exists(key: Bytes): Comparison {
    return compare.createRevision(key, ">", 0);
  },
  missing(key: Bytes): Comparison {
    return compare.createRevision(key, "=", 0);
  },
} as const;

function comparison(
  selector: KeySelector,
  relation: Relation,
  targetUnion: TargetUnion,
): Comparison {
  return {
    toWire: (keyspace) => ({
      ...keyspace.range(toWireRange(selector)),
      result: RESULTS[relation],
      target: TARGETS[targetUnion.$case],
      targetUnion,
    }),
  };
}
