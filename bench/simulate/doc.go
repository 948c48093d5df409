// Package simulate is a discrete-event twin of gateways in front of GPU replicas. It runs the production balancer over modelled engines
// (bench/engine) on a virtual clock: a million requests to a thousand replicas take some seconds of one core, and the same options give the
// same result.
//
// What is simulated: requests come as a trace says, each to one of the gateways. A gateway picks by its own state, which is private to it;
// the request travels to the replica, is computed there step by step, and tokens travel back. Gateways poll replicas' metrics, with a phase
// of their own and now and then in vain. Replicas die, are replaced and added, as Changes and Autoscale say. What is not simulated: the
// CPU time of gateways, connections, and clients that leave. Of what a gateway does about replicas that fail, Options.Detection stands for
// probes and for ejection, and retries have no budget.
//
// Time is an int64 of nanoseconds since the run's beginning. Events of the same time happen in a fixed order.
package simulate
