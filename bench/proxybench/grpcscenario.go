package main

import "time"

// grpcScenarios lists the measurements of gRPC.
func grpcScenarios(warm, window, longWindow time.Duration) []scenario {
	closed := func(kind string, calls int) loadSpec {
		return loadSpec{Shape: shapeClosed, Kind: kind, Conns: grpcConns, Calls: calls, WarmUp: warm, Window: window}
	}
	call := append([]metric{perOp("call", requests), rate("calls/s", requests)}, effort(requests)...)
	call = append(call, latency("p50", "p50", p50), latency("p99", "p99", p99))
	message := perOp("message", events)
	message.key, message.ratio = "cpu_message", false
	stream := append([]metric{perOp("stream", requests), message, rate("streams/s", requests)}, effort(requests)...)
	return []scenario{
		{
			name: "grpc_unary64", title: "gRPC unary: 256 bytes each way, 4 connections with 16 calls each, closed loop", direct: true,
			load: closed(kindUnary, 16), columns: call, targets: []target{{"cpu", nameHAProxy, 0.9}, {"cpu", nameGRPCRelay, 1.0 / 3}},
		},
		{
			name: "grpc_steps", title: "gRPC streams: 200 messages of 256 bytes, one write for a message of each, 4 connections with 4 streams each", direct: true,
			load: closed(kindSteps, 4), yields: true, columns: stream, targets: []target{{"cpu", nameHAProxy, 1.1}, {"cpu", nameGRPCRelay, 1.0 / 3}},
		},
		{
			name: "grpc_stream", title: "gRPC streams: 200 messages of 256 bytes, each its own write, 4 connections with 4 streams each", direct: true,
			load: closed(kindFlushed, 4), yields: true, columns: stream, targets: []target{{"cpu", nameHAProxy, 1.1}},
		},
		{
			name: "grpc_64k", title: "gRPC unary: 64 KiB each way, 4 connections with 4 calls each, closed loop", direct: true,
			load: closed(kindLarge, 4), columns: call,
		},
		{
			name: "grpc_latency", title: "Added latency: gRPC unary of 256 bytes, 500 calls/s over 4 connections, open loop", direct: true,
			load: loadSpec{Shape: shapeOpen, Kind: kindUnary, Conns: grpcConns, Calls: 16, Rate: 500, WarmUp: warm, Window: longWindow},
			columns: []metric{
				addedLatency("added_p50", "added p50", p50), addedLatency("added_p99", "added p99", p99),
				latency("p50", "p50", p50), latency("p99", "p99", p99),
			},
			targets: []target{{"added_p99", nameHAProxy, 1}},
		},
	}
}

// grpcConns is how many connections the gRPC load has: some clients, each with several calls at once, as gRPC's libraries have it.
const grpcConns = 4
