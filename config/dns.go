package config

// DNS names what is looked up to find a pool's endpoints, again and again. What was found last stays in force while a lookup fails or finds
// nothing.
type DNS struct {
	// Name is what is looked up. Unless it ends with a dot, it is completed as /etc/resolv.conf says (search, ndots).
	Name string `yaml:"name"`
	// Type says which records are endpoints: address takes A and AAAA, each at port; srv takes hosts and ports of SRV records, and only those of
	// the lowest priority number. Weights of SRV records do not count, as balance goes by load; hosts are looked up when they are connected to.
	Type string `yaml:"type" enum:"address,srv"`
	// Port is the port of each address; it is needed for type: address, and left out for type: srv.
	Port *int `yaml:"port" min:"1" max:"65535"`
	// Scheme is how endpoints are spoken to, as in the URLs of endpoints. Certificates of https are checked against the address, for type: srv
	// against the host, unless tls.serverName says otherwise.
	Scheme string `yaml:"scheme" enum:"http,https,h2c"`
	// Interval is the time from one lookup to the next; 1s until a first one has found endpoints. Lifetimes of records (TTL) do not count.
	Interval Duration `yaml:"interval" min:"1s" max:"1h"`
	// Timeout is how long a lookup may take, all tries with all servers of /etc/resolv.conf together.
	Timeout Duration `yaml:"timeout" min:"100ms" max:"1m"`
}
