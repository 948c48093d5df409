package balancer_test

import (
	"fmt"

	"github.com/penstock/penstock/balancer"
)

func Example() {
	policy, err := balancer.NewPolicy("least-outstanding", balancer.Settings{})
	if err != nil {
		panic(err)
	}
	pool := balancer.New(policy)
	pool.SetQueue(100)
	pool.SetSnapshot(balancer.NewSnapshot([]*balancer.Endpoint{
		balancer.NewEndpoint("10.1.2.3:8000", nil),
	}, balancer.Options{MaxInFlight: 1}))

	r := &balancer.Request{Now: 1, Rand: 42}
	e, result := pool.Acquire(r)
	fmt.Println(e.Name, result)

	_, result = pool.Acquire(&balancer.Request{Now: 2, Rand: 43})
	fmt.Println(result)
	pool.Enqueue(&balancer.Waiter{
		Request: balancer.Request{Now: 2, Rand: 43},
		Notify:  func(_ *balancer.Waiter, e *balancer.Endpoint) { fmt.Println("granted", e.Name) },
	})

	pool.Release(e, r, balancer.Done{Started: 1, FirstByte: 2, Now: 3})
	fmt.Println(pool.QueueLen(), pool.InFlight())
	// Output:
	// 10.1.2.3:8000 acquired
	// full
	// granted 10.1.2.3:8000
	// 0 1
}
