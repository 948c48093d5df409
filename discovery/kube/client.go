// Package kube is this project's connection to Kubernetes: a client for the few kinds that it reads, and watches that survive everything.
package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kinds are the groups of Kubernetes' API that are read. A client for all of them would be a third of the binary.
var (
	kinds      = runtime.NewScheme()
	parameters = runtime.NewParameterCodec(kinds)
)

func init() {
	utilruntime.Must(corev1.AddToScheme(kinds))
	utilruntime.Must(discoveryv1.AddToScheme(kinds))
}

// Client is a connection to a cluster's API server.
type Client struct {
	// Core is for Services, Secrets and ConfigMaps; Discovery for EndpointSlices.
	Core, Discovery rest.Interface
}

// Connect returns a client for the cluster that the process runs in, or for the one that the file of $KUBECONFIG, or else
// ~/.kube/config, names. It makes no connection yet.
func Connect() (*Client, error) {
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot find a Kubernetes cluster: not in a pod, and no file that KUBECONFIG names: %w", err)
	}
	return NewClient(c)
}

// NewClient returns a client for the cluster that c names. It makes no connection yet.
func NewClient(c *rest.Config) (*Client, error) {
	core, err := restClient(c, "/api", corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	discovery, err := restClient(c, "/apis", discoveryv1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	return &Client{Core: core, Discovery: discovery}, nil
}

func restClient(base *rest.Config, path string, group schema.GroupVersion) (*rest.RESTClient, error) {
	c := rest.CopyConfig(base)
	c.APIPath, c.GroupVersion = path, &group
	c.NegotiatedSerializer = serializer.NewCodecFactory(kinds).WithoutConversion()
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c.ContentType = runtime.ContentTypeProtobuf
	c.UserAgent = "penstock"
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("cannot make a Kubernetes client: %w", err)
	}
	return client, nil
}
