package grpc

import (
	"os"
	"strings"
	"testing"
)

// Every method whose requests name a model is in the table for users, in the line of its service.
func TestModelFieldsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/grpc.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for key := range modelFields {
		documented := false
		for _, line := range lines {
			documented = documented || strings.HasPrefix(line, "| `"+key.service+"`") && strings.Contains(line, "`"+key.method+"`")
		}
		if !documented {
			t.Errorf("docs/grpc.md does not have %s of %s among the methods that name a model", key.method, key.service)
		}
	}
}
