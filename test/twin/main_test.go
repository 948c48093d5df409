// Package twin_test holds what the simulator's word is worth against real gateways: that a policy picks by nothing but what the simulator
// gives it, too, and that simulated and real gateways in front of the same replicas come to the same figures.
package twin_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
