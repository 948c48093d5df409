package discovery

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/config"
)

const srvRecords = "SRV records"

// lookupSRV takes the hosts and ports of the SRV records with the lowest priority number (RFC 2782). Hosts stay names: certificates are checked
// against them, and what they stand for is looked up by whoever connects.
func (d *dns) lookupSRV(ctx context.Context) ([]Endpoint, error) {
	_, records, err := d.resolver.LookupSRV(ctx, "", "", d.settings.Name)
	if err != nil {
		return nil, d.failed(srvRecords, err)
	}
	if len(records) == 0 {
		return nil, d.none(srvRecords, "")
	}
	// A host that is the root, alone, says that the service is decidedly not there. Beside others it says nothing.
	records = slices.DeleteFunc(records, func(r *net.SRV) bool { return r.Target == "." })
	endpoints := []Endpoint{}
	for _, r := range preferred(records) {
		e, err := config.ParseEndpoint(d.settings.Scheme + "://" + net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
		if err != nil {
			return nil, d.wrong(srvRecords, fmt.Sprintf("host %q and port %d are among them", r.Target, r.Port), "the name of a host, and a port from 1 to 65535")
		}
		endpoints = append(endpoints, Endpoint{Endpoint: e})
	}
	return endpoints, nil
}

// preferred are the records with the lowest priority number.
func preferred(records []*net.SRV) []*net.SRV {
	if len(records) == 0 {
		return nil
	}
	lowest := slices.MinFunc(records, func(a, b *net.SRV) int { return int(a.Priority) - int(b.Priority) }).Priority
	return slices.DeleteFunc(records, func(r *net.SRV) bool { return r.Priority != lowest })
}
