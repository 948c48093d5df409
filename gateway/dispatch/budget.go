package dispatch

import (
	"sync/atomic"
	"time"
)

const (
	// budgetBurst is the most retries that deposits can have saved up; older deposits expire.
	budgetBurst = 100
	// reserveEvery is the pace of the retries that are allowed whatever the budget says: ten a second.
	reserveEvery = int64(time.Second) / 10
	// reserveBurst is how far the reserve may run ahead of its pace: a pool that was quiet for a second has ten at once.
	reserveBurst = int64(time.Second)
)

// budget bounds the retries of a pool, so that retries cannot multiply the load on replicas that fail because of load. As in
// Finagle's RetryBudget (com.twitter.finagle.service), every request deposits a share of a token and every retry withdraws a whole
// one; a small reserve lets quiet pools retry at all.
//
//	balance = min(requests * percent/100 - withdrawn, budgetBurst)
//
// Where Finagle lets deposits expire by age, this one caps the balance: the deposits need then be no more than the count of the
// pool's requests, which is kept anyway, so that a request that is not retried pays nothing. It is free of locks.
type budget struct {
	percent int64
	// base is the pool's count of requests when this budget began; earlier requests were deposited to its predecessor.
	base int64
	// withdrawn is in hundredths of a token; expired deposits count as withdrawn.
	withdrawn atomic.Int64
	// reserveNext is when the reserve's next token is due, on Now's scale.
	reserveNext atomic.Int64
}

func newBudget(percent int, requests int64) *budget {
	return &budget{percent: int64(percent), base: requests}
}

// withdraw takes a token for one retry and says whether there was one. requests is the pool's count of requests so far.
func (b *budget) withdraw(requests, now int64) bool {
	return b.withdrawDeposit(requests) || b.withdrawReserve(now)
}

func (b *budget) withdrawDeposit(requests int64) bool {
	const token, limit = 100, 100 * budgetBurst
	deposited := (requests - b.base) * b.percent
	for {
		old := b.withdrawn.Load()
		spent := max(old, deposited-limit) + token
		if spent > deposited {
			return false
		}
		if b.withdrawn.CompareAndSwap(old, spent) {
			return true
		}
	}
}

func (b *budget) withdrawReserve(now int64) bool {
	for {
		old := b.reserveNext.Load()
		next := max(old, now-reserveBurst) + reserveEvery
		if next > now {
			return false
		}
		if b.reserveNext.CompareAndSwap(old, next) {
			return true
		}
	}
}
