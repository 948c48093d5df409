package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/penstock/penstock/discovery/kube"
	"github.com/penstock/penstock/discovery/kube/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that should happen soon.
const patience = 20 * time.Second

// watched is what a watch tells.
type watched struct {
	t       *testing.T
	seeing  chan error
	objects chan int // how many a list had, or 1 for a change
}

// watchServices watches the Services of a namespace until the end of the test.
func watchServices(t *testing.T, s *kubetest.Server) *watched {
	w := &watched{t, make(chan error, 1000), make(chan int, 1000)}
	watch := &kube.Watch{Client: s.Client().Core, Resource: "services", Namespace: "models", Kind: &corev1.Service{},
		Replaced: func(all []runtime.Object) { w.objects <- len(all) },
		Changed:  func(runtime.Object, bool) { w.objects <- 1 },
		Seeing:   func(err error) { w.seeing <- err },
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); watch.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended; s.Down() })
	return w
}

// awaitSeeing waits until the watch says that all is well, for an empty text, or else what is wrong.
func (w *watched) awaitSeeing(when, want string) {
	w.t.Helper()
	for {
		select {
		case err := <-w.seeing:
			if err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want) {
				if err != nil && !errors.Is(err, kube.ErrUnreachable) {
					w.t.Errorf("%s: %v is not taken for an API server that does not answer", when, err)
				}
				return
			}
		case <-time.After(patience):
			w.t.Fatalf("%s: it does not say %q", when, want)
		}
	}
}

func (w *watched) awaitObjects(when string, want int) {
	w.t.Helper()
	for {
		select {
		case got := <-w.objects:
			if got == want {
				return
			}
		case <-time.After(patience):
			w.t.Fatalf("%s: %d objects do not come", when, want)
		}
	}
}

func llama() *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models"}}
}

// TestCallsThatAreNeverAnswered has an API server take calls and say nothing.
func TestCallsThatAreNeverAnswered(t *testing.T) {
	const never = time.Hour
	for verb, want := range map[string]string{
		"list":  "cannot list services in namespace models: the API server does not answer: no answer came within 50ms",
		"watch": "cannot watch services in namespace models: the API server does not answer: no answer came within 60ms",
	} {
		t.Run(verb, func(t *testing.T) {
			kube.SetPatience(t, 50*time.Millisecond, 60*time.Millisecond, never)
			s := kubetest.New(t)
			s.Set(llama())
			s.Hold("services", verb)
			w := watchServices(t, s)
			w.awaitSeeing("from the start", want)
			s.Release("services", verb)
			w.awaitSeeing("answered", "")
			w.awaitObjects("answered", 1)
			s.Hold("services", verb)
			s.Expire()
			w.awaitSeeing("later", want)
			s.Release("services", verb)
			w.awaitSeeing("answered again", "")
		})
	}
}

// TestWatchThatNeverEnds is opened anew, lest one that the API server has forgotten be believed for ever.
func TestWatchThatNeverEnds(t *testing.T) {
	kube.SetPatience(t, time.Hour, time.Hour, 50*time.Millisecond)
	s := kubetest.New(t)
	w := watchServices(t, s)
	for range 3 {
		select {
		case err := <-w.seeing:
			if err != nil {
				t.Errorf("it is taken for a failure: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("the watch is not opened again")
		}
	}
	s.Set(llama())
	w.awaitObjects("changed", 1)
}
