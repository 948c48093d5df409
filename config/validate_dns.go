package config

import "strings"

// dns checks what is looked up; path is where it stands.
func (r *report) dns(d *DNS, path string) {
	name, port, kind := under(path, "name"), under(path, "port"), under(path, "type")
	switch {
	case d.Name == "":
		r.field(name, "is missing", "want the name that is looked up, such as llama.example.com", name)
	case isIP(d.Name):
		r.value(name, quote(d.Name)+" is an address, which needs no lookup", "want a name, or endpoints: [URL] instead of dns")
	case !isHostName(strings.TrimSuffix(d.Name, ".")):
		r.value(name, quote(d.Name)+" is no name in DNS", "want labels of letters, digits, - and _ with dots between them, such as llama.example.com")
	}
	switch {
	case d.Type == "address" && d.Port == nil:
		r.field(port, "is missing", "want the port of every address, such as 8000, or type: srv for records that tell it", port, kind)
	case d.Type == "srv" && d.Port != nil:
		r.field(port, "has no meaning for type: srv", "leave it out, as SRV records tell it, or want type: address", kind)
	}
}
