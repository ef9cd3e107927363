// Walcheck lets etcd's own log library judge a log folder, or write one for us to read.
//
//	walcheck read FOLDER [INDEX TERM]   verify, open for appending, print what the log says
//	walcheck write FOLDER COUNT         make a log of COUNT entries, print the same lines
//
// Lines: "metadata HEX", "state TERM VOTE COMMIT", "entry INDEX TERM TYPE HEX".
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "read":
		err = read(os.Args[2], 0, 0)
	case len(os.Args) == 5 && os.Args[1] == "read":
		err = read(os.Args[2], number(os.Args[3]), number(os.Args[4]))
	case len(os.Args) == 4 && os.Args[1] == "write":
		err = write(os.Args[2], number(os.Args[3]))
	default:
		err = fmt.Errorf("usage: walcheck read FOLDER [INDEX TERM] | write FOLDER COUNT")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(folder string, index, term uint64) error {
	start := &walpb.Snapshot{Index: &index, Term: &term}
	if _, err := wal.Verify(zap.NewNop(), folder, start); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	log, err := wal.Open(zap.NewNop(), folder, start)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer log.Close()
	metadata, state, entries, err := log.ReadAll()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	fmt.Printf("metadata %x\n", metadata)
	fmt.Printf("state %d %d %d\n", state.GetTerm(), state.GetVote(), state.GetCommit())
	for _, entry := range entries {
		show(entry)
	}
	return nil
}

func write(folder string, count uint64) error {
	metadata := []byte{0x08, 0x07, 0x10, 0x09}
	wal.SegmentSizeBytes = 64 * 1024
	log, err := wal.Create(zap.NewNop(), folder, metadata)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Printf("metadata %x\n", metadata)
	term, vote := uint64(3), uint64(7)
	var entries []*raftpb.Entry
	for index := uint64(1); index <= count; index++ {
		kind := raftpb.EntryNormal
		entry := &raftpb.Entry{Term: &term, Index: new(uint64), Type: &kind}
		*entry.Index = index
		if index%7 != 0 {
			entry.Data = bytes.Repeat([]byte{byte(index)}, int(index*37%900))
		}
		commit := index - 1
		state := &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
		if err := log.Save(state, []*raftpb.Entry{entry}); err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	fmt.Printf("state %d %d %d\n", term, vote, count-1)
	for _, entry := range entries {
		show(entry)
	}
	return nil
}

func show(entry *raftpb.Entry) {
	fmt.Printf("entry %d %d %d %x\n", entry.GetIndex(), entry.GetTerm(), entry.GetType(), entry.GetData())
}

func number(text string) uint64 {
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return value
}
