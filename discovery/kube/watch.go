package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// retryBackoff is how long a watch waits until it asks again after a failure. The longest wait is how late a change may be seen after an API
// server has come back.
var retryBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 12, Cap: 5 * time.Second}

// An API server, or what is in front of it, may take a call and never answer it, which client-go would wait for without end. Variables, for tests.
var (
	// listTime is how long a list may take. An API server gives up after a minute by itself, and answers from its memory within milliseconds.
	listTime = 30 * time.Second
	// openTime is how long it may take until a watch has begun. API servers say so at once, but there are proxies that hold it back until the first
	// event, as client-go's reflector notes; that is a bookmark, which API servers send every minute.
	openTime = 90 * time.Second
	// lifeTime is how long a watch may last. client-go asks for 5 to 10 minutes, after which the API server is to end it.
	lifeTime = 11 * time.Minute
)

// Watch follows the objects of one kind in a namespace. It goes on whatever happens to the API server: what was told last holds until
// there is something new. Its functions are called from one goroutine at a time.
type Watch struct {
	// Client is the client of the kind's group.
	Client rest.Interface
	// Resource is the kind's name in the API, such as endpointslices.
	Resource string
	// Namespace is where the objects are.
	Namespace string
	// Labels and Fields select them; empty selects all.
	Labels, Fields string
	// Kind is an object of the kind.
	Kind runtime.Object

	// Replaced is told all the objects there are, at the start and whenever changes may have been missed.
	Replaced func(all []runtime.Object)
	// Changed is told of an object that was made, has changed or was deleted.
	Changed func(object runtime.Object, deleted bool)
	// Seeing is told after each attempt whether changes are seen, nil, or why not.
	Seeing func(error)
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.Discard()) // what matters of client-go's lines comes through Seeing
	// A list of its own is what makes Replaced see all objects at once and leaves nothing waiting when ctx ends.
	r := cache.NewReflectorWithOptions(listWatch{w}, w.Kind, sink{w}, cache.ReflectorOptions{
		Name: w.Resource, TypeDescription: w.Resource, Backoff: &retryBackoff,
	})
	r.RunWithContext(ctx)
}

// listWatch asks the API server for a watch's objects.
type listWatch struct{ of *Watch }

// IsWatchListSemanticsUnSupported has client-go list first and then watch, instead of both in one call.
func (listWatch) IsWatchListSemanticsUnSupported() bool { return true }

// ListWithContext lists the objects.
func (l listWatch) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list, err := l.request(o).Timeout(listTime).Do(ctx).Get() // which does not count the wait for the client's own limit of calls
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = unanswered(listTime)
	}
	if err != nil {
		l.failed(ctx, "list", err)
		return nil, err
	}
	return list, nil
}

// WatchWithContext opens the stream of changes.
func (l listWatch) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	watching, cancel := context.WithCancel(ctx) // a deadline's error is one that client-go makes an empty watch of
	timer := time.AfterFunc(openTime, cancel)
	changes, err := l.request(o).Watch(watching)
	if !timer.Stop() && ctx.Err() == nil {
		if err == nil {
			changes.Stop()
		}
		err = unanswered(openTime)
	}
	if err != nil {
		cancel()
		l.failed(ctx, "watch", err)
		return nil, err
	}
	timer.Reset(lifeTime)
	l.of.Seeing(nil)
	return stream{changes, func() { timer.Stop(); cancel() }}, nil
}

// unanswered is the error of a call that was not answered within a time.
func unanswered(after time.Duration) error {
	return fmt.Errorf("no answer came within %s", after)
}

// stream is a watch that has begun.
type stream struct {
	watch.Interface
	release func()
}

// Stop ends the watch.
func (s stream) Stop() {
	s.Interface.Stop()
	s.release()
}

// List is ListWithContext without a context, which client-go's interface asks for.
func (l listWatch) List(o metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), o)
}

// Watch is WatchWithContext without a context, which client-go's interface asks for.
func (l listWatch) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), o)
}

func (l listWatch) request(o metav1.ListOptions) *rest.Request {
	o.LabelSelector, o.FieldSelector = l.of.Labels, l.of.Fields
	r := l.of.Client.Get().Namespace(l.of.Namespace).Resource(l.of.Resource).VersionedParams(&o, parameters)
	if o.TimeoutSeconds != nil {
		r = r.Timeout(time.Duration(*o.TimeoutSeconds) * time.Second)
	}
	return r
}

// failed tells why nothing is seen. A resource version that has expired is none of that: the objects are listed anew at once.
func (l listWatch) failed(ctx context.Context, verb string, err error) {
	if ctx.Err() == nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		l.of.Seeing(explain(verb, l.of.Resource, l.of.Namespace, err))
	}
}

// sink takes what client-go read.
type sink struct{ *Watch }

// Add takes a new object.
func (s sink) Add(object any) error { return s.Update(object) }

// Update takes a changed object.
func (s sink) Update(object any) error {
	s.Changed(object.(runtime.Object), false)
	return nil
}

// Delete takes an object that was deleted.
func (s sink) Delete(object any) error {
	s.Changed(object.(runtime.Object), true)
	return nil
}

// Replace takes all objects.
func (s sink) Replace(objects []any, _ string) error {
	all := make([]runtime.Object, len(objects))
	for i := range objects {
		all[i] = objects[i].(runtime.Object)
	}
	s.Replaced(all)
	return nil
}

// Resync has nothing to do: nothing is kept.
func (sink) Resync() error { return nil }
