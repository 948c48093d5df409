package deploy

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestNotes compares what is told after installing with golden files, which are to be read.
func TestNotes(t *testing.T) {
	for _, name := range []string{"default", "endpoints", "everything", "autoscale", "keda", "admin-security"} {
		files, err := render(t, values(t, read(t, "testdata/values/"+name+".yaml")), nil)
		if err != nil {
			t.Fatal(err)
		}
		notes := files["penstock/templates/NOTES.txt"]
		if !strings.HasPrefix(notes, "Penstock is in namespace penstock") {
			t.Errorf("%s: notes begin with %q", name, notes)
		}
		checkFile(t, filepath.Join("testdata/notes", name+".txt"), []byte(strings.TrimRight(notes, "\n")+"\n"))
	}
}
