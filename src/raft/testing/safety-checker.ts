// The properties that figure 3 of the Raft paper promises at all times, checked on everything that members
// do: one leader in a term; a leader only appends; entries of one index and term are the same and follow
// the same one; a leader has everything that was committed before its term; nobody applies something else.
// And for reads: an index that covers everything committed when the read was asked for.

import { assert } from "../../base/assert.ts";
import type { ReadState, Ready } from "../ready.ts";
import type { Entry } from "../types.ts";
import type { MachineState, MemberEvents, TestMember } from "./test-member.ts";

interface MemberView {
  /** Terms of the log as far as it was handed out; what comes before the first one is a snapshot. */
  log: Map<number, number>;
  lastIndex: number;
  term: number;
  commit: number;
  /** The last term in which it was seen to lead, with everything that it needs for that. */
  ledIn: number;
}

interface Committed {
  readonly term: number;
  /** The term in which it was first seen to be committed. */
  readonly inTerm: number;
}

export class SafetyChecker implements MemberEvents {
  readonly #leaders = new Map<number, bigint>();
  readonly #entries = new Map<string, string>();
  readonly #committed = new Map<number, Committed>();
  readonly #applied = new Map<number, string>();
  readonly #views = new Map<bigint, MemberView>();
  readonly #reads = new Map<string, number>();
  /** What reads were answered. */
  readsAnswered = 0;
  commitIndex = 0;

  /** To be called after every step of a member. */
  observe(member: TestMember): void {
    const { raft } = member;
    const view = this.#view(member);
    assert(raft.term >= view.term, `the term of ${member.id} went back to ${raft.term}`);
    assert(raft.commit >= view.commit, `the commit index of ${member.id} went back`);
    view.term = raft.term;
    view.commit = raft.commit;
    this.#noteCommitIndex(member, view);
    if (raft.role !== "leader") return;
    const leader = this.#leaders.get(raft.term);
    assert(leader === undefined || leader === member.id, `two leaders in term ${raft.term}`);
    this.#leaders.set(raft.term, member.id);
  }

  /** It begins again with what its disk has. */
  restarted(member: TestMember): void {
    this.#views.delete(member.id);
    this.observe(member);
  }

  askedToRead(context: Uint8Array): void {
    this.#reads.set(Buffer.from(context).toString("hex"), this.commitIndex);
  }

  mayRead(member: TestMember, { index, context }: ReadState): void {
    const least = this.#reads.get(Buffer.from(context).toString("hex"));
    assert(least !== undefined, `${member.id} has an answer to a read that nobody asked for`);
    assert(index >= least, `a read at ${index} does not see ${least}, which was committed before`);
    this.readsAnswered++;
  }

  handledReady(member: TestMember, ready: Ready): void {
    const view = this.#view(member);
    const isLeader = member.raft.role === "leader";
    if (ready.snapshot !== undefined) {
      view.log.clear();
      view.lastIndex = ready.snapshot.metadata.index;
    }
    const first = ready.entries[0];
    if (first !== undefined) {
      const isNews = first.index > view.lastIndex;
      const wasLeader = isLeader && view.log.get(view.lastIndex) === member.raft.term;
      assert(isNews || !wasLeader, `leader ${member.id} replaces its entry ${first.index}`);
      this.#extend(view, ready.entries);
    }
    if (isLeader && view.ledIn < member.raft.term) {
      view.ledIn = member.raft.term;
      this.#checkCompleteness(member, view);
    }
    for (const entry of ready.committedEntries) this.#noteCommitted(member, entry);
  }

  applied(member: TestMember, state: MachineState, entry: Entry): void {
    const { voters, learners, votersOutgoing, learnersNext } = state.confState;
    const config = [voters, learners, votersOutgoing, learnersNext].join("/");
    const text = `${entry.term} ${state.hash} ${config} ${state.confState.autoLeave}`;
    const known = this.#applied.get(entry.index);
    assert(
      known === undefined || known === text,
      `${member.id} applied another entry ${entry.index}: ${text}, not ${known}`,
    );
    this.#applied.set(entry.index, text);
  }

  #extend(view: MemberView, entries: readonly Entry[]): void {
    const first = entries[0] as Entry;
    let previous = view.log.get(first.index - 1);
    for (let index = first.index; index <= view.lastIndex; index++) view.log.delete(index);
    for (const { index, term, type, data } of entries) {
      const content = `${type} ${Buffer.from(data).toString("hex")} after ${previous ?? "?"}`;
      this.#checkMatching(`${index}/${term}`, content);
      view.log.set(index, term);
      view.lastIndex = index;
      previous = term;
    }
  }

  /** What comes before it is not known right after a snapshot. */
  #checkMatching(place: string, content: string): void {
    const known = this.#entries.get(place);
    if (known === undefined || known.endsWith("?")) {
      this.#entries.set(place, content);
    } else if (!content.endsWith("?")) {
      assert(known === content, `two entries ${place}: ${known}, and ${content}`);
    }
  }

  /** A leader's log holds every entry that was committed in an earlier term. */
  #checkCompleteness(member: TestMember, view: MemberView): void {
    for (const [index, { term, inTerm }] of this.#committed) {
      if (inTerm >= member.raft.term || index <= member.state.index) continue;
      const own = view.log.get(index);
      assert(own === term, `leader ${member.id} has ${own} at ${index}, and ${term} is committed`);
    }
  }

  /** Who sees a commit index first is the leader of that term. */
  #noteCommitIndex(member: TestMember, { log }: MemberView): void {
    const { commit, term } = member.raft;
    for (let index = this.commitIndex + 1; index <= commit; index++) {
      const own = log.get(index);
      if (own !== undefined) this.#committed.set(index, { term: own, inTerm: term });
    }
    this.commitIndex = Math.max(this.commitIndex, commit);
  }

  #noteCommitted(member: TestMember, entry: Entry): void {
    const known = this.#committed.get(entry.index);
    assert(
      known === undefined || known.term === entry.term,
      `${member.id} commits ${entry.term} at ${entry.index}, others ${known?.term}`,
    );
  }

  #view(member: TestMember): MemberView {
    let view = this.#views.get(member.id);
    if (view === undefined) {
      view = { log: new Map(), lastIndex: member.disk.lastIndex(), term: 0, commit: 0, ledIn: 0 };
      for (let i = member.disk.firstIndex(); i <= view.lastIndex; i++) {
        view.log.set(i, member.disk.term(i) as number);
      }
      this.#views.set(member.id, view);
    }
    return view;
  }
}
