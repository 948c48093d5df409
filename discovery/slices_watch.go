package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/penstock/penstock/discovery/kube"
)

// slicesSink takes what a watch of EndpointSlices says, from one goroutine at a time.
type slicesSink struct {
	replaced func(all map[string]*slice) // by name
	changed  func(one *slice, deleted bool)
	seeing   func(error)
}

// watchSlices watches the EndpointSlices of a Service.
func watchSlices(client *kube.Client, namespace, service string, to slicesSink) *kube.Watch {
	return &kube.Watch{
		Client: client.Discovery, Resource: "endpointslices", Namespace: namespace, Kind: &discoveryv1.EndpointSlice{},
		Labels: discoveryv1.LabelServiceName + "=" + service,
		Replaced: func(all []runtime.Object) {
			read := make(map[string]*slice, len(all))
			for _, o := range all {
				one := readSlice(o.(*discoveryv1.EndpointSlice))
				read[one.name] = one
			}
			to.replaced(read)
		},
		Changed: func(o runtime.Object, deleted bool) { to.changed(readSlice(o.(*discoveryv1.EndpointSlice)), deleted) },
		Seeing:  to.seeing,
	}
}
