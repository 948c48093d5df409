package discovery

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func writeEndpoints(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints.yaml")
		sink := newHeard(t)
		runSource(t, NewFile("p", path), sink)
		missing := "p: cannot read the endpoints in " + path + ": no such file or directory; want a YAML file there: endpoints: [URL, ...]"
		sink.wantOnly(missing)
		for _, step := range []struct {
			what, text string
			want       []string
		}{
			{"there", "endpoints: [\"http://10.0.0.2:1\", \"h2c://10.0.0.1:1\"]", []string{"p has [h2c://10.0.0.1:1 http://10.0.0.2:1]", "p: <nil>"}},
			{"unchanged", "endpoints: [\"http://10.0.0.2:1\", \"h2c://10.0.0.1:1\"]", nil},
			{"another text for the same", "endpoints: # sorted\n- h2c://10.0.0.1:1\n- http://10.0.0.2:1\n", nil},
			{"empty", "", []string{"p: cannot use a file of endpoints: " + path + ":1:1: is empty; want endpoints: [URL, ...], or endpoints: [] for none"}},
			{"still empty", "", nil},
			{"without the list", "{}", []string{"p: cannot use a file of endpoints: " + path + ":1:1: endpoints: is missing; want endpoints: [URL, ...], or endpoints: [] for none"}},
			{"wrong", "endpoints:\n- http://a:1\n- a:2\n- b\npool: x\n", []string{"p: cannot use a file of endpoints: " + path +
				":3:3: endpoints[1]: \"a:2\" has no scheme; write http://a:2 (and 2 more)"}},
			{"as before", "endpoints: [\"http://10.0.0.2:1\", \"h2c://10.0.0.1:1\"]", []string{"p: <nil>"}},
			{"changed", "endpoints: [\"http://llama:1\"]", []string{"p has [http://llama:1]"}},
			{"listing none", "endpoints: []", []string{"p has []"}},
		} {
			writeEndpoints(t, path, step.text)
			sink.wantOnly() // nobody looks before the second is over
			time.Sleep(fileInterval)
			t.Log(step.what)
			sink.wantOnly(step.want...)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		sink.wantOnly(missing)
	})
}

// TestFileBehindSwappedLinks changes a file as Kubernetes does a ConfigMap's: PATH -> ..data/FILE, ..data -> a folder, where ..data is replaced.
func TestFileBehindSwappedLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		path, data := filepath.Join(folder, "endpoints.yaml"), filepath.Join(folder, "..data")
		point := func(to string) {
			t.Helper()
			if err := os.Symlink(to, data+"_tmp"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(data+"_tmp", data); err != nil {
				t.Fatal(err)
			}
		}
		then := time.Now().Add(-time.Hour)
		for _, generation := range []string{"..1", "..2"} {
			if err := os.Mkdir(filepath.Join(folder, generation), 0o700); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(folder, generation, "endpoints.yaml")
			writeEndpoints(t, file, "endpoints: [\"http://a:"+generation[2:]+"\"]")
			if err := os.Chtimes(file, then, then); err != nil {
				t.Fatal(err)
			}
		}
		point("..1")
		if err := os.Symlink(filepath.Join("..data", "endpoints.yaml"), path); err != nil {
			t.Fatal(err)
		}
		sink := newHeard(t)
		runSource(t, NewFile("p", path), sink)
		sink.wantOnly("p has [http://a:1]", "p: <nil>")
		point("..2")
		time.Sleep(fileInterval)
		sink.wantOnly("p has [http://a:2]")
	})
}
