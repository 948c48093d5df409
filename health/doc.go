// Package health finds out which endpoints can take requests: actively by probing them (Prober), passively by what requests meet
// (Ejector). Neither knows what follows from it; both tell their caller. And it tells others, by gRPC's health protocol, how this
// process is (Service).
package health
