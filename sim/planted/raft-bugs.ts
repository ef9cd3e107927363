// Bugs planted in groups of bare raft cores: in what surrounds the core by overriding the member's methods, in the
// core by replacing methods of its classes. Each must be found within a stated number of seeds.

import type { Message, Snapshot } from "../../src/raft/message.ts";
import { MessageType } from "../../src/raft/message.ts";
import { RaftLog } from "../../src/raft/raft-log.ts";
import { ReadOnly } from "../../src/raft/read-only.ts";
import { Tracker } from "../../src/raft/tracker/tracker.ts";
import type { Entry } from "../../src/raft/types.ts";
import { type Durable, RaftMember } from "../raft/raft-member.ts";
import type { RaftMemberClass } from "../raft/raft-world.ts";
import { replaceGetter, replaceMethod } from "./patch.ts";

export interface PlantedRaftBug {
  readonly name: string;
  /** Found within seeds 1 to this. */
  readonly seedsMax: number;
  readonly memberClass?: RaftMemberClass;
  /** Plants it; returns what takes it out again. */
  readonly plant?: () => () => void;
}

class ForgetsItsVote extends RaftMember {
  protected override recover(): Durable {
    const durable = super.recover();
    return { ...durable, hardState: { ...durable.hardState, vote: 0n } };
  }
}

class AnswersBeforeItIsDurable extends RaftMember {
  protected override write(message: Message, done: () => void): void {
    super.write(message, () => {});
    // At once, though not within the call that handed it out.
    this.world.queue.schedule(0, () => this.life.deliver(done));
  }
}

class VotesBeforeItIsDurable extends RaftMember {
  protected override write(message: Message, done: () => void): void {
    if (message.entries.length > 0 || message.snapshot !== undefined) super.write(message, done);
    else {
      super.write(message, () => {});
      this.world.queue.schedule(0, () => this.life.deliver(done));
    }
  }
}

/** What was written in the last moments before a crash is gone, though it was said to be durable. */
class SkipsTheSync extends RaftMember {
  protected override recover(): Durable {
    const durable = super.recover();
    return { ...durable, entries: durable.entries.slice(0, -2), hardState: clamp(durable) };
  }
}

function clamp({ hardState, entries, snapshot }: Durable): Durable["hardState"] {
  const last = entries[entries.length - 3]?.index ?? snapshot.metadata.index;
  return { ...hardState, commit: Math.min(hardState.commit, last) };
}

class LosesMembershipChanges extends RaftMember {
  protected override applyConfChange(entry: Entry): void {
    if (this.id !== 2n || entry.index <= 8) super.applyConfChange(entry);
  }
}

class SnapshotsNameTheNextEntry extends RaftMember {
  protected override makeSnapshot(): Snapshot {
    const snapshot = super.makeSnapshot();
    const { metadata } = snapshot;
    if (metadata.index >= this.storage.lastIndex()) return snapshot;
    return { ...snapshot, metadata: { ...metadata, index: metadata.index + 1 } };
  }
}

class AppliesTwiceAfterRestart extends RaftMember {
  protected override recover(): Durable {
    const durable = super.recover();
    const { metadata, data } = durable.snapshot;
    if (metadata.index < this.storage.firstIndex()) return durable;
    const index = metadata.index - 1;
    const term = this.storage.term(index) ?? 0;
    return { ...durable, snapshot: { data, metadata: { ...metadata, index, term } } };
  }
}

class HeartbeatsCommitTooMuch extends RaftMember {
  protected override transmit(message: Message): void {
    const { type } = message;
    const isHeartbeat = type === MessageType.heartbeat;
    super.transmit(isHeartbeat ? { ...message, commit: this.node.commit } : message);
  }
}

export const plantedRaftBugs: readonly PlantedRaftBug[] = [
  { name: "a vote is forgotten at a restart", seedsMax: 600, memberClass: ForgetsItsVote },
  {
    name: "entries are acknowledged before they are durable",
    seedsMax: 10,
    memberClass: AnswersBeforeItIsDurable,
  },
  {
    name: "votes are sent before they are durable",
    seedsMax: 10,
    memberClass: VotesBeforeItIsDurable,
  },
  { name: "the log's sync is skipped", seedsMax: 30, memberClass: SkipsTheSync },
  {
    name: "a member loses changes of the configuration",
    seedsMax: 50,
    memberClass: LosesMembershipChanges,
  },
  {
    name: "a snapshot carries the wrong index",
    seedsMax: 30,
    memberClass: SnapshotsNameTheNextEntry,
  },
  {
    name: "the last entry is applied again after a restart",
    seedsMax: 30,
    memberClass: AppliesTwiceAfterRestart,
  },
  {
    name: "heartbeats carry the leader's commit index",
    seedsMax: 30,
    memberClass: HeartbeatsCommitTooMuch,
  },
  {
    name: "entries of earlier terms are committed by counting",
    seedsMax: 4000,
    plant: () =>
      replaceMethod(
        RaftLog,
        "maybeCommit",
        () =>
          function (this: RaftLog, index: number) {
            if (index <= this.committed) return false;
            this.commitTo(index);
            return true;
          },
      ),
  },
  {
    name: "an append without conflict cuts the log",
    seedsMax: 100,
    plant: () =>
      replaceMethod(
        RaftLog,
        "appendAfter",
        () =>
          function (this: RaftLog, previous, entries, committed) {
            if (!this.matches(previous.index, previous.term)) return undefined;
            this.append(entries.filter(({ index }) => index > this.committed));
            const last = previous.index + entries.length;
            this.commitTo(Math.min(committed, last));
            return last;
          },
      ),
  },
  {
    name: "a leader answers reads without asking anybody",
    seedsMax: 100,
    plant: () => replaceGetter(Tracker, "isSingleton", () => true),
  },
  {
    name: "all rounds of reads share one context",
    seedsMax: 1500,
    plant: () =>
      replaceMethod(
        ReadOnly,
        "acknowledge",
        (original) =>
          function (this: ReadOnly, from, context) {
            original.call(this, from, context.length > 0 ? this.heartbeatContext() : context);
          },
      ),
  },
  {
    name: "a quorum is one member too small",
    seedsMax: 50,
    plant: () =>
      replaceMethod(
        Tracker,
        "committed",
        () =>
          function (this: Tracker) {
            const matches = this.all
              .filter(({ isLearner }) => !isLearner)
              .map(({ match }) => match);
            matches.sort((a, b) => b - a);
            return matches[Math.max(0, Math.floor(matches.length / 2) - 1)] ?? 0;
          },
      ),
  },
  {
    name: "a candidate with an older log gets votes",
    seedsMax: 30,
    plant: () => replaceMethod(RaftLog, "isUpToDate", () => () => true),
  },
];
