package autoscale

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/penstock/penstock/discovery/kube"
)

// kubeTimeout bounds a question to the API server.
const kubeTimeout = 10 * time.Second

// kubeAPI is the few questions that this package has for the API server.
type kubeAPI struct{ client *kube.Client }

// apiService is what is read of an APIService (apiregistration.k8s.io/v1), without the module that has the whole of it.
type apiService struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Spec struct {
		Service *struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"service"`
		CABundle              []byte `json:"caBundle"`
		InsecureSkipTLSVerify bool   `json:"insecureSkipTLSVerify"`
	} `json:"spec"`
}

const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices/"

func (k kubeAPI) apiService(ctx context.Context, name string) (*apiService, error) {
	text, err := k.client.Core.Get().AbsPath(apiServices+name).SetHeader("Accept", "application/json").Timeout(kubeTimeout).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	s := new(apiService)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("cannot read the API server's answer: %w", err)
	}
	return s, nil
}

// setCABundle makes bundle the authorities of an APIService, if that is still as it was read.
func (k kubeAPI) setCABundle(ctx context.Context, name string, read *apiService, bundle []byte) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": read.Metadata.ResourceVersion},
		"spec":     map[string]any{"caBundle": bundle, "insecureSkipTLSVerify": false}, // which is forbidden beside a bundle
	})
	if err != nil {
		return fmt.Errorf("cannot write a patch: %w", err)
	}
	return k.client.Core.Patch(types.MergePatchType).AbsPath(apiServices+name).SetHeader("Accept", "application/json").
		Timeout(kubeTimeout).Body(patch).Do(ctx).Error()
}

func (k kubeAPI) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	s := new(corev1.Secret)
	return s, k.client.Core.Get().Namespace(namespace).Resource("secrets").Name(name).Timeout(kubeTimeout).Do(ctx).Into(s)
}

// updateSecret replaces a Secret, if that is still as it was read.
func (k kubeAPI) updateSecret(ctx context.Context, s *corev1.Secret) error {
	return k.client.Core.Put().Namespace(s.Namespace).Resource("secrets").Name(s.Name).Timeout(kubeTimeout).Body(s).Do(ctx).Error()
}

func (k kubeAPI) configMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	m := new(corev1.ConfigMap)
	return m, k.client.Core.Get().Namespace(namespace).Resource("configmaps").Name(name).Timeout(kubeTimeout).Do(ctx).Into(m)
}
