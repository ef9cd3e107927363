// A member as etcd writes it in JSON: the context of a ConfChange, and the page /members. Byte for byte
// what Go's encoder makes of it, since members of both kinds read and compare these.

import type { Member } from "./generated/rpc.ts";

/** What a ConfChange says about the member that it is about. */
export interface ChangeContext {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
  readonly name: string;
  readonly clientUrls: readonly string[];
  /** A learner gets its vote; the other fields mean nothing then. */
  readonly isPromote: boolean;
}

/** A member as in the first entries of a cluster, in an addition or update, and on /members. */
export function memberJson(member: Partial<Member> & { readonly ID: bigint }): string {
  const parts = [`"id":${member.ID}`, `"peerURLs":${urlsJson(member.peerURLs)}`];
  if (member.isLearner) parts.push('"isLearner":true');
  if (member.name) parts.push(`"name":${textJson(member.name)}`);
  if (member.clientURLs?.length) parts.push(`"clientURLs":${urlsJson(member.clientURLs)}`);
  return `{${parts.join(",")}}`;
}

/** The context of the change that gives a learner its vote. */
export function promotionJson(id: bigint): string {
  return `{"id":${id},"peerURLs":null,"isPromote":true}`;
}

/** Reads the context of a ConfChange. Throws SyntaxError for what no member writes. */
export function parseChangeContext(bytes: Uint8Array): ChangeContext {
  return contextOf(parseWithIds(Buffer.from(bytes).toString()));
}

/** Reads the list that /members shows. Throws SyntaxError for anything else. */
export function parseMembers(text: string): Member[] {
  const plain = parseWithIds(text);
  if (plain === null) return [];
  if (!Array.isArray(plain)) throw new SyntaxError("expected a list of members");
  return plain.map((one) => {
    const { id, name, peerUrls, clientUrls, isLearner } = contextOf(one);
    return { ID: id, name, peerURLs: [...peerUrls], clientURLs: [...clientUrls], isLearner };
  });
}

/**
 * Ids have 64 bits, more than a number holds, so they are made text first. Inside of a JSON text a quote is
 * escaped: `"id":` with a digit behind it can be nothing but the field.
 */
function parseWithIds(text: string): unknown {
  return JSON.parse(text.replace(/"id":\s*(\d+)/g, '"id":"$1"'));
}

function contextOf(plain: unknown): ChangeContext {
  if (typeof plain !== "object" || plain === null) throw new SyntaxError("expected a member");
  const { id, peerURLs, isLearner, name, clientURLs, isPromote } = plain as Record<string, unknown>;
  if (typeof id !== "string") throw new SyntaxError("a member without an id");
  return {
    id: BigInt.asUintN(64, BigInt(id)),
    peerUrls: texts(peerURLs),
    isLearner: isLearner === true,
    name: typeof name === "string" ? name : "",
    clientUrls: texts(clientURLs),
    isPromote: isPromote === true,
  };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function urlsJson(urls: readonly string[] | undefined): string {
  return urls?.length ? `[${urls.map(textJson).join(",")}]` : "null";
}

/** Go escapes what HTML or old JavaScript could take amiss. */
function textJson(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
