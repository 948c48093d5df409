// Package load finds out how busy endpoints are, by what they say themselves. A Scraper reads the metrics of model servers, in Prometheus's
// text format, at intervals; TakeReport reads the load reports that come with responses (ORCA). What was read stands on the
// balancer's endpoint as its Signals.
//
// Such readings are old when they are used, and everybody who follows them rushes to the same endpoint. They correct what a gateway knows
// by itself and do not replace it; so reading them once in a while is enough.
package load
