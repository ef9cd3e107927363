// The flags of one member and its cluster, under etcd's names and with etcd's defaults.

import { boolean, choice, duration, inert, list, number, text, urls } from "./flag.ts";

export const memberFlags = {
  name: text("default", "Name of this member; unique in its cluster."),
  "data-dir": text("", "Folder that holds all of the member's data."),
  "wal-dir": inert(text("", "Folder for the write-ahead log, when it should lie elsewhere.")),
  "snapshot-count": number(10_000, "Log entries after which the log may be cut."),
  "snapshot-catchup-entries": number(
    5_000,
    "Log entries kept behind a cut for members that lag behind.",
  ),
  "heartbeat-interval": number(100, "Milliseconds between heartbeats of the leader."),
  "election-timeout": number(
    1_000,
    "Milliseconds without a leader after which an election starts; at least five heartbeats, at most 50000.",
  ),
  "initial-election-tick-advance": boolean(true, "Start the first election sooner after a start."),
  "listen-peer-urls": urls("http://localhost:2380", "Addresses for the traffic between members."),
  "listen-client-urls": urls(
    "http://localhost:2379",
    "Addresses for clients: gRPC, and HTTP unless --listen-client-http-urls is given.",
  ),
  "listen-client-http-urls": urls(
    "",
    "Addresses for HTTP only; --listen-client-urls then serves gRPC only.",
  ),
  "max-snapshots": inert(number(5, "Snapshot files to keep (deprecated by etcd).")),
  "max-wals": number(5, "Log files to keep; 0 keeps all."),
  "memory-mlock": inert(boolean(false, "Keep the process in memory.")),
  "quota-backend-bytes": number(
    0,
    "Bytes of database from which on writes are refused; 0 means 2 GiB, -1 no limit.",
    -1,
  ),
  "backend-bbolt-freelist-type": inert(text("map", "Kind of free list in etcd's database.")),
  "backend-batch-interval": duration(
    0,
    "Longest time between flushes to the database; 0s is 100ms.",
  ),
  "backend-batch-limit": inert(number(0, "Changes between flushes to the database; 0 is 10000.")),
  "max-txn-ops": number(128, "Operations that one transaction may hold.", 1),
  "max-request-bytes": number(1_572_864, "Largest request a client may send, in bytes.", 1),
  "max-concurrent-streams": number(
    4_294_967_295,
    "Calls that one client connection may have open at a time.",
    1,
  ),
  "grpc-keepalive-min-time": duration(5_000, "Least time between pings of a client."),
  "grpc-keepalive-interval": duration(
    7_200_000,
    "Time between pings to a silent client; 0s never.",
  ),
  "grpc-keepalive-timeout": duration(20_000, "Wait for the answer to a ping before closing."),
  "socket-reuse-port": inert(boolean(false, "Listen with SO_REUSEPORT.")),
  "socket-reuse-address": inert(boolean(false, "Listen with SO_REUSEADDR.")),
  "enable-grpc-gateway": inert(boolean(true, "Serve the JSON gateway under /v3.")),
  "raft-read-timeout": inert(duration(5_000, "Read timeout between members.")),
  "raft-write-timeout": inert(duration(5_000, "Write timeout between members.")),
} as const;

export const clusterFlags = {
  "initial-advertise-peer-urls": urls(
    "http://localhost:2380",
    "Addresses at which the other members find this one.",
  ),
  "initial-cluster": text("", "All members of a new cluster: name=url,name=url."),
  "initial-cluster-state": choice(
    ["new", "existing"],
    "Whether a member without data founds a cluster or joins one.",
  ),
  "initial-cluster-token": text("etcd-cluster", "Word that keeps clusters apart."),
  "advertise-client-urls": urls(
    "http://localhost:2379",
    "Addresses at which clients find this member.",
  ),
  discovery: text("", "Discovery URL (v2)."),
  "discovery-token": text("", "Token of the cluster at the discovery service."),
  "discovery-endpoints": list("", "Endpoints of the discovery service."),
  "discovery-dial-timeout": inert(duration(2_000, "Discovery: time to connect.")),
  "discovery-request-timeout": inert(duration(5_000, "Discovery: time for a request.")),
  "discovery-keepalive-time": inert(duration(2_000, "Discovery: time between pings.")),
  "discovery-keepalive-timeout": inert(duration(6_000, "Discovery: wait for a ping's answer.")),
  "discovery-insecure-transport": inert(boolean(true, "Discovery: no TLS.")),
  "discovery-insecure-skip-tls-verify": inert(
    boolean(false, "Discovery: do not check certificates."),
  ),
  "discovery-cert": inert(text("", "Discovery: client certificate.")),
  "discovery-key": inert(text("", "Discovery: key of the client certificate.")),
  "discovery-cacert": inert(text("", "Discovery: trusted CA.")),
  "discovery-user": inert(text("", "Discovery: user[:password].")),
  "discovery-password": inert(text("", "Discovery: password.")),
  "discovery-fallback": inert(choice(["exit"], "What to do when discovery fails.")),
  "discovery-proxy": inert(text("", "HTTP proxy for discovery.")),
  "discovery-srv": text("", "DNS domain whose SRV records name the members."),
  "discovery-srv-name": inert(text("", "Suffix of the SRV records' service name.")),
  "strict-reconfig-check": boolean(
    true,
    "Refuse changes of membership that would lose the quorum.",
  ),
  "pre-vote": boolean(true, "Ask around before starting an election."),
  "read-mode": choice(
    ["quorum", "lease"],
    "Linearizable reads: ask a quorum, or trust the leader's clock for an election timeout (quicker, needs sound clocks). Not etcd's.",
  ),
  "auto-compaction-retention": inert(
    text("0", "History to keep: a duration, hours, or revisions; 0 keeps all."),
  ),
  "auto-compaction-mode": inert(
    choice(["periodic", "revision"], "Meaning of --auto-compaction-retention."),
  ),
  "v2-deprecation": inert(
    choice(
      ["write-only", "write-only-skip-check", "write-only-drop-data", "gone", "not-yet"],
      "Phase of the v2 store (deprecated by etcd).",
    ),
  ),
} as const;
