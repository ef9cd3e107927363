// The tidy rules on small made-up files: what passes, what fails, and that comments and strings do
// not count as code.
import { describe, expect, it } from "vitest";
import { checkFile, maxLines } from "./rules.mjs";
import { codeOnly, importsOf } from "./source-text.mjs";

const header = "// A header that says what the file owns.\n";
const messages = (path, body) => checkFile(path, header + body).map((problem) => problem.message);

describe("imports", () => {
  it("lets a folder import what the table says", () => {
    expect(messages("src/wal/wal.ts", 'import { a } from "../io/disk.ts";\n')).toEqual([]);
    expect(messages("src/raft/raft.ts", 'import { a } from "../base/assert.ts";\n')).toEqual([]);
    expect(messages("src/main.ts", 'import { a } from "./api/kv.ts";\n')).toEqual([]);
  });

  it("refuses an import upward and says what may be imported", () => {
    const [message] = messages("src/wal/wal.ts", 'import { a } from "../node/replica.ts";\n');
    expect(message).toContain("src/wal may not import src/node");
    expect(message).toContain("base, wire, io");
  });

  it("sees imports over several lines, re-exports and dynamic imports", () => {
    const upward = [
      'import {\n  a,\n  b,\n} from "../node/replica.ts";\n',
      'export * from "../node/replica.ts";\n',
      'export { a } from "../node/replica.ts";\n',
      'import "../node/replica.ts";\n',
      'const a = await import("../node/replica.ts");\n',
    ];
    for (const body of upward) expect(messages("src/wal/wal.ts", body)).toHaveLength(1);
  });

  it("lets types come from wherever the table reaches through other folders", () => {
    expect(messages("src/api/kv.ts", 'import type { S } from "../mvcc/store.ts";\n')).toEqual([]);
    expect(messages("src/api/kv.ts", 'import { type S } from "../mvcc/store.ts";\n')).toEqual([]);
    expect(
      messages("src/api/kv.ts", 'import { type S, t } from "../mvcc/store.ts";\n'),
    ).toHaveLength(1);
    expect(messages("src/mvcc/a.ts", 'import type { S } from "../storage/backend.ts";\n')).toEqual(
      [],
    );
    expect(
      messages("src/mvcc/a.ts", 'import { S } from "../storage/lmdb-backend.ts";\n'),
    ).toHaveLength(1);
    expect(messages("src/io/disk.ts", 'import type { S } from "../node/a.ts";\n')).toHaveLength(1);
  });

  it("keeps packages and parts of Node to their owners", () => {
    expect(messages("src/storage/lmdb.ts", 'import { open } from "lmdb";\n')).toEqual([]);
    expect(messages("src/mvcc/store.ts", 'import { open } from "lmdb";\n')).toHaveLength(1);
    expect(messages("src/api/kv.ts", 'import grpc from "@grpc/grpc-js";\n')).toHaveLength(1);
    expect(messages("src/rpc/http2/a.ts", 'import { connect } from "node:http2";\n')).toHaveLength(
      1,
    );
    expect(messages("src/rpc/http2/a.ts", 'import { connect } from "node:net";\n')).toHaveLength(1);
    expect(messages("src/rpc/http2/a.ts", 'import type { Socket } from "node:net";\n')).toEqual([]);
    expect(messages("src/raft/a.ts", 'import { hash } from "node:crypto";\n')).toHaveLength(1);
  });

  it("refuses a folder that the table does not know", () => {
    expect(messages("src/misc/a.ts", "")).toHaveLength(1);
  });

  it("leaves tests free", () => {
    expect(messages("src/mvcc/a.test.ts", 'import { S } from "../storage/memory.ts";\n')).toEqual(
      [],
    );
  });
});

describe("purity", () => {
  it("refuses clocks, chance and timers in pure folders only", () => {
    for (const body of [
      "const now = Date.now();\n",
      "const r = Math.random();\n",
      "setTimeout(f, 1);\n",
      "const e = process.env.X;\n",
      "const t = performance.now();\n",
    ]) {
      expect(messages("src/raft/a.ts", body)).toHaveLength(1);
      expect(messages("src/node/a.ts", body)).toEqual([]);
    }
  });

  it("does not mind the words in comments and strings", () => {
    const body =
      '// No Date here, nor setTimeout.\nconst s = "Math.random()";\nconst t = `Date`;\n';
    expect(messages("src/raft/a.ts", body)).toEqual([]);
  });

  it("looks into template expressions", () => {
    expect(
      messages("src/raft/a.ts", "const s = `at ${Date.now()} ms`;\n".replace("$ {", "${")),
    ).toHaveLength(1);
  });
});

describe("files", () => {
  it("wants a header", () => {
    expect(checkFile("src/raft/a.ts", "export const a = 1;\n")).toHaveLength(1);
    expect(checkFile("tools/a.mjs", `#!/usr/bin/env node\n${header}`)).toEqual([]);
  });

  it("limits the length, and tightens an exception when the file shrinks", () => {
    const lines = (count) => header + "a;\n".repeat(count - 1);
    expect(checkFile("test/a.ts", lines(maxLines))).toEqual([]);
    expect(checkFile("test/a.ts", lines(maxLines + 1))).toHaveLength(1);
    expect(checkFile("test/a.ts", lines(600), 600)).toEqual([]);
    expect(checkFile("test/a.ts", lines(601), 600)[0].message).toContain("limit is 600");
    expect(checkFile("test/a.ts", lines(550), 600)[0].message).toContain("lower its limit to 550");
    expect(checkFile("test/a.ts", lines(400), 600)[0].message).toContain("remove its line");
  });

  it("refuses marks of unfinished work and paths of one machine", () => {
    const mark = "TO" + "DO";
    expect(messages("src/raft/a.ts", `// ${mark}: later\n`)).toHaveLength(1);
    expect(checkFile("README.md", `see /${"ro"}${"ot"}/thing`)).toHaveLength(1);
    expect(checkFile("README.md", "POST /v3/kv/put")).toEqual([]);
  });

  it("names the line", () => {
    const [problem] = checkFile("src/raft/a.ts", `${header}\n\nconst now = Date.now();\n`);
    expect(problem.line).toBe(4);
  });
});

describe("scanner", () => {
  it("keeps positions and tells division from regular expressions", () => {
    const text =
      'const a = b / c; // "x"\nconst r = /["`]/.test(s) ? 1 / 2 : 3;\nreturn /"/;\nDate;';
    const code = codeOnly(text);
    expect(code).toHaveLength(text.length);
    expect(code).toContain("b / c");
    expect(code).toContain("1 / 2");
    expect(code).toContain("Date");
    expect(code).not.toContain('"');
  });

  it("reads import forms", () => {
    const text =
      'import a, { b } from "x";\nimport type { C } from "y";\nimport * as d from "z";\n';
    expect(importsOf(text)).toEqual([
      { specifier: "x", line: 1, typeOnly: false },
      { specifier: "y", line: 2, typeOnly: true },
      { specifier: "z", line: 3, typeOnly: false },
    ]);
  });
});
