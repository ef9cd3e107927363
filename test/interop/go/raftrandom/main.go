// Raftrandom writes transcripts of random raft groups: each seed draws a group and its settings, and then
// commands of etcd's own interaction tests and a few more, with what etcd's library prints for them.
// A command that makes the library panic (most often because a change would remove the last voter) ends
// its transcript and is not part of it.
//
//	raftrandom FOLDER FIRST_SEED SEEDS COMMANDS
package main

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/cockroachdb/datadriven"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/rafttest"
	"google.golang.org/protobuf/proto"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: raftrandom FOLDER FIRST_SEED SEEDS COMMANDS")
		os.Exit(1)
	}
	first, seeds, commands := number(os.Args[2]), number(os.Args[3]), number(os.Args[4])
	for seed := first; seed < first+seeds; seed++ {
		path := filepath.Join(os.Args[1], fmt.Sprintf("%08d.txt", seed))
		if err := os.WriteFile(path, []byte(newGroup(int64(seed)).play(commands)), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

type group struct {
	chance *rand.Rand
	env    *rafttest.InteractionEnv
	size   int
	config func(*raft.Config)
	text   strings.Builder
	ended  bool
}

func newGroup(seed int64) *group {
	g := &group{chance: rand.New(rand.NewSource(seed)), config: func(*raft.Config) {}}
	g.env = rafttest.NewInteractionEnv(&rafttest.InteractionOpts{
		OnConfig:                     func(config *raft.Config) { g.config(config) },
		SetRandomizedElectionTimeout: setElectionTimeout,
	})
	return g
}

// setElectionTimeout takes chance out of elections; the library lets only its own tests do that.
func setElectionTimeout(node *raft.RawNode, ticks int) {
	core := reflect.ValueOf(node).Elem().FieldByName("raft").Elem()
	timeout := core.FieldByName("randomizedElectionTimeout")
	*(*int)(unsafe.Pointer(timeout.UnsafeAddr())) = ticks
}

func (g *group) play(commands int) string {
	g.found()
	if g.chance.Intn(4) > 0 {
		g.run("campaign 1", "")
		g.run("stabilize", "")
	}
	for i := 0; i < commands && !g.ended; i++ {
		g.step(i)
	}
	g.run("stabilize", "")
	g.run("raft-state", "")
	for id := 1; id <= g.size; id++ {
		g.run(fmt.Sprintf("status %d", id), "")
		g.run(fmt.Sprintf("raft-log %d", id), "")
	}
	return g.text.String()
}

// found makes the members of the first configuration, and some that may join it later.
func (g *group) found() {
	size := 1 + g.chance.Intn(5)
	lists := map[string][]string{}
	for id := 1; id <= size; id++ {
		kind := "voters"
		if id > 1 && g.oneIn(6) {
			kind = "learners"
		}
		lists[kind] = append(lists[kind], strconv.Itoa(id))
	}
	settings := g.settings()
	members := fmt.Sprintf(" index=%d voters=(%s)", 2+g.chance.Intn(10), strings.Join(lists["voters"], ","))
	if len(lists["learners"]) > 0 {
		members += fmt.Sprintf(" learners=(%s)", strings.Join(lists["learners"], ","))
	}
	g.run(fmt.Sprintf("add-nodes %d%s%s", size, members, settings), "")
	if others := g.chance.Intn(3); others > 0 {
		g.run(fmt.Sprintf("add-nodes %d%s", others, settings), "")
		size += others
	}
	g.size = size
}

// settings draws what add-nodes knows, and what it does not know: that goes in by g.config.
func (g *group) settings() string {
	text := ""
	set := func(name string, value any) { text += fmt.Sprintf(" %s=%v", name, value) }
	var limits raft.Config
	set("async-storage-writes", g.oneIn(2))
	set("prevote", g.oneIn(2))
	set("step-down-on-removal", g.oneIn(2))
	checkQuorum := g.oneIn(2)
	set("checkquorum", checkQuorum)
	if checkQuorum && g.oneIn(3) {
		set("read-only", "lease-based")
	}
	if g.oneIn(2) {
		set("inflight", 1+g.chance.Intn(4))
	}
	hasSizes := g.oneIn(2)
	if hasSizes {
		limits.MaxSizePerMsg = uint64(g.chance.Intn(60))
		set("max-size-per-msg", limits.MaxSizePerMsg)
		set("max-committed-size-per-ready", 1+g.chance.Intn(60))
		if g.oneIn(2) {
			limits.MaxInflightBytes = limits.MaxSizePerMsg + 1 + uint64(g.chance.Intn(60))
			set("max-inflight-bytes", limits.MaxInflightBytes)
		}
	}
	if g.oneIn(3) {
		limits.MaxUncommittedEntriesSize = 1 + uint64(g.chance.Intn(60))
		set("max-uncommitted", limits.MaxUncommittedEntriesSize)
	}
	if limits.DisableProposalForwarding = g.oneIn(8); limits.DisableProposalForwarding {
		set("disable-forwarding", true)
	}
	if g.oneIn(8) {
		set("disable-conf-change-validation", true)
	}
	g.config = func(config *raft.Config) {
		if hasSizes {
			config.MaxSizePerMsg = limits.MaxSizePerMsg
			config.MaxInflightBytes = limits.MaxInflightBytes
		}
		config.MaxUncommittedEntriesSize = limits.MaxUncommittedEntriesSize
		config.DisableProposalForwarding = limits.DisableProposalForwarding
	}
	return text
}

var messageTypes = []string{
	"MsgApp", "MsgAppResp", "MsgHeartbeat", "MsgHeartbeatResp", "MsgVote", "MsgVoteResp", "MsgPreVote",
	"MsgPreVoteResp", "MsgSnap", "MsgProp", "MsgStorageAppendResp", "MsgReadIndex", "MsgTimeoutNow",
}

// step draws one command. Some are passed over when there is nothing to do for them.
func (g *group) step(number int) {
	id := g.member()
	node := &g.env.Nodes[id-1]
	leader := g.probablyLeader()
	switch k := g.chance.Intn(100); {
	case k < 22 && node.HasReady():
		g.run(fmt.Sprintf("process-ready %d", id), "")
	case k < 32 && len(node.AppendWork) > 0:
		g.run(fmt.Sprintf("process-append-thread %d", id), "")
	case k < 40 && len(node.ApplyWork) > 0:
		g.run(fmt.Sprintf("process-apply-thread %d", id), "")
	case k < 58:
		g.run(fmt.Sprintf("deliver-msgs %d", id), "")
	case k < 62:
		kind := messageTypes[g.chance.Intn(len(messageTypes))]
		g.run(fmt.Sprintf("deliver-msgs %d type=%s", id, kind), "")
	case k < 64:
		g.run(fmt.Sprintf("deliver-msgs drop=(%d)", id), "")
	case k < 65:
		g.run(fmt.Sprintf("dup-msgs %d", id), "")
	case k < 73:
		g.run(fmt.Sprintf("propose %d p%s%d", leader, strings.Repeat("x", g.chance.Intn(20)), number), "")
	case k < 76:
		g.proposeChange(leader)
	case k < 79:
		g.tick("tick-heartbeat", leader)
	case k < 81:
		g.tick("tick-election", id)
	case k < 82:
		g.run(fmt.Sprintf("campaign %d", id), "")
	case k < 83:
		g.run(fmt.Sprintf("transfer-leadership from=%d to=%d", leader, id), "")
	case k < 84:
		g.run(fmt.Sprintf("forget-leader %d", id), "")
	case k < 86:
		g.run(fmt.Sprintf("report-unreachable %d %d", leader, id), "")
	case k < 87:
		result := []string{"ok", "failed"}[g.chance.Intn(2)]
		g.run(fmt.Sprintf("report-snapshot %d %d result=%s", leader, id, result), "")
	case k < 90:
		g.run(fmt.Sprintf("read-index %d r%d", leader, number), "")
	case k < 92:
		first, _ := node.FirstIndex()
		if applied := node.Status().Applied; applied >= first {
			g.run(fmt.Sprintf("compact %d %d", id, first+uint64(g.chance.Intn(int(applied-first)+1))), "")
		}
	case k < 94:
		g.run(fmt.Sprintf("status %d", leader), "")
	case k < 95:
		g.run(fmt.Sprintf("raft-log %d", id), "")
	case k < 96:
		g.run("raft-state", "")
	case g.oneIn(8):
		g.run("stabilize", "")
	}
}

func (g *group) proposeChange(at int) {
	line := fmt.Sprintf("propose-conf-change %d", at)
	one := func() string { return fmt.Sprintf("%c%d", "vvllr"[g.chance.Intn(5)], g.member()) }
	if g.oneIn(2) {
		g.run(line+" v1=true", one())
		return
	}
	if g.oneIn(2) {
		line += " transition=" + []string{"auto", "implicit", "explicit"}[g.chance.Intn(3)]
	}
	var parts []string
	for range g.chance.Intn(4) {
		parts = append(parts, one())
	}
	g.run(line, strings.Join(parts, " "))
}

// tick says beforehand when the member would campaign. Within one command it can not draw that again and
// get so far.
func (g *group) tick(command string, id int) {
	g.run(fmt.Sprintf("set-randomized-election-timeout %d timeout=%d", id, 3+g.chance.Intn(3)), "")
	g.run(fmt.Sprintf("%s %d", command, id), "")
}

// run carries a command out and writes it down.
func (g *group) run(line, input string) {
	if g.ended {
		return
	}
	name, args, err := datadriven.ParseLine(line)
	if err != nil {
		panic(err)
	}
	output, panicked := g.handle(datadriven.TestData{Cmd: name, CmdArgs: args, Input: input})
	if panicked {
		g.ended = true
		return
	}
	if input != "" {
		line += "\n" + input
	}
	mark := "----\n"
	output = strings.TrimSuffix(output, "\n") + "\n"
	if strings.Contains("\n"+output, "\n\n") {
		// A blank line would end the output.
		mark = "----\n----\n"
		output += mark
	}
	fmt.Fprintf(&g.text, "%s\n%s%s\n", line, mark, output)
}

func (g *group) handle(command datadriven.TestData) (output string, panicked bool) {
	defer func() {
		if recover() != nil {
			panicked = true
		}
	}()
	arg := func(i int) int { return number(command.CmdArgs[i].Key) }
	switch command.Cmd {
	case "read-index":
		g.env.Nodes[arg(0)-1].ReadIndex([]byte(command.CmdArgs[1].Key))
	case "report-snapshot":
		status := raft.SnapshotFinish
		if command.CmdArgs[2].Vals[0] == "failed" {
			status = raft.SnapshotFailure
		}
		g.env.Nodes[arg(0)-1].ReportSnapshot(uint64(arg(1)), status)
	case "dup-msgs":
		for _, message := range g.env.Messages {
			isLocal := message.GetFrom() == message.GetTo() || raft.IsLocalMsgTarget(message.GetFrom())
			if message.GetTo() == uint64(arg(0)) && !isLocal {
				g.env.Messages = append(g.env.Messages, proto.CloneOf(message))
			}
		}
	default:
		return g.env.Handle(&testing.T{}, command), false
	}
	return "ok", false
}

func (g *group) member() int { return 1 + g.chance.Intn(g.size) }

func (g *group) probablyLeader() int {
	for i := range g.env.Nodes {
		if g.env.Nodes[i].Status().RaftState == raft.StateLeader && !g.oneIn(4) {
			return i + 1
		}
	}
	return g.member()
}

func (g *group) oneIn(n int) bool { return g.chance.Intn(n) == 0 }

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
