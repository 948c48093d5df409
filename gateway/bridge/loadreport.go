package bridge

import "github.com/penstock/penstock/gateway/dispatch"

// LoadReports hands on the load reports among the fields of a response's head or of its trailers.
func LoadReports(x *dispatch.Exchange, fields []Field) {
	for _, f := range fields {
		LoadReport(x, f)
	}
}

// LoadReport is LoadReports for one field.
func LoadReport(x *dispatch.Exchange, f Field) {
	switch f.Name {
	case "endpoint-load-metrics":
		x.LoadReport([]byte(f.Value), false)
	case "endpoint-load-metrics-bin":
		x.LoadReport([]byte(f.Value), true)
	}
}
