package balancer

import "testing"

func TestOldestReading(t *testing.T) {
	for _, test := range []struct {
		name string
		s    Signals
		want Reading
	}{
		{"nothing was read", Signals{}, Reading{}},
		{"one was", Signals{KVCache: Reading{0.5, 7}}, Reading{0.5, 7}},
		{"the oldest of three", Signals{Waiting: Reading{1, 30}, Running: Reading{2, 10}, KVCache: Reading{0.5, 20}}, Reading{2, 10}},
		{"what was never read is not old", Signals{Waiting: Reading{1, 30}, KVCache: Reading{0.5, 20}}, Reading{0.5, 20}},
		{"others do not count", Signals{Waiting: Reading{1, 30}, GPUUtilization: Reading{1, 5}}, Reading{1, 30}},
	} {
		if got := test.s.Oldest(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestReadingAge(t *testing.T) {
	if r := (Reading{}); r.Known() {
		t.Error("the zero value is known")
	}
	r := Reading{At: 100}
	if !r.Known() || r.Age(130) != 30 || r.Age(90) != 0 {
		t.Errorf("known %v, age %d and %d; want true, 30 and 0", r.Known(), r.Age(130), r.Age(90))
	}
}

func TestSignalsAreReplaced(t *testing.T) {
	e := NewEndpoint("10.0.0.1:8000", nil)
	if e.Signals() != nil {
		t.Fatal("a new endpoint has signals")
	}
	s := &Signals{Waiting: Reading{3, 1}}
	e.SetSignals(s)
	if e.Signals() != s {
		t.Error("what was set is not what is read")
	}
	e.SetSignals(nil)
	if e.Signals() != nil {
		t.Error("signals were not forgotten")
	}
}
