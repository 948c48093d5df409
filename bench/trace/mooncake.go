package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// mooncakeBlockTokens is the size of the blocks that hash_ids stand for.
const mooncakeBlockTokens = 512

// mooncakeTick is the resolution of timestamps, used where a trace has only one.
const mooncakeTick = 3 * time.Second

type mooncakeRow struct {
	Timestamp    *float64 `json:"timestamp"` // milliseconds
	InputLength  *int64   `json:"input_length"`
	OutputLength *int64   `json:"output_length"`
	HashIDs      []int64  `json:"hash_ids"` // one for each begun block of 512 tokens
}

// ReadMooncake reads a trace of kvcache-ai/Mooncake: JSON objects, one a line, with timestamp (milliseconds), input_length,
// output_length and hash_ids. Blocks has the full blocks only, so the last id is left out where it stands for less than 512 tokens. The
// published timestamps are rounded to ticks of 3 s; requests of the same timestamp are spread evenly over the time until the next. Rows
// that are not in order of time are sorted, and times count from the earliest; 0 tokens are taken as 1. SystemTokens covers the leading
// blocks that all requests have in common, as far as each is long enough to have them. Errors name the line.
func ReadMooncake(r io.Reader) (*Trace, error) {
	return readMooncake(newLines(r, maxRows))
}

func readMooncake(l *lines) (*Trace, error) {
	t := &Trace{Name: "Mooncake", BlockTokens: mooncakeBlockTokens}
	for {
		line, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		request, err := parseMooncake(line)
		if err != nil {
			return nil, l.errorf("%w", err)
		}
		t.Requests = append(t.Requests, request)
	}
	if len(t.Requests) == 0 {
		return nil, errors.New("cannot read an empty trace: it must have a JSON object for each request")
	}
	t.sort()
	t.startAtZero()
	t.spreadTicks()
	t.findSystem()
	return t, nil
}

func parseMooncake(line []byte) (Request, error) {
	var row mooncakeRow
	if err := json.Unmarshal(line, &row); err != nil {
		return Request{}, mooncakeError(err)
	}
	if err := row.check(); err != nil {
		return Request{}, err
	}
	full := int(*row.InputLength) / mooncakeBlockTokens
	return Request{
		At:           time.Duration(math.Round(*row.Timestamp * 1e6)),
		PromptTokens: int(max(*row.InputLength, 1)),
		OutputTokens: int(max(*row.OutputLength, 1)),
		Blocks:       chainIDs(row.HashIDs[:min(full, len(row.HashIDs))]),
	}, nil
}

// mooncakeError says what is wrong with a line in terms of the line rather than of Go.
func mooncakeError(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return err
	case wrong.Field == "":
		return fmt.Errorf("it is a JSON %s, want an object", wrong.Value)
	case wrong.Field == "timestamp":
		return fmt.Errorf("%s is a %s, want a number from 0 to %d", wrong.Field, wrong.Value, maxNumber)
	case wrong.Field == "hash_ids":
		return fmt.Errorf("%s has a %s, want an array of whole numbers from 0 to %d", wrong.Field, wrong.Value, maxNumber)
	}
	return fmt.Errorf("%s is a %s, want a whole number from 0 to %d", wrong.Field, wrong.Value, maxNumber)
}

func (row *mooncakeRow) check() error {
	switch {
	case row.Timestamp == nil:
		return errors.New("timestamp is missing")
	case *row.Timestamp < 0 || *row.Timestamp > maxNumber:
		return fmt.Errorf("timestamp is %v, want a number from 0 to %d", *row.Timestamp, maxNumber)
	case row.InputLength == nil:
		return errors.New("input_length is missing")
	case *row.InputLength < 0 || *row.InputLength > maxNumber:
		return fmt.Errorf("input_length is %d, want a whole number from 0 to %d", *row.InputLength, maxNumber)
	case row.OutputLength == nil:
		return errors.New("output_length is missing")
	case *row.OutputLength < 0 || *row.OutputLength > maxNumber:
		return fmt.Errorf("output_length is %d, want a whole number from 0 to %d", *row.OutputLength, maxNumber)
	}
	// More ids than blocks mean another block size, and so another format than the one that is read here.
	if begun := (*row.InputLength + mooncakeBlockTokens - 1) / mooncakeBlockTokens; int64(len(row.HashIDs)) > begun {
		return fmt.Errorf("it has %d hash_ids, want at most %d: one for each %d of %d tokens",
			len(row.HashIDs), begun, mooncakeBlockTokens, *row.InputLength)
	}
	for _, id := range row.HashIDs {
		if id < 0 || id > maxNumber {
			return fmt.Errorf("hash_ids has %d, want whole numbers from 0 to %d", id, maxNumber)
		}
	}
	return nil
}

// chainIDs turns the ids of single blocks into names of everything up to their ends.
func chainIDs(ids []int64) []uint64 {
	if len(ids) == 0 {
		return nil
	}
	names := make([]uint64, len(ids))
	var name uint64
	for i, id := range ids {
		name = chain(name, uint64(id))
		names[i] = name
	}
	return names
}

// spreadTicks spreads requests of the same time evenly over the time until the next. The last ones get as long as those before them.
func (t *Trace) spreadTicks() {
	tick := mooncakeTick
	for begin := 0; begin < len(t.Requests); {
		at, end := t.Requests[begin].At, begin+1
		for end < len(t.Requests) && t.Requests[end].At == at {
			end++
		}
		if end < len(t.Requests) {
			tick = t.Requests[end].At - at
		}
		for i := begin + 1; i < end; i++ {
			t.Requests[i].At += time.Duration(float64(tick) * float64(i-begin) / float64(end-begin))
		}
		begin = end
	}
}

// findSystem sets SystemTokens to the leading blocks that all requests have in common. A block counts as long as at least two requests
// have one there and all of these are the same.
func (t *Trace) findSystem() {
	common := t.inCommon()
	for i := range t.Requests {
		r := &t.Requests[i]
		r.SystemTokens = min(common, len(r.Blocks)) * t.BlockTokens
	}
}

// inCommon compares each request with the longest one before it, which has what all before it have in common.
func (t *Trace) inCommon() int {
	var longest []uint64
	second := 0 // length of the second longest
	agree := math.MaxInt
	for i := range t.Requests {
		blocks := t.Requests[i].Blocks
		for j := range min(len(blocks), len(longest), agree) {
			if blocks[j] != longest[j] {
				agree = j
				break
			}
		}
		second = max(second, min(len(blocks), len(longest)))
		if len(blocks) > len(longest) {
			longest = blocks
		}
	}
	return min(agree, second)
}
