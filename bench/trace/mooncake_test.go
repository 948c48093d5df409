package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mooncake is a row of a trace.
func mooncake(ms, input int, ids string) string {
	return fmt.Sprintf("{\"timestamp\": %d, \"input_length\": %d, \"output_length\": 5, \"hash_ids\": [%s]}\n", ms, input, ids)
}

func TestReadMooncake(t *testing.T) {
	tr := mustRead(t, ReadMooncake,
		mooncake(9000, 1536, "0,1,2")+
			mooncake(9000, 1535, "0,1,2")+
			mooncake(9000, 1536, "0,1,3")+
			mooncake(12000, 1536, "0,4,2")+
			mooncake(12000, 511, "9")+
			mooncake(18000, 0, "")+
			mooncake(18000, 512, "0"))
	if got, want := times(tr), []int{0, 1000, 2000, 3000, 6000, 9000, 12000}; !slices.Equal(got, want) {
		t.Errorf("times %v, want %v", got, want)
	}
	a, b, c, d := tr.Requests[0].Blocks, tr.Requests[1].Blocks, tr.Requests[2].Blocks, tr.Requests[3].Blocks
	if len(a) != 3 || len(b) != 2 || len(c) != 3 || len(d) != 3 || len(tr.Requests[4].Blocks) != 0 {
		t.Fatalf("blocks %v %v %v %v", a, b, c, d)
	}
	if !slices.Equal(a[:2], b) || a[1] != c[1] || a[2] == c[2] || a[0] != d[0] || a[1] == d[1] || a[2] == d[2] {
		t.Errorf("blocks do not stand for all before them: %v %v %v %v", a, b, c, d)
	}
	for i, want := range []int{512, 512, 512, 512, 0, 0, 512} {
		if got := tr.Requests[i].SystemTokens; got != want {
			t.Errorf("request %d has %d tokens of system prompt, want %d", i, got, want)
		}
	}
	if r := tr.Requests[5]; r.PromptTokens != 1 || r.OutputTokens != 5 {
		t.Errorf("an empty prompt gives %+v", r)
	}
}

func TestReadMooncakeSortsRows(t *testing.T) {
	tr := mustRead(t, ReadMooncake, mooncake(3000, 1, "")+mooncake(0, 2, "")+mooncake(3000, 3, "")+mooncake(0, 4, ""))
	var prompts []int
	for _, r := range tr.Requests {
		prompts = append(prompts, r.PromptTokens)
	}
	if want := []int{2, 4, 1, 3}; !slices.Equal(prompts, want) {
		t.Errorf("order %v, want %v", prompts, want)
	}
	if got, want := times(tr), []int{0, 1500, 3000, 4500}; !slices.Equal(got, want) {
		t.Errorf("times %v, want %v", got, want)
	}
}

func TestReadMooncakeOfOneTick(t *testing.T) {
	tr := mustRead(t, ReadMooncake, mooncake(7, 1, "")+mooncake(7, 1, "")+mooncake(7, 1, ""))
	if got, want := times(tr), []int{0, 1000, 2000}; !slices.Equal(got, want) {
		t.Errorf("times %v, want %v", got, want)
	}
}

func TestSystemPromptIsWhatAllShare(t *testing.T) {
	for _, c := range []struct {
		name string
		ids  []string
		want []int // blocks
	}{
		{"one request shows nothing", []string{"0,1"}, []int{0}},
		{"nothing in common", []string{"0,1", "2,1"}, []int{0, 0}},
		{"short ones have what they have", []string{"0,1,2,3", "0", "0,1,2", "", "0,1,2,4"}, []int{3, 1, 3, 0, 3}},
		{"the longest alone shows nothing", []string{"0", "0,1,2", "0,1"}, []int{1, 2, 2}},
		{"disagreement after growth", []string{"0", "0,1", "0,1,2", "0,2,2"}, []int{1, 1, 1, 1}},
		{"a short one disagrees", []string{"0,1,2", "0,1,2", "1"}, []int{0, 0, 0}},
	} {
		var input strings.Builder
		for i, ids := range c.ids {
			input.WriteString(mooncake(i, 2048, ids))
		}
		for i, r := range mustRead(t, ReadMooncake, input.String()).Requests {
			if r.SystemTokens != 512*c.want[i] {
				t.Errorf("%s: request %d has %d tokens of system prompt, want %d blocks", c.name, i, r.SystemTokens, c.want[i])
			}
		}
	}
}

func TestReadMooncakeErrors(t *testing.T) {
	good := mooncake(0, 1, "")
	checkErrors(t, ReadMooncake, []badInput{
		{"empty", "\n", "cannot read an empty trace: it must have a JSON object for each request"},
		{"syntax", good + "{", "cannot read line 2: unexpected end of JSON input"},
		{"no object", "[1]", "cannot read line 1: it is a JSON array, want an object"},
		{"null", "null", "cannot read line 1: timestamp is missing"},
		{"no prompt", `{"timestamp":1,"output_length":1}`, "cannot read line 1: input_length is missing"},
		{"no answer", `{"timestamp":1,"input_length":1}`, "cannot read line 1: output_length is missing"},
		{"time", `{"timestamp":"1"}`, "cannot read line 1: timestamp is a string, want a number from 0 to 999999999"},
		{"time not finite", `{"timestamp":1e999}`, "cannot read line 1: timestamp is a number 1e999, want a number from 0 to 999999999"},
		{"negative time", `{"timestamp":-1}`, "cannot read line 1: timestamp is -1, want a number from 0 to 999999999"},
		{"late", mooncake(1_000_000_000, 1, ""), "cannot read line 1: timestamp is 1e+09, want a number from 0 to 999999999"},
		{"prompt", mooncake(0, -1, ""), "cannot read line 1: input_length is -1, want a whole number from 0 to 999999999"},
		{"fraction", `{"input_length":1.5}`, "cannot read line 1: input_length is a number 1.5, want a whole number from 0 to 999999999"},
		{"answer", `{"timestamp":1,"input_length":1,"output_length":1000000000}`,
			"cannot read line 1: output_length is 1000000000, want a whole number from 0 to 999999999"},
		{"other blocks", mooncake(0, 1000, "1,2,3"), "cannot read line 1: it has 3 hash_ids, want at most 2: one for each 512 of 1000 tokens"},
		{"id", mooncake(0, 1000, "1,-2"), "cannot read line 1: hash_ids has -2, want whole numbers from 0 to 999999999"},
		{"id is text", mooncake(0, 1000, `1,"x"`), "cannot read line 1: hash_ids has a string, want an array of whole numbers from 0 to 999999999"},
	})
}

func FuzzReadMooncake(f *testing.F) {
	f.Add(mooncake(0, 1536, "0,1,2") + mooncake(0, 1100, "0,1,3") + mooncake(3001, 5, "0"))
	f.Add(`{"timestamp":1.5,"input_length":0,"output_length":999999999,"hash_ids":null}`)
	f.Add("[]\n{}")
	f.Fuzz(func(t *testing.T, input string) {
		if tr, err := ReadMooncake(strings.NewReader(input)); err == nil {
			mustValidate(t, tr)
		}
	})
}
