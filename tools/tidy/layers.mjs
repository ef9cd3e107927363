// The import table: which folder of src/ may use which, which packages and which parts of Node each may
// use, and which folders are pure. It says the same as the table in ARCHITECTURE.md.

/** Folder -> folders whose code it may import. `base` and `wire` are open to all. "*": everything. */
export const layers = {
  base: [],
  wire: [],
  io: [],
  raft: [],
  mvcc: [],
  lease: [],
  auth: [],
  wal: ["io"],
  storage: ["io"],
  rpc: ["io"],
  native: ["io"],
  peer: ["io"],
  config: ["io"],
  node: ["raft", "wal", "storage", "mvcc", "lease", "auth", "peer", "io"],
  api: ["node", "rpc"],
  server: ["api", "config", "node", "peer", "rpc", "io"],
  client: ["rpc", "io"],
  micro: ["client", "rpc", "io"],
  groupcache: ["client", "rpc", "io"],
  scheduler: ["client", "io"],
  dashboard: ["client", "scheduler", "io"],
  cli: "*",
  // Files directly in src/: main.ts and index.ts put everything together.
  "": "*",
};

export const openToAll = ["base", "wire"];

/** Folders whose types alone may be imported, beyond what the table reaches through other folders. */
export const typeExceptions = {
  // They are handed a Backend and call nothing else of storage/.
  mvcc: ["storage"],
  lease: ["storage"],
  // Messages are plain data; it knows nothing of the core.
  peer: ["raft"],
};

/** Files that a folder may use although the table does not give it their folder. */
export const fileExceptions = {
  // The interface of the backend and its batch: plain data, no I/O.
  mvcc: ["src/storage/backend.ts"],
  // The messages' shape and numbers: plain data.
  peer: ["src/raft/message.ts"],
};

/** No clock, chance, I/O or timers: the same input gives the same output, on every member and in the simulator. */
export const pureFolders = ["raft", "mvcc", "lease", "auth"];

/** What a pure folder may not name, and what to do instead. */
export const impureNames = [
  [/\bDate\b/, "Date", "take the time as an argument"],
  [/\bperformance\b/, "performance", "take the time as an argument"],
  [/\bMath\s*\.\s*random\b/, "Math.random", "take a random source (base/random) as an argument"],
  [/\bcrypto\b/, "crypto", "take random or hashed bytes as an argument"],
  [/\bset(?:Timeout|Interval|Immediate)\b/, "a timer", "let node/ call in with ticks"],
  [/\bqueueMicrotask\b/, "queueMicrotask", "let node/ decide when to go on"],
  [/\bprocess\s*\./, "process", "take what is needed as an argument"],
  [/\bconsole\s*\./, "console", "return it, or take a logger as an argument"],
  [/\bfetch\s*\(/, "fetch", "leave I/O to io/"],
];

/** Node modules with an owner: only these folders may import their values. Types are free. */
export const nodeModuleOwners = [
  [/^node:http2$/, [], "HTTP/2 is our own: src/rpc/http2"],
  [/^node:(net|tls|dgram|dns)(\/|$)/, ["io", "cli"], "use the Network of src/io/network.ts"],
  [/^node:https?$/, ["rpc", "peer", "cli"], "HTTP/1.1 is served by src/rpc/http2/listener.ts"],
  [
    /^node:fs(\/|$)/,
    ["io", "storage", "config", "cli", ""],
    "use the Disk of src/io/disk.ts, so that tests can make it fail",
  ],
  [/^node:child_process$/, ["io", "cli", "scheduler", ""], "processes belong to src/io"],
  [/^node:(vm|cluster|repl|inspector|trace_events|wasi)(\/|$)/, [], "Portal does not need it"],
];

/** npm packages and the folders that may import them. A package that is not here may not be imported. */
export const packageOwners = {
  "@bufbuild/protobuf": ["wire"],
  "@node-rs/crc32": ["base"],
  "@peculiar/x509": ["config"],
  "reflect-metadata": ["config"],
  lmdb: ["storage"],
  yaml: ["config", "cli"],
  commander: ["cli", "config"],
  "cli-table3": ["cli"],
  picocolors: ["cli"],
};

/** Every folder that `folder` reaches through the table, itself included. */
export function reachable(folder) {
  const seen = new Set();
  const visit = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    const direct = layers[name] ?? [];
    for (const next of direct === "*" ? Object.keys(layers) : direct) visit(next);
  };
  visit(folder);
  return seen;
}
