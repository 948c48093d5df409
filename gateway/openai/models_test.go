package openai

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestMergeModels(t *testing.T) {
	one := `{"object":"list","data":[{"id":"a","object":"model","created":1,"owned_by":"vllm","max_model_len":8192,"x":{"<b>":[1, 2.50]}},{"id":"b","from":1}]}`
	two := `{"data":[{"id":"b","from":2},{"id":"c"}],"more":true}`
	got, err := MergeModels([][]byte{[]byte(one), []byte(two)}, []string{"alias", "a", "alias", `q"<`})
	if err != nil {
		t.Fatalf("cannot merge: %v", err)
	}
	want := `{"object":"list","data":[{"id":"a","object":"model","created":1,"owned_by":"vllm","max_model_len":8192,"x":{"<b>":[1,2.50]}},` +
		`{"id":"b","from":1},{"id":"c"},{"id":"alias","object":"model","created":0,"owned_by":"penstock"},` +
		`{"id":"q\"<","object":"model","created":0,"owned_by":"penstock"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMergeModelsLeavesBadDocumentsOut(t *testing.T) {
	documents := [][]byte{
		nil, []byte("<html>"), []byte(`{"error":"x"}`), []byte(`{"data":7}`), []byte(`{"data":[{"id":7},null,{"id":""},{"id":"good"}]}`),
		[]byte(`{"data":[],"x":"` + strings.Repeat("x", MaxModelsDocument) + `"}`), []byte(`{"data":[{"id":"also good"}]}`),
	}
	got, err := MergeModels(documents, nil)
	if want := `{"object":"list","data":[{"id":"good"},{"id":"also good"}]}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, want := range []string{"model list 0:", "model list 1:", `model list 2: it has no array "data"`, "model list 3:",
		`model list 4: data[0] has no string "id"`, "data[1]", "data[2]", "model list 5: it has 1048"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if got, err := MergeModels(nil, nil); string(got) != `{"object":"list","data":[]}` || err != nil {
		t.Errorf("nothing merges to %s, %v", got, err)
	}
}

func TestMergeModelsIsBounded(t *testing.T) {
	var documents [][]byte
	for d := range 2 {
		var list modelList
		for i := range 8000 {
			list.Data = append(list.Data, json.RawMessage(fmt.Sprintf(`{"id":"%d-%d"}`, d, i)))
		}
		document, err := marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, document)
	}
	got, err := MergeModels(documents, []string{"alias", "0-1"})
	var list modelList
	if json.Unmarshal(got, &list) != nil || len(list.Data) != MaxModels {
		t.Errorf("got %d models, want %d", len(list.Data), MaxModels)
	}
	if err == nil || !strings.Contains(err.Error(), "cannot merge model list 1: the list has 10000 models already") ||
		!strings.Contains(err.Error(), `cannot add model "alias"`) || strings.Contains(err.Error(), `"0-1"`) {
		t.Errorf("got error %v", err)
	}
}

func TestMergeModelsOfJunk(t *testing.T) {
	_, err := MergeModels([][]byte{[]byte(`{"data":[` + strings.Repeat("0,", 100_000) + `0]}`)}, nil)
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "so have 99993 more") {
		t.Errorf("got an error of %d bytes, want a short one that counts the entries", len(err.Error()))
	}
	got, err := MergeModels([][]byte{[]byte(`{"object":7,"data":[{"id":"a","ID":"b"}]}`)}, []string{"a", "b"})
	want := `{"object":"list","data":[{"id":"a","ID":"b"},{"id":"b","object":"model","created":0,"owned_by":"penstock"}]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
