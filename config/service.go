package config

import (
	"fmt"
	"strings"
)

// ParseService reads NAMESPACE/NAME or NAMESPACE/NAME:PORT, where PORT is the name or the number of the Service's port.
func ParseService(s string) (*Service, error) {
	const want = "want NAMESPACE/NAME or NAMESPACE/NAME:PORT, such as models/llama-8b:http"
	namespace, rest, ok := strings.Cut(s, "/")
	name, port, hasPort := strings.Cut(rest, ":")
	var problem string
	switch {
	case !ok:
		problem = "has no namespace"
	case !isKubernetesName(namespace):
		problem = fmt.Sprintf("has the namespace %s, which is no name in Kubernetes", quote(namespace))
	case !isKubernetesName(name):
		problem = fmt.Sprintf("has the name %s, which is no name in Kubernetes", quote(name))
	case hasPort && !isServicePort(port):
		problem = fmt.Sprintf("has the port %s, which is neither a name nor a number from 1 to 65535", quote(port))
	}
	if problem != "" {
		return nil, fmt.Errorf("cannot read service: %s %s; %s", quote(s), problem, want)
	}
	service := DefaultService
	service.Namespace, service.Name, service.Port = namespace, name, port
	return &service, nil
}

const wantKubernetesName = "want at most 63 lower-case letters, digits and -, with a letter or digit at both ends"

// isKubernetesName says whether s is a DNS label (RFC 1123), as names of namespaces, Services and ports are.
func isKubernetesName(s string) bool {
	return isHostLabel(s) && s == strings.ToLower(s) && !strings.Contains(s, "_")
}

// isServicePort says whether s is the number or the name of a port. Digits alone are always a number.
func isServicePort(s string) bool {
	return isPort(s) || isKubernetesName(s) && strings.Trim(s, "0123456789") != ""
}
