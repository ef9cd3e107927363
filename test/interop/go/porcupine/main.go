// Porcupine judges histories of single-key registers: is there an order of calls that explains every answer?
// Standard input: one JSON object a line, one call each; calls on different keys are judged apart. The last line
// of standard output is "ok CALLS KEYS", "illegal KEY" or "unknown KEY" (out of time).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const perKeyLimit = 60 * time.Second

// A call; nil stands for "no value". Return is nil when the outcome is not known.
type call struct {
	Client    int     `json:"client"`
	Key       string  `json:"key"`
	Kind      string  `json:"kind"` // write, read, swap
	Value     *string `json:"value"`
	Expected  *string `json:"expected"`
	Succeeded bool    `json:"succeeded"`
	Call      int64   `json:"call"`
	Return    *int64  `json:"return"`
}

type register struct {
	holds bool
	value string
}

var model = porcupine.Model{
	Init: func() interface{} { return register{} },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		now, asked := state.(register), input.(call)
		switch asked.Kind {
		case "read":
			return now == toRegister(asked.Value), now
		case "write":
			return true, toRegister(asked.Value)
		default:
			matches := now == toRegister(asked.Expected)
			if asked.Return != nil && asked.Succeeded != matches {
				return false, now
			}
			if matches {
				return true, toRegister(asked.Value)
			}
			return true, now
		}
	},
}

func toRegister(value *string) register {
	if value == nil {
		return register{}
	}
	return register{true, *value}
}

func main() {
	operations := map[string][]porcupine.Operation{}
	total := 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one call
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		// What never returned may take effect at any time after it was asked.
		end := int64(math.MaxInt64)
		if one.Return != nil {
			end = *one.Return
		}
		operations[one.Key] = append(operations[one.Key],
			porcupine.Operation{ClientId: one.Client, Input: one, Call: one.Call, Return: end})
		total++
	}
	keys := make([]string, 0, len(operations))
	for key := range operations {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	verdict := fmt.Sprintf("ok %d %d", total, len(keys))
	for _, key := range keys {
		switch porcupine.CheckOperationsTimeout(model, operations[key], perKeyLimit) {
		case porcupine.Illegal:
			fmt.Println("illegal", key)
			return
		case porcupine.Unknown:
			verdict = "unknown " + key
		}
	}
	fmt.Println(verdict)
}
