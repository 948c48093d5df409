package config

import (
	"reflect"
	"time"
)

// The defaults hold for traffic to large language models: answers that take minutes, streams that pause while a server is busy, and
// prompts of megabytes.
const (
	kib = 1 << 10
	mib = 1 << 20

	second = Duration(time.Second)
	minute = Duration(time.Minute)
)

// DefaultConfig is the configuration that a file adds to. It is not valid alone, as it has no pools.
var DefaultConfig = Config{
	Listen:          ":8000",
	Admin:           ":8001",
	AdminSecurity:   DefaultAdminSecurity,
	ClientHalfClose: "abort",
	AccessLog:       DefaultAccessLog,
	Limits:          DefaultLimits,
	Timeouts:        DefaultTimeouts,
	Shutdown:        DefaultShutdown,
}

// DefaultAdminSecurity leaves it to the network who reaches the admin port.
var DefaultAdminSecurity = AdminSecurity{Pprof: true}

// DefaultListenerTLS is what a tls section of the listener adds to.
var DefaultListenerTLS = ListenerTLS{MinVersion: "1.2"}

// DefaultAccessLog logs every request.
var DefaultAccessLog = AccessLog{Enabled: true, Sample: 1}

// DefaultLimits takes long prompts and images, and bounds what a hostile client can hold.
var DefaultLimits = Limits{
	HeaderBytes:        64 * kib,
	HeaderCount:        128,
	RequestTargetBytes: 16 * kib,
	BodyBytes:          256 * mib,
	HeldBodyBytes:      16 * mib,
	Connections:        65536,
	Streams:            256,
}

// DefaultTimeouts leaves a model server ten minutes for an answer that is not streamed and five between two tokens.
var DefaultTimeouts = Timeouts{
	RequestHead:    10 * second,
	RequestBody:    60 * second,
	KeepAlive:      120 * second,
	Connect:        5 * second,
	ResponseHeader: 10 * minute,
	StreamIdle:     5 * minute,
	Write:          60 * second,
	Ping:           5*minute + 5*second,
}

// DefaultShutdown gives load balancers five seconds to notice, and generations ten minutes to end.
var DefaultShutdown = Shutdown{LameDuck: 5 * second, Drain: 10 * minute}

// DefaultAutoscale has the names that the installation gives to what it makes for the autoscaler.
var DefaultAutoscale = Autoscale{Listen: ":8443", ServiceName: "penstock-autoscale", PeersName: "penstock-replicas", SecretName: "penstock-autoscale"}

// DefaultPool is what each pool adds to. It is not valid alone, as it has no endpoints.
var DefaultPool = Pool{
	Engine:          "none",
	Balance:         "auto",
	Objectives:      DefaultObjectives,
	Queue:           DefaultQueue,
	Eject:           DefaultEject,
	SlowStart:       30 * second,
	Retry:           DefaultRetry,
	IdleConnections: 1024,
	IdleTimeout:     4 * second,
}

// DefaultObjectives is what chats are commonly held to.
var DefaultObjectives = Objectives{TTFT: 5 * second, TPOT: 60 * Duration(time.Millisecond)}

// DefaultService is what a service section adds to.
var DefaultService = Service{Scheme: "auto"}

// DefaultDNS is what a dns section adds to. The timeout leaves room for a second try, which resolvers make after 5 s.
var DefaultDNS = DNS{Type: "address", Scheme: "http", Interval: 10 * second, Timeout: 10 * second}

// DefaultQueue holds a burst for as long as a client is likely to wait.
var DefaultQueue = Queue{Size: 512, Timeout: 30 * second}

// DefaultProbe is what a probe section adds to.
var DefaultProbe = Probe{
	Path:           "/health",
	Interval:       5 * second,
	Timeout:        2 * second,
	HealthyAfter:   1,
	UnhealthyAfter: 2,
}

// DefaultMetrics polls gently: making its page costs a model server milliseconds, and readings only correct what a gateway knows by itself.
var DefaultMetrics = Metrics{Scheme: "auto", Interval: 2 * second, Timeout: second}

// DefaultEject ejects an endpoint after three failures in a row, and never more than half of a pool.
var DefaultEject = Eject{ConsecutiveFailures: 3, BaseTime: 5 * second, MaxTime: 60 * second, MaxPercent: 50}

// DefaultRetry retries twice, within a fifth of the pool's requests.
var DefaultRetry = Retry{Attempts: 2, BudgetPercent: 20}

// DefaultMirror is what a mirror section adds to: every request that is small.
var DefaultMirror = Mirror{Percent: 100, MaxBodyBytes: 1 * mib}

// defaults are what a section holds before its fields are decoded, for those sections that a file may have any number of or none.
var defaults = map[reflect.Type]reflect.Value{
	reflect.TypeFor[Config]():      reflect.ValueOf(DefaultConfig),
	reflect.TypeFor[ListenerTLS](): reflect.ValueOf(DefaultListenerTLS),
	reflect.TypeFor[Pool]():        reflect.ValueOf(DefaultPool),
	reflect.TypeFor[Service]():     reflect.ValueOf(DefaultService),
	reflect.TypeFor[DNS]():         reflect.ValueOf(DefaultDNS),
	reflect.TypeFor[Probe]():       reflect.ValueOf(DefaultProbe),
	reflect.TypeFor[Metrics]():     reflect.ValueOf(DefaultMetrics),
	reflect.TypeFor[Autoscale]():   reflect.ValueOf(DefaultAutoscale),
	reflect.TypeFor[Mirror]():      reflect.ValueOf(DefaultMirror),
}
