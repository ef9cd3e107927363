// --initial-cluster: who founds a cluster, as "name=url,name=url". A member with several URLs stands
// there several times. The order, and what is refused, are etcd's.

import { parseMemberUrls } from "../wire/peer-urls.ts";
import { ConfigError } from "./config-error.ts";

export interface ClusterMember {
  readonly name: string;
  /** Sorted. */
  readonly peerUrls: readonly string[];
}

export function parseInitialCluster(text: string): readonly ClusterMember[] {
  const urlsByName = new Map<string, string[]>();
  for (const part of text.split(",")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    const url = equals < 0 ? "" : part.slice(equals + 1);
    urlsByName.set(name, [...(urlsByName.get(name) ?? []), url]);
  }
  return [...urlsByName].map(([name, texts]) => {
    const peerUrls = parseMemberUrls(texts);
    if (typeof peerUrls !== "string") return { name, peerUrls };
    throw new ConfigError(`error setting up initial cluster: ${peerUrls}`, {
      hint: "--initial-cluster takes name=url for each member: m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380.",
    });
  });
}
