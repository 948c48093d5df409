package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// MaxModelsDocument is the largest model list that is read, in bytes.
	MaxModelsDocument = 1 << 20
	// MaxModels is the most models that a merged list has.
	MaxModels = 10_000
)

// modelList is the answer to GET /v1/models.
type modelList struct {
	Object string            `json:"object"`
	Data   []json.RawMessage `json:"data"`
}

// modelEntry is a model of a list, without the fields that only its server knows.
type modelEntry struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// MergeModels merges the answers of several servers to GET /v1/models into one, and adds the extra names that none of them has.
// Models are told apart by id and the first of an id is kept, with every field that its server gave it.
//
// The list is always usable: a document that is not a model list, or is too large, is left out, as are models without an id and
// models beyond MaxModels, and the error says so of each.
func MergeModels(documents [][]byte, extra []string) ([]byte, error) {
	m := merger{list: modelList{Object: "list", Data: []json.RawMessage{}}, seen: make(map[string]bool)}
	var errs []error
	for i, document := range documents {
		if err := m.addDocument(document); err != nil {
			errs = append(errs, fmt.Errorf("cannot merge model list %d: %w", i, err))
		}
	}
	for _, id := range extra {
		entry, err := marshal(modelEntry{ID: id, Object: "model", OwnedBy: "penstock"})
		if err != nil {
			panic("BUG: a model entry cannot be encoded: " + err.Error())
		}
		if err := m.add(id, entry); err != nil {
			errs = append(errs, fmt.Errorf("cannot add model %q: %w", id, err))
		}
	}
	merged, err := marshal(m.list)
	if err != nil {
		panic("BUG: a model list cannot be encoded: " + err.Error())
	}
	return merged, errors.Join(errs...)
}

type merger struct {
	list modelList
	seen map[string]bool
}

func (m *merger) addDocument(document []byte) error {
	if len(document) > MaxModelsDocument {
		return fmt.Errorf("it has %d bytes, more than %d", len(document), MaxModelsDocument)
	}
	var list map[string]json.RawMessage // a struct's fields would be found in any case
	if err := json.Unmarshal(document, &list); err != nil {
		return err
	}
	var data []json.RawMessage
	if err := json.Unmarshal(list["data"], &data); err != nil || data == nil {
		return errors.New(`it has no array "data"`)
	}
	var errs []error
	nameless := 0
	for i, entry := range data {
		id := entryID(entry)
		if id == "" {
			if nameless++; nameless <= maxNamed {
				errs = append(errs, fmt.Errorf(`data[%d] has no string "id"`, i))
			}
			continue
		}
		if err := m.add(id, entry); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	if nameless > maxNamed {
		errs = append(errs, fmt.Errorf("so have %d more", nameless-maxNamed))
	}
	return errors.Join(errs...)
}

// maxNamed is how many entries without an id an error names one by one.
const maxNamed = 8

// entryID is the id of an entry of a model list, empty if it has none.
func entryID(entry json.RawMessage) (id string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(entry, &fields) != nil || json.Unmarshal(fields["id"], &id) != nil {
		return ""
	}
	return id
}

func (m *merger) add(id string, entry json.RawMessage) error {
	if m.seen[id] {
		return nil
	}
	if len(m.list.Data) == MaxModels {
		return fmt.Errorf("the list has %d models already", MaxModels)
	}
	m.seen[id] = true
	m.list.Data = append(m.list.Data, entry)
	return nil
}

// marshal is json.Marshal without its escapes for HTML.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(buf.Bytes(), "\n"), err
}
