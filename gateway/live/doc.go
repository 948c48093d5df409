// Package live is what people watch a gateway by: the dashboard of the admin port, and the stream of snapshots that it and `penstock top` show.
//
// A Hub takes a snapshot a second for all who watch, and none while nobody does. It reads counters that are there anyway, so that nothing here is on
// the way of a request. Rates and percentiles are differences between two of these readings, which is right however long ago the first one was.
package live
