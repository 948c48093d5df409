package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/penstock/penstock/gateway/field"
)

// The exporters read the environment themselves, pass over what is wrong there, and say so with the value, which may be a collector's key. So
// the library's own logger is silenced (see FromEnvironment), and what it would say is said here without values.

var exampleEndpoints = map[string]string{protocolHTTP: "http://collector:4318", protocolGRPC: "http://collector:4317"}

// isEndpoint reports whether a collector can be there. By gRPC, what is no URL is a target of grpc-go's, such as dns:///collector:4317.
func isEndpoint(value, protocol string) bool {
	u, err := url.Parse(value)
	if err != nil {
		return false
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme == "http" || scheme == "https" {
		return u.Host != ""
	}
	return protocol == protocolGRPC
}

// exporter logs what is wrong in how a signal's collector is to be spoken to.
func (v variables) exporter(signal string) {
	if name, value := v.ofSignal(signal, "HEADERS"); value != "" {
		v.headers(name, value)
	}
	if name, value := v.ofSignal(signal, "COMPRESSION"); value != "" && value != "gzip" && value != "none" {
		v.wrong(name, "gzip or none; it counts as none")
	}
	if name, value := v.ofSignal(signal, "INSECURE"); value != "" {
		v.boolean(name)
	}
	if name, value := v.ofSignal(signal, "CERTIFICATE"); value != "" {
		v.authority(name, value)
	}
	v.identity(signal)
}

// headers looks at a list of key=value,key=value.
func (v variables) headers(name, list string) {
	for i, entry := range strings.Split(list, ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		key, value, ok := strings.Cut(entry, "=")
		_, err := url.PathUnescape(value)
		if !ok || !field.IsToken([]byte(strings.TrimSpace(key))) || err != nil {
			v.warn(fmt.Errorf("cannot use entry %d of %s: it must be a field's name, = and its value, in which %% is written %%25; it is left out", i+1, name))
		}
	}
}

// authority looks at the file with whom the collector's certificate is from.
func (v variables) authority(name, file string) {
	pem, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s has no certificate", file)
	}
	if err != nil {
		v.warn(fmt.Errorf("cannot use %s: %w; it counts as not set", name, err))
	}
}

// identity looks at the gateway's own certificate for the collector.
func (v variables) identity(signal string) {
	certName, cert := v.ofSignal(signal, "CLIENT_CERTIFICATE")
	keyName, key := v.ofSignal(signal, "CLIENT_KEY")
	switch {
	case cert == "" && key == "":
	case cert == "" || key == "":
		v.wrong(certName, "set together with "+keyName+"; neither counts")
	default:
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			v.warn(fmt.Errorf("cannot use %s and %s: %w; they count as not set", certName, keyName, err))
		}
	}
}
