// Random raft groups, and the same commands to etcd's raft library and to our core: they must say the
// same, message by message. Every command is one case; a transcript ends at the first that differs.
// The library is built with the few places changed in which we differ on purpose. Prints "N passed, N failed".
//
//   node test/interop/raft-random.mjs [seeds] [first seed] [commands for each]

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { goModuleFolder } from "./programs/build.mjs";
import { buildRaftHarness } from "./raft/build.mjs";

/** What we do otherwise than the library, and why. */
const differences = [
  {
    why: "a read request that waits is void when the term changes",
    file: "raft.go",
    from: "	r.readOnly = newReadOnly(r.readOnly.option)\n}",
    to: "	r.readOnly = newReadOnly(r.readOnly.option)\n	r.pendingReadIndexMessages = nil\n}",
  },
  {
    why: "the only voter answers reads only when it has committed in its term ...",
    file: "raft.go",
    from: "if r.trk.IsSingleton() {",
    to: "if false {",
  },
  {
    why: "... and a leader that is not this voter asks it",
    file: "raft.go",
    from: "	switch r.readOnly.option {",
    to: `	_, votes := r.trk.Voters.IDs()[r.id]
	option := r.readOnly.option
	if r.trk.IsSingleton() && votes {
		option = ReadOnlyLeaseBased
	}
	switch option {`,
  },
  {
    why: "the type of the entry in the place of a refused change is not encoded",
    file: "raft.go",
    from: "&pb.Entry{Type: pb.EntryNormal.Enum()}",
    to: "&pb.Entry{}",
  },
  {
    why: "etcd's test storage can not write a snapshot and entries after it at once; a node must",
    file: "rafttest/interaction_env_handler_process_append_thread.go",
    from: `		if len(ents) > 0 {
			return errors.New("can't apply snapshot and entries at the same time")
		}
		return s.ApplySnapshot(snap)`,
    to: `		if err := s.ApplySnapshot(snap); err != nil {
			return errors.Join(err)
		}`,
  },
];

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, ".cache/raft-random");
const [seeds = "400", first = "1", commands = "300"] = process.argv.slice(2);

const harness = buildRaftHarness();
const transcripts = join(folder, "transcripts");
rmSync(transcripts, { recursive: true, force: true });
mkdirSync(transcripts, { recursive: true });
execFileSync(buildGenerator(), [transcripts, first, seeds, commands], { stdio: "inherit" });
const args = [join(harness, "run-random.js"), transcripts];
process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;

/** The generator on a copy of the library that has the differences. */
function buildGenerator() {
  const sources = join(here, "go/raftrandom");
  const library = join(folder, "raft");
  rmSync(library, { recursive: true, force: true });
  cpSync(goModuleFolder("go.etcd.io/raft/v3", "raftrandom"), library, { recursive: true });
  // Go keeps its modules read-only, folders too.
  execFileSync("chmod", ["-R", "u+w", library]);
  for (const { why, file, from, to } of differences) {
    const path = join(library, file);
    const text = readFileSync(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`cannot change ${file} so that ${why}`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  const pins = readFileSync(join(sources, "go.mod"), "utf8");
  const modfile = join(folder, "go.mod");
  writeFileSync(modfile, `${pins}\nreplace go.etcd.io/raft/v3 => ${library}\n`);
  cpSync(join(sources, "go.sum"), join(folder, "go.sum"));
  const program = join(folder, "raftrandom");
  const options = { cwd: sources, stdio: "inherit" };
  execFileSync("go", ["build", "-modfile", modfile, "-o", program, "."], options);
  return program;
}
