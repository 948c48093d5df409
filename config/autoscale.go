package config

import (
	"fmt"
	"strings"
)

// Autoscale lets the HPA and KEDA read from the gateway itself how much work there is: as the external and the custom metrics API of a
// Kubernetes cluster, and as a scaler of KEDA. docs/autoscaling.md has the whole of it. A change needs a restart.
type Autoscale struct {
	// Listen is the address of a port with TLS, for the cluster's API server and the other replicas of the gateway.
	Listen string `yaml:"listen" bare:"number"`
	// Namespace is that of the gateway, and of the three below. The default is the one of the pod's service account.
	Namespace string `yaml:"namespace"`
	// ServiceName is the Service that the APIServices name, too. SERVICE.NAMESPACE.svc is the certificate's name.
	ServiceName string `yaml:"service"`
	// PeersName is a headless Service of all replicas of the gateway, with publishNotReadyAddresses: true.
	PeersName string `yaml:"peers"`
	// SecretName is a Secret in which the gateway keeps a certificate that it makes and renews by itself, and whose authority it writes into the
	// APIServices. The Secret must exist and may be empty. Beside CertFile it has no default.
	SecretName string `yaml:"secret" unless:"certFile"`
	// CertFile is a PEM file with a certificate chain that somebody else keeps, leaf first, instead of one in a Secret. The certificate is for servers and
	// clients, as replicas show it to each other. It is read again when it changes, as are KeyFile and CAFile.
	CertFile string `yaml:"certFile"`
	// KeyFile is a PEM file with the private key.
	KeyFile string `yaml:"keyFile"`
	// CAFile is a PEM file with the authority of the certificates of all replicas.
	CAFile string `yaml:"caFile"`
	// KEDA is the address of a port for KEDA's external-push scaler, gRPC without TLS; without it there is none.
	KEDA string `yaml:"keda" bare:"number"`
}

func (r *report) autoscale(c *Config, path string) {
	a := c.Autoscale
	r.autoscalePorts(c, path)
	for _, f := range []struct{ name, value, example string }{
		{"service", a.ServiceName, DefaultAutoscale.ServiceName}, {"peers", a.PeersName, DefaultAutoscale.PeersName},
	} {
		if f.value == "" {
			r.field(under(path, f.name), "is missing", "want a Service's name, such as "+f.example, under(path, f.name))
		}
		r.kubernetesName(f.value, under(path, f.name))
	}
	r.kubernetesName(a.Namespace, under(path, "namespace"))
	if a.ServiceName != "" && a.ServiceName == a.PeersName {
		r.field(under(path, "peers"), quote(a.PeersName)+" is the Service that the APIServices name",
			"want another one, which is headless and publishes addresses that are not ready", under(path, "service"))
	}
	r.autoscaleCertificate(a, path)
}

// kubernetesName checks a name that may be absent.
func (r *report) kubernetesName(name, path string) {
	if name != "" && !isKubernetesName(name) {
		r.value(path, quote(name)+" is no name in Kubernetes", wantKubernetesName)
	}
}

// autoscalePorts checks the section's addresses, one by one and against those before them.
func (r *report) autoscalePorts(c *Config, path string) {
	taken := []struct{ path, address string }{{"listen", c.Listen}, {"admin", c.Admin}}
	for _, f := range []struct{ name, address, example string }{{"listen", c.Autoscale.Listen, DefaultAutoscale.Listen}, {"keda", c.Autoscale.KEDA, ":8002"}} {
		at := under(path, f.name)
		if f.name == "keda" && f.address == "" {
			continue
		}
		r.listenAddress(f.address, at, f.example)
		for _, other := range taken {
			if clash(f.address, other.address) {
				r.field(at, fmt.Sprintf("%s takes the same port as %s, %s", quote(f.address), other.path, quote(other.address)),
					"want a port of its own", at, other.path)
			}
		}
		taken = append(taken, struct{ path, address string }{at, f.address})
	}
}

// autoscaleCertificate checks that there is one way to a certificate, and that it can be gone.
func (r *report) autoscaleCertificate(a *Autoscale, path string) {
	secret, cert, key, ca := under(path, "secret"), under(path, "certFile"), under(path, "keyFile"), under(path, "caFile")
	files := a.CertFile != "" || a.KeyFile != "" || a.CAFile != ""
	switch {
	case a.SecretName == "" && !files:
		r.field(path, "has no certificate", "want secret: NAME, or certFile, keyFile and caFile", secret, cert, key, ca)
	case a.SecretName != "" && files:
		r.field(secret, "stands beside certificate files", "want either secret, or certFile, keyFile and caFile", cert, key, ca)
	case files:
		r.certificate(a.CertFile, a.KeyFile, path)
		if a.CAFile == "" {
			r.field(ca, "is missing", "want a PEM file with certificates", ca)
		} else {
			r.authorities(a.CAFile, ca)
		}
	case !isSubdomain(a.SecretName):
		r.value(secret, quote(a.SecretName)+" is no name of a Secret", "want labels of lower-case letters, digits and -, joined by dots")
	}
}

// isSubdomain says whether s is a DNS subdomain (RFC 1123) as Kubernetes takes it for names of most things.
func isSubdomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isKubernetesName(label) {
			return false
		}
	}
	return len(s) <= 253
}
